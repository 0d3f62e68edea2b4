"""Hosts to rehearse rollouts on: containers with systemd, SSH and a Docker engine of their own."""

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import docker

from ci.errors import UnavailableError
from ci.rehearsal import host_image, machines
from ci.rehearsal.debian import debian_base
from ci.rehearsal.machines import Host
from ci.rehearsal.networks import free_network, free_port
from ci.services import find_program


@dataclass(frozen=True)
class Rehearsal:
    """Running hosts and what a deployment needs to reach them.

    Attributes:
        hosts: In the inventory's order.
        gateway: This machine's address as the hosts see it; a registry can listen there.
        key: Private SSH key (0600) of root on every host.
        known_hosts: The hosts' own public keys.
        inventory: For Ansible: group `pushcart`.
        engine: Where the hosts are containers.
    """

    hosts: tuple[Host, ...]
    gateway: str
    key: Path
    known_hosts: Path
    inventory: Path
    engine: docker.DockerClient

    def host(self, name: str) -> Host:
        """The host of that name."""
        return next(host for host in self.hosts if host.name == name)

    def ssh(self, name: str) -> list[str]:
        """The command that runs on a host what follows it; it accepts no unknown key."""
        options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"]
        options += [f"UserKnownHostsFile={self.known_hosts}", "ConnectTimeout=10"]
        words = [word for option in options for word in ("-o", option)]
        place = ["-i", str(self.key), "-p", str(self.host(name).ssh_port), "root@127.0.0.1"]
        return ["ssh", "-F", "none", *words, *place]

    def run(self, name: str, command: str) -> str:
        """What a shell command on a host prints.

        Raises:
            UnavailableError: The host cannot be reached, or the command failed.
        """
        words = [*self.ssh(name), command]
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = f"{done.stdout}{done.stderr}".strip()
            raise UnavailableError(f"{name}: `{command}` failed (exit {done.returncode}):\n{said}")
        return done.stdout

    def stop(self, name: str) -> None:
        """Cut a host's power: nothing on it is told."""
        self.engine.api.kill(self.host(name).container)
        self.engine.api.wait(self.host(name).container)

    def start(self, name: str) -> str:
        """Boot a stopped host; returns `running`, or `degraded` where a unit failed."""
        self.engine.api.start(self.host(name).container)
        return machines.wait_until_up(self.engine, self.host(name))

    def pause(self, name: str) -> None:
        """Freeze a host: its connections stay open and nobody answers."""
        self.engine.api.pause(self.host(name).container)

    def unpause(self, name: str) -> None:
        """Let a frozen host go on."""
        self.engine.api.unpause(self.host(name).container)


@contextmanager
def rehearsal_hosts(
    engine: docker.DockerClient, count: int = 2, folder: Path | None = None
) -> Iterator[Rehearsal]:
    """Run hosts; they, their disks and their network are gone after the block.

    Args:
        engine: Who runs them.
        count: How many: host1, host2, …
        folder: Where key, known hosts and inventory are written; None: a temporary one, removed.

    Raises:
        UnavailableError: A program is missing, or a host does not come up.
    """
    image = debian_base(engine, host_image.PACKAGES)
    name, net = f"pushcart-{secrets.token_hex(4)}", free_network()
    with ExitStack() as stack:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="pushcart-hosts-"))
            stack.callback(shutil.rmtree, folder)
        key = _make_key(folder)
        stack.callback(_make_network(engine, name, net).remove)
        hosts = [_describe(name, net, number) for number in range(1, count + 1)]
        for host in hosts:
            stack.callback(machines.remove, engine, host)
            machines.boot(engine, image, host, key.with_suffix(".pub").read_text())
        for host in hosts:
            _check(engine, host)
        yield _written(engine, hosts, str(net[1]), key)


def _describe(name: str, net: IPv4Network, number: int) -> Host:
    host = f"host{number}"
    return Host(host, f"{name}-{host}", name, str(net[10 + number]), free_port(), free_port())


def _make_key(folder: Path) -> Path:
    program = find_program("ssh-keygen")
    if program is None:
        raise UnavailableError("ssh-keygen is not installed. Run: bin/ci services ssh")
    key = folder / "id_ed25519"
    words = [str(program), "-q", "-t", "ed25519", "-N", "", "-C", "pushcart rehearsal"]
    subprocess.run([*words, "-f", str(key)], check=True, stdin=subprocess.DEVNULL)
    return key


def _make_network(
    engine: docker.DockerClient, name: str, net: IPv4Network
) -> docker.models.networks.Network:
    pool = docker.types.IPAMPool(subnet=str(net), gateway=str(net[1]))
    addresses = docker.types.IPAMConfig(pool_configs=[pool])
    return engine.networks.create(name, ipam=addresses, labels={machines.LABEL: name})


def _check(engine: docker.DockerClient, host: Host) -> None:
    if machines.wait_until_up(engine, host) == "degraded":
        raise UnavailableError(
            f"{host.name} came up, but not whole:\n{machines.failed_units(engine, host)}"
        )


def _written(
    engine: docker.DockerClient, hosts: Sequence[Host], gateway: str, key: Path
) -> Rehearsal:
    known = [f"[127.0.0.1]:{host.ssh_port} {machines.public_key(engine, host)}" for host in hosts]
    known_hosts, inventory = key.with_name("known_hosts"), key.with_name("inventory.yml")
    known_hosts.write_text("".join(f"{line}\n" for line in known))
    inventory.write_text(inventory_text(hosts))
    return Rehearsal(tuple(hosts), gateway, key, known_hosts, inventory, engine)


def inventory_text(hosts: Sequence[Host]) -> str:
    """The hosts as Ansible's inventory."""
    lines = ["pushcart:", "  hosts:"]
    for host in hosts:
        lines += [f"    {host.name}:", "      ansible_host: 127.0.0.1"]
        lines += [f"      ansible_port: {host.ssh_port}", "      ansible_user: root"]
    return "\n".join([*lines, ""])
