"""The rehearsal's hosts: real systemd, SSH and Docker, a power cut, and nothing left behind."""

import contextlib
import json
import socket
import subprocess
import tempfile
from pathlib import Path

import docker
import httpx
import pytest
import yaml

from ci.errors import UnavailableError
from tests.docker_engine import docker_engine
from tests.registry import container_registry
from tests.rehearsal import rehearsal_hosts

# An image of one program and its libraries, made from the host's own files.
TINY = "tar -ch $(ldd /bin/sleep | grep -o '/[^ ]*') /bin/sleep 2>/dev/null | docker import - tiny"
HARDENED = "--read-only --cap-drop ALL --security-opt no-new-privileges --memory 64m"


@pytest.fixture(scope="module")
def engine():
    with docker_engine() as client:
        yield client


@pytest.fixture(scope="module")
def rehearsal(engine):
    with rehearsal_hosts(engine) as hosts:
        yield hosts


def left_behind(folder: Path, addresses: list[str]) -> dict[str, list[str]]:
    """What of engines in a folder and of their networks can be seen from this machine."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    commands = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            commands.append(command.read_text(errors="replace"))
    return {
        "mounts": [place for place in mounts if place.startswith(str(folder))],
        "processes": [command for command in commands if str(folder) in command],
        "files": [path.name for path in folder.iterdir()],
        "networks": [address for address in addresses if is_ours(address)],
    }


def is_ours(address: str) -> bool:
    """Whether this machine has an address."""
    with socket.socket() as here:
        try:
            here.bind((address, 0))
        except OSError:
            return False
    return True


def groups_of(containers: list[str]) -> list[Path]:
    """The control groups of containers, as this machine sees them."""
    every = Path("/sys/fs/cgroup").glob("**/docker/*/")
    return [path for path in every if path.name in containers]


def test_each_host_is_a_machine_of_its_own(rehearsal):
    names = [host.name for host in rehearsal.hosts]
    assert [rehearsal.run(name, "hostname").strip() for name in names] == ["host1", "host2"]
    for name in names:
        assert rehearsal.run(name, "systemctl is-system-running") == "running\n"
        info = json.loads(rehearsal.run(name, "docker info --format '{{json .}}'"))
        assert info["Driver"] == "overlay2"
        assert info["Name"] == name
        active = "systemctl is-active ssh docker haproxy"
        assert rehearsal.run(name, active).split() == 3 * ["active"]
    rehearsal.run("host1", "echo mine > /root/mine")
    with pytest.raises(UnavailableError, match=r"host2: `cat /root/mine` failed \(exit 1\)"):
        rehearsal.run("host2", "cat /root/mine")


def test_a_host_lets_nobody_in_without_the_key_nor_is_trusted_without_its_own(rehearsal, tmp_path):
    one, two = (line.split()[1:] for line in rehearsal.known_hosts.read_text().splitlines())
    assert one != two
    port = rehearsal.host("host1").ssh_port
    assert rehearsal.key.stat().st_mode & 0o777 == 0o600
    stranger = tmp_path / "stranger"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(stranger)]
    subprocess.run(make, check=True)
    words = rehearsal.ssh("host1")
    foreign = [str(stranger) if word == str(rehearsal.key) else word for word in words]
    refused = subprocess.run([*foreign, "true"], capture_output=True, text=True, check=False)
    assert "Permission denied (publickey)" in refused.stderr
    swapped = tmp_path / "known_hosts"
    swapped.write_text(f"[127.0.0.1]:{port} {' '.join(two)}\n")
    other = [word.replace(str(rehearsal.known_hosts), str(swapped)) for word in words]
    warned = subprocess.run([*other, "true"], capture_output=True, text=True, check=False)
    assert warned.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in warned.stderr


def test_the_inventory_is_ansibles(rehearsal):
    known = yaml.safe_load(rehearsal.inventory.read_text())["pushcart"]["hosts"]
    assert list(known) == ["host1", "host2"]
    assert known["host2"] == {
        "ansible_host": "127.0.0.1",
        "ansible_port": rehearsal.host("host2").ssh_port,
        "ansible_user": "root",
    }


def test_a_registry_on_the_gateway_is_reached_by_hosts_and_by_this_machine(rehearsal):
    with container_registry(rehearsal.gateway) as registry:
        authority = registry.ca_file.read_text()
        command = f"cat > /tmp/ca.crt <<'END'\n{authority}END\n"
        command += "curl -s -o /dev/null -w '%{http_code}' --cacert /tmp/ca.crt "
        assert rehearsal.run("host1", f"{command} https://{registry.address}/v2/") == "401"


def test_what_listens_on_8080_of_a_host_is_reached_by_shoppers(rehearsal):
    serve = "systemd-run --collect --unit page python3 -m http.server 8080 --directory /usr/share"
    rehearsal.run("host2", f"{serve} && curl -s --retry 9 --retry-connrefused 127.0.0.1:8080/")
    address = f"http://127.0.0.1:{rehearsal.host('host2').shopper_port}/"
    assert httpx.get(address, trust_env=False).status_code == 200
    rehearsal.run("host2", "systemctl stop page")


def test_a_power_cut_takes_nothing_but_what_ran(rehearsal):
    rehearsal.run("host1", TINY)
    publish = f"--restart unless-stopped --publish 127.0.0.1:9000:9000 {HARDENED}"
    rehearsal.run("host1", "docker network create shop; echo kept > /etc/kept; touch /run/lost")
    rehearsal.run("host1", f"docker run -d --name ours --network shop {publish} tiny sleep inf")
    before, keys = rehearsal.host("host1"), rehearsal.known_hosts.read_text()
    rehearsal.stop("host1")
    with pytest.raises(UnavailableError, match="host1: `true` failed"):
        rehearsal.run("host1", "true")
    assert rehearsal.run("host2", "cat /etc/hostname") == "host2\n"
    assert rehearsal.start("host1") == "running"
    running = "docker inspect --format '{{.State.Running}} {{.HostConfig.Memory}}' ours"
    assert rehearsal.run("host1", running) == f"true {64 * 1024 * 1024}\n"
    assert rehearsal.run("host1", "cat /etc/kept; ls /run/lost || true").split() == ["kept"]
    assert rehearsal.host("host1") == before
    assert rehearsal.known_hosts.read_text() == keys
    assert rehearsal.run("host1", "systemctl is-active ssh haproxy").split() == 2 * ["active"]


def test_a_paused_host_hangs_and_goes_on(rehearsal):
    rehearsal.pause("host2")
    hung = subprocess.Popen([*rehearsal.ssh("host2"), "echo here"], stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        hung.wait(1)
    rehearsal.unpause("host2")
    assert hung.communicate(timeout=60)[0] == b"here\n"


def test_nothing_is_left_behind_not_even_after_an_error(monkeypatch):
    folder = Path(tempfile.mkdtemp(prefix="pc-", dir="/tmp"))  # short, for sockets
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    gateways: list[str] = []
    containers: list[str] = []
    with docker_engine() as engine:
        with pytest.raises(UnavailableError, match="as it must"):
            fail_on_a_host(engine, gateways, containers)
        assert not engine.containers.list(all=True)
        assert not engine.volumes.list()
        assert {net.name for net in engine.networks.list()} == {"host", "none"}
    assert not any(left_behind(folder, gateways).values())
    assert not groups_of(containers)
    folder.rmdir()


def fail_on_a_host(engine: docker.DockerClient, gateways: list[str], containers: list[str]) -> None:
    """Break a block of hosts, after noting what can be looked for later."""
    with rehearsal_hosts(engine, 1) as hosts:
        gateways.append(hosts.gateway)
        containers.extend(one.id for one in engine.containers.list())
        assert groups_of(containers)
        assert all(left_behind(Path(tempfile.gettempdir()), gateways).values())
        hosts.run("host1", TINY)
        hosts.run("host1", f"docker run -d {HARDENED} tiny sleep inf")
        hosts.run("host1", "echo as it must; exit 1")
