"""A host as a container: created, booted until its system stands, and removed with its disk."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, NotFound

from ci.errors import UnavailableError
from ci.rehearsal import host_image

BOOT_SECONDS = 120.0  # a boot takes seconds; a busy machine makes it many more
UP = ("running", "degraded")
LABEL = "pushcart.rehearsal"
SHOPPERS = 8080  # where a host's proxy listens
# Root without CAP_SYS_RESOURCE (itself in a container, or on some build machines) may not start a
# privileged container; systemd and dockerd also live with these.
UNPRIVILEGED = {
    "cap_add": ["ALL"],
    "cap_drop": ["SYS_RESOURCE"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
    "device_cgroup_rules": ["a *:* rwm"],
}


@dataclass(frozen=True)
class Host:
    """One host.

    Attributes:
        name: In the inventory, and its host name.
        container: What the engine calls it, and its disk.
        network: The rehearsal's, by name.
        address: In that network.
        ssh_port: On 127.0.0.1; the same after a reboot.
        shopper_port: On 127.0.0.1; leads to port 8080 of the host.
    """

    name: str
    container: str
    network: str
    address: str
    ssh_port: int
    shopper_port: int


def boot(engine: docker.DockerClient, image: str, host: Host, public_key: str) -> None:
    """Create and start a host: privileged where that is allowed, else with what it really needs."""
    files = host_image.files(public_key)
    try:
        _start(engine, image, host, files, {"privileged": True})
    except APIError as error:
        if "operation not permitted" not in str(error):
            raise
        remove(engine, host)
        _start(engine, image, host, files, UNPRIVILEGED)


def _start(
    engine: docker.DockerClient, image: str, host: Host, files: bytes, rights: dict[str, Any]
) -> None:
    labels = {LABEL: host.network}
    engine.volumes.create(host.container, labels=labels)
    engine.api.create_container(
        image,
        [host_image.BOOT],
        name=host.container,
        hostname=host.name,
        labels=labels,
        environment={"container": "docker"},  # systemd then leaves hardware and consoles alone
        stop_signal="SIGRTMIN+3",  # how systemd is asked to shut down
        ports=[22, SHOPPERS],
        host_config=_host_config(engine, host, rights),
        networking_config=_networking(engine, host),
    )
    engine.api.put_archive(host.container, "/", files)
    engine.api.start(host.container)


def _host_config(engine: docker.DockerClient, host: Host, rights: dict[str, Any]) -> dict[str, Any]:
    published = {22: ("127.0.0.1", host.ssh_port), SHOPPERS: ("127.0.0.1", host.shopper_port)}
    config: dict[str, Any] = engine.api.create_host_config(
        # On a volume: an engine's layers cannot lie on another engine's layers.
        binds={host.container: {"bind": "/var/lib/docker", "mode": "rw"}},
        port_bindings=published,
        tmpfs={"/run": "mode=755", "/run/lock": "", "/tmp": "exec"},  # noqa: S108
        network_mode=host.network,
        cgroupns="private",  # else what ran on a host leaves its groups on this machine
        **rights,
    )
    # systemd and dockerd need all of /proc and /sys; the library has no word for it.
    return {**config, "MaskedPaths": [], "ReadonlyPaths": []}


def _networking(engine: docker.DockerClient, host: Host) -> dict[str, Any]:
    endpoint = engine.api.create_endpoint_config(ipv4_address=host.address)
    config: dict[str, Any] = engine.api.create_networking_config({host.network: endpoint})
    return config


def wait_until_up(engine: docker.DockerClient, host: Host) -> str:
    """Wait until a host's system has come up; returns systemd's word, `running` or `degraded`.

    Raises:
        UnavailableError: It does not come up.
    """
    # Without --wait: before its bus stands, systemd refuses to be waited for.
    state = _say_until(engine, host, "systemctl is-system-running", UP.__contains__)
    if state in UP:
        return state
    log = engine.api.logs(host.container, tail=40).decode(errors="replace")
    raise UnavailableError(f"{host.name} did not come up ({state}):\n{log}")


def failed_units(engine: docker.DockerClient, host: Host) -> str:
    """The units of a host that failed, as systemd lists them."""
    return _say(engine, host, "systemctl list-units --failed --no-legend --plain")


def public_key(engine: docker.DockerClient, host: Host) -> str:
    """The host's own public key, read on the host: nobody in between can have put another.

    Raises:
        UnavailableError: The host does not tell it.
    """
    read = "cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub"
    # A busy engine was seen to give nothing: such a host would be a stranger to every command.
    key = _say_until(engine, host, read, lambda said: said.startswith("ssh-ed25519 "))
    if not key.startswith("ssh-ed25519 "):
        raise UnavailableError(f"{host.name} does not tell its public key: `{read}` said {key!r}.")
    return key


def remove(engine: docker.DockerClient, host: Host) -> None:
    """Remove a host and its disk, as far as they exist."""
    with contextlib.suppress(NotFound):
        engine.api.remove_container(host.container, force=True, v=True)
    with contextlib.suppress(NotFound):
        engine.api.remove_volume(host.container, force=True)


def _say_until(
    engine: docker.DockerClient, host: Host, command: str, is_good: Callable[[str], bool]
) -> str:
    """What a command on a host says once it is good, or the last it said in `BOOT_SECONDS`."""
    deadline = time.monotonic() + BOOT_SECONDS
    said = _say(engine, host, command)
    while not is_good(said) and time.monotonic() < deadline:
        time.sleep(0.05)
        said = _say(engine, host, command)
    return said


def _say(engine: docker.DockerClient, host: Host, command: str) -> str:
    try:
        made = engine.api.exec_create(host.container, ["sh", "-c", command], stderr=False)
        said: bytes = engine.api.exec_start(made["Id"])
    except APIError as error:
        raise UnavailableError(f"{host.name} does not run: {error.explanation}") from error
    return said.decode(errors="replace").strip()
