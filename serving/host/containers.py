"""Containers of this machine by the `docker` program, each hardened the same way."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

HARDENED: Final = (
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--restart=unless-stopped",
    "--log-opt=max-size=10m",
    "--log-opt=max-file=3",
)
LAST_LINES: Final = 5


class DockerError(OSError):
    """The Docker engine of this machine does not do what it should."""


@dataclass(frozen=True)
class Container:
    """What is started.

    Attributes:
        name: Its name on the machine and in its network.
        image: By digest, `name@sha256:…`.
        network: User-defined network that it joins.
        ports: Port inside → port on 127.0.0.1 of the machine.
        arguments: Given to its entrypoint.
    """

    name: str
    image: str
    network: str
    ports: Mapping[int, int]
    arguments: Sequence[str] = ()


def docker(*words: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Run the `docker` program and return what it says.

    Raises:
        DockerError: It is missing or failed; the message holds its words.
    """
    try:
        done = subprocess.run(
            ["docker", *words],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise DockerError(f"the program docker cannot be started: {error}") from error
    if done.returncode != 0:
        raise DockerError(f"`docker {words[0]}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def run(container: Container) -> None:
    """Start a container in the place of any that has its name.

    Raises:
        DockerError: The engine does not answer, the image is not here, a port is taken.
    """
    remove(container.name)
    words = ["run", "--detach", "--pull=never", f"--name={container.name}", *HARDENED]
    words.append(f"--network={container.network}")
    words += [f"--publish=127.0.0.1:{outer}:{inner}" for inner, outer in container.ports.items()]
    docker(*words, container.image, *container.arguments)


def remove(name: str, grace_seconds: float = 0) -> None:
    """End a container, asked first where it is given time, and remove it; none is no trouble."""
    if grace_seconds and is_running(name):
        docker("stop", f"--time={round(grace_seconds)}", name)
    docker("rm", "--force", "--volumes", name)


def ensure_network(name: str) -> None:
    """Make a network where it is missing."""
    if not docker("network", "ls", "--quiet", f"--filter=name=^{name}$").strip():
        docker("network", "create", "--label=pushcart", name)


def inspect(name: str) -> dict[str, Any] | None:
    """What the engine knows of a container; None where there is none."""
    if not docker("ps", "--all", "--quiet", f"--filter=name=^/{name}$").strip():
        return None
    known: list[dict[str, Any]] = json.loads(docker("inspect", "--type=container", name))
    return known[0]


def is_running(name: str) -> bool:
    """Whether a container runs, and not only because it is started again and again."""
    known = inspect(name)
    state = known["State"] if known else {}
    return bool(state.get("Running")) and not state.get("Restarting")


def last_words(name: str) -> list[str]:
    """The last lines that a container wrote."""
    done = subprocess.run(
        ["docker", "logs", f"--tail={LAST_LINES}", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.splitlines()[-LAST_LINES:]
