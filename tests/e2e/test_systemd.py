"""The rendered unit on a host with systemd and without Docker: it serves, survives and ends."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci import systemd
from ci.config import PROJECT, Options, load_config
from ci.environment import lock_path
from ci.errors import UnavailableError
from ci.locks.installing import install_uv, run_uv
from ci.rehearsal.hosts import Rehearsal
from ci.rollout import placing
from ci.stages.render import manifests
from model.bundle.card import BATCH_SIZES
from tests.docker_engine import docker_engine
from tests.rehearsal import rehearsal_hosts
from tests.rollout_shop import Shop, eventually, open_shop, unused_port
from tests.shoppers import Shoppers

HOST, PORT = "host1", 8500
INSTALLED = str(systemd.INSTALLED)
SETTINGS = f'[shop]\nname = "rollout"\n[environments.local]\nport = {PORT}\n'
# What the embedded server and the gateway are made of, beside the packages.
SOURCES = ("serving", "model/__init__.py", "model/schema.py", "model/history.py")
ORDER = """
import json, sys
from pathlib import Path
from serving.host import control
print(json.dumps(control.ask(Path(sys.argv[1]), json.loads(sys.argv[2]), 120.0)))
"""


@dataclass(frozen=True)
class Server:
    """A host whose recommendations systemd keeps running.

    Attributes:
        rehearsal: Where the host is.
        unit: Name of the unit.
        home: The environment's folder on the host.
        address: Where this machine reaches the public port.
    """

    rehearsal: Rehearsal
    unit: str
    home: str
    address: str

    def run(self, command: str) -> str:
        return self.rehearsal.run(HOST, command)

    def property(self, name: str) -> str:
        return self.run(f"systemctl show --value -p {name} {self.unit}").strip()

    def order(self, **order: str) -> dict:
        """Give the supervisor an order, as `bin/ci` of the same user does."""
        words = f"{self.home}/supervisor.sock '{json.dumps(order)}'"
        command = f"cd {INSTALLED} && runuser -u pushcart -- venv/bin/python - {words}"
        return json.loads(self.run(f"{command} <<'END'\n{ORDER}\nEND"))

    def record(self) -> dict:
        return json.loads(self.run(f"cat {self.home}/record.json"))

    def processes(self) -> dict[str, list[int]]:
        """Process numbers by program of all that runs there as the unit's user."""
        found: dict[str, list[int]] = {}
        for line in self.run("pgrep --euid pushcart --list-full || true").splitlines():
            pid, *words = line.split()
            program = words[words.index("-m") + 1] if "-m" in words else words[0]
            found.setdefault(program, []).append(int(pid))
        return found

    def version(self) -> int:
        """The release that answers a shopper on the host itself."""
        url = f"http://127.0.0.1:{PORT}/v1/users/anna/recommendations"
        return json.loads(self.run(f"curl -sf {url}"))["model_version"]

    def answers(self, version: int) -> bool:
        try:
            return self.version() == version
        except UnavailableError:
            return False


def deliver(rehearsal: Rehearsal, folder: Path, place: str, owner: str = "root") -> None:
    """Copy a folder's content to a host."""
    unpack = f"mkdir -p {place} && tar -x -C {place} && chown -R {owner}: {place}"
    with subprocess.Popen(["tar", "-c", "-C", folder, "."], stdout=subprocess.PIPE) as packed:
        subprocess.run([*rehearsal.ssh(HOST), unpack], stdin=packed.stdout, check=True)


def install(rehearsal: Rehearsal, scratch: Path) -> None:
    """Do what docs/systemd.md says: a user, the sources, and the packages of one lock."""
    for name in SOURCES:
        (scratch / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, scratch / "app" / name)
    packages = ["pip", "sync", "--quiet", "--require-hashes", "--python-version=3.11"]
    packages += [f"--target={scratch / 'packages'}", str(lock_path("server"))]
    run_uv(install_uv(), packages, "install requirements/server.lock")
    rehearsal.run(HOST, f"useradd --system --home-dir {INSTALLED} pushcart")
    deliver(rehearsal, scratch / "app", INSTALLED)
    rehearsal.run(HOST, f"python3 -m venv --without-pip {INSTALLED}/venv")
    deliver(rehearsal, scratch / "packages", f"{INSTALLED}/venv/lib/python3.11/site-packages")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def tunnel(rehearsal: Rehearsal) -> Iterator[str]:
    """The host's public port, which only listens on its loopback, on this machine."""
    port = unused_port()
    *front, place = rehearsal.ssh(HOST)
    words = [*front, "-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{PORT}", place]
    with subprocess.Popen(words) as forwarding:
        eventually(lambda: listens(port))
        yield f"127.0.0.1:{port}"
        forwarding.terminate()


@pytest.fixture(scope="module")
def shop(tmp_path_factory, released_model) -> Shop:
    return open_shop(tmp_path_factory.mktemp("shop"), released_model, unused_port())


@pytest.fixture(scope="module")
def server(tmp_path_factory, shop: Shop) -> Iterator[Server]:
    """A host with the unit installed and started, and no release yet."""
    scratch = tmp_path_factory.mktemp("installed")
    (scratch / "shop.toml").write_text(SETTINGS)
    config = load_config(scratch / "shop.toml", {}, Options())
    unit, values = systemd.unit_of(config, "local"), systemd.values(config, "local")
    text = manifests(config, "local", 1, {"batch_sizes": BATCH_SIZES})[f"systemd/{unit}"]
    (scratch / "units").mkdir()
    (scratch / "units" / unit).write_text(text)
    with docker_engine() as engine, rehearsal_hosts(engine, 1) as rehearsal:
        install(rehearsal, scratch)
        rehearsal.run(HOST, f"install -d -o pushcart {INSTALLED}/var {values['state']}")
        deliver(rehearsal, scratch / "units", "/etc/systemd/system")
        rehearsal.run(HOST, f"systemctl daemon-reload && systemctl enable --now {unit}")
        with tunnel(rehearsal) as address:
            yield Server(rehearsal, unit, str(values["home"]), address)


def release(server: Server, shop: Shop, version: int) -> dict:
    """Place a release on the host and have it rolled out there."""
    shop.export(version)
    placed = placing.place(shop.config, shop.workspace)
    deliver(server.rehearsal, shop.home / "releases", f"{server.home}/releases", "pushcart")
    return server.order(order="deploy", digest=placed.digest, who="test", commit="c0ffee")


def test_it_is_up_when_it_says_so_and_takes_releases(server: Server, shop: Shop):
    assert server.property("ActiveState") == "active"
    assert server.order(order="status")["kept"] is True
    assert release(server, shop, 1)["failed_requests"] == 0
    assert server.version() == 1
    with Shoppers(server.address, count=2) as shoppers:
        shoppers.wait_for(20)
        release(server, shop, 2)
        shoppers.wait_for(20)
    assert (shoppers.failed, shoppers.gone_back()) == ([], [])
    assert server.version() == 2


def test_systemd_of_the_host_finds_no_fault(server: Server):
    assert server.run(f"systemd-analyze verify {server.unit} 2>&1") == ""


def test_every_process_is_locked_in(server: Server):
    running = server.processes()
    assert {program: len(pids) for program, pids in running.items()} == {
        "serving.supervisor": 1,
        "serving.server": 2,
        "serving.gateway_process": 2,
    }
    for pid in (pid for pids in running.values() for pid in pids):
        lines = server.run(f"cat /proc/{pid}/status").splitlines()
        status = dict(line.split(":\t", 1) for line in lines)
        wanted = {"NoNewPrivs": "1", "Seccomp": "2", "CapBnd": f"{0:016x}"}
        assert {key: status[key] for key in wanted} == wanted
        assert server.unit in server.run(f"cat /proc/{pid}/cgroup")
        inside = f"nsenter --mount=/proc/{pid}/ns/mnt"
        for place in ("/etc/x", "/usr/x", f"{INSTALLED}/x"):
            with pytest.raises(UnavailableError, match="Read-only file system"):
                server.run(f"{inside} touch {place}")
        server.run(f"{inside} touch {server.home}/x && rm {server.home}/x")


def test_a_supervisor_that_dies_leaves_its_colours_serving(server: Server):
    before = server.processes()
    with Shoppers(server.address, count=2) as shoppers:
        shoppers.wait_for(50)
        server.run(f"kill -KILL {server.property('MainPID')}")
        eventually(lambda: server.property("NRestarts") == "1")
        eventually(lambda: server.property("ActiveState") == "active")
        shoppers.wait_for(50)
    assert shoppers.failed == []
    after = server.processes()
    assert after["serving.supervisor"] != before["serving.supervisor"]
    assert after["serving.server"] == before["serving.server"]


def test_a_colour_that_dies_comes_back(server: Server):
    live = server.record()["colours"][server.record()["live"]]
    server.run(f"kill -KILL {live['gateway']['pid']}")
    eventually(lambda: server.answers(2))
    assert server.property("ActiveState") == "active"


def test_a_stop_ends_everything_and_a_start_brings_the_live_release_back(server: Server):
    server.run(f"systemctl stop {server.unit}")
    assert server.processes() == {}
    assert server.property("Result") == "success"
    server.run(f"systemctl start {server.unit}")
    eventually(lambda: server.answers(2))


def test_a_reboot_brings_the_live_release_back(server: Server):
    server.rehearsal.stop(HOST)
    server.rehearsal.start(HOST)
    eventually(lambda: server.answers(2), seconds=60)
    assert server.record()["colours"][server.record()["live"]]["model_version"] == 2


def test_a_second_supervisor_is_a_failed_start_that_says_why(server: Server):
    """Its exit code and its words reach `systemctl start` and the journal."""
    command = server.run(f"grep ^ExecStart= /etc/systemd/system/{server.unit}").partition("=")[2]
    with pytest.raises(UnavailableError, match="it owns this environment"):
        server.run(f"cd {INSTALLED} && runuser -u pushcart -- {command.strip()}")
