"""A Docker engine of our own, which touches neither another engine nor this machine's network."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from ci.errors import UnavailableError
from ci.images import UNIX, listens
from ci.rehearsal.networks import free_network
from ci.services import find_program

START_SECONDS = 120.0
SOCKET = "sock"  # in the engine's folder


@contextmanager
def docker_engine(folder: Path | None = None) -> Iterator[docker.DockerClient]:
    """Run dockerd in a folder of its own; it and all that it held are gone after the block.

    It makes no bridge, no firewall rule and no forwarding: `docker build` and `docker run` have
    no network. Networks that a caller makes are bridges whose containers reach one another and
    this machine, and their published ports are carried by a process: enough for a rehearsal, and
    nothing that could be pulled from outside by mistake is.

    Args:
        folder: One that does not exist yet, with a short path; None: a temporary one.

    Raises:
        UnavailableError: dockerd is not installed, this is not root, or it does not start.
    """
    program = find_program("dockerd")
    if program is None:
        raise UnavailableError("dockerd is not installed. Run: bin/ci services docker")
    if os.geteuid() != 0:
        raise UnavailableError("A Docker engine of our own needs root; run it as root.")
    # A socket's path must be short, and the engine leaves mounts below its folder until it ends.
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="pc-docker-"))
    else:
        folder.mkdir()  # all of it is removed: nobody else's things may be in it
    try:
        with _running(_command(program, folder), folder) as client:
            yield client
    finally:
        _unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _unmount(folder: Path) -> None:
    """Take down what dockerd left: it keeps the mark of the network of `docker run --net=host`."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    for place in reversed([one for one in mounts if Path(one).is_relative_to(folder)]):
        subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)


def address(folder: Path) -> str:
    """How clients name the engine of a folder: the value of DOCKER_HOST."""
    return f"{UNIX}{folder / SOCKET}"


def _command(program: Path, folder: Path) -> list[str]:
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
    return [
        str(program),
        f"--host={address(folder)}",
        *(f"--{option}={folder}/{name}" for option, name in places.items()),
        f"--default-address-pool=base={free_network()},size=28",  # sixteen networks that nobody has
        "--bridge=none",
        "--iptables=false",
        "--ip-forward=false",
    ]


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[docker.DockerClient]:
    with (folder / "log").open("wb") as log:
        # A session of its own: a Ctrl-C is for whoever removes what the engine holds, not for it.
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    client = None
    try:
        client = _answering(process, folder)
        yield client
    finally:
        if client is not None:
            _remove_networks(client)
            client.close()
        process.terminate()
        process.wait(timeout=60)


def _remove_networks(client: docker.DockerClient) -> None:
    """Take down the bridges that callers made: dockerd leaves them on the machine for good.

    Thirty of them later no engine of this machine would find an address for a network.
    """
    for network in client.networks.list(filters={"type": "custom"}, greedy=True):
        for container in network.containers:
            container.remove(force=True)
        network.remove()


def _answering(process: subprocess.Popen[bytes], folder: Path) -> docker.DockerClient:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if listens(folder / SOCKET):
            return docker.DockerClient(base_url=address(folder), timeout=300)
        time.sleep(0.02)
    said = (folder / "log").read_text(errors="replace")[-4000:]
    raise UnavailableError(f"dockerd did not start:\n{said}")
