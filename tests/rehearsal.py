"""The rehearsal's hosts for tests: the real ones, or a skip that says what is missing."""

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from ci.rehearsal import hosts as rehearsal
from ci.rehearsal.engine import address, docker_engine
from ci.rehearsal.registry import ContainerRegistry, trusted
from ci.rehearsal.shop import open_shop
from tests.registry import container_registry
from tests.services import NOT_RUN_HERE, require_service


@contextmanager
def rehearsal_hosts(engine: docker.DockerClient, count: int = 2) -> Iterator[rehearsal.Rehearsal]:
    """Running hosts with systemd, SSH and Docker; see `ci/rehearsal/hosts.py`."""
    for service in ("docker", "debian", "ssh"):
        require_service(service)
    if os.geteuid() != 0:
        pytest.skip(f"{NOT_RUN_HERE} dockerd needs root (hosts are containers)")
    with rehearsal.rehearsal_hosts(engine, count) as running:
        yield running


@dataclass(frozen=True)
class RehearsedShop:
    """Hosts, not prepared yet, a registry of images, and the settings of a shop for them.

    Attributes:
        rehearsal: The hosts.
        images: The registry of images.
        settings: The shop's `pipeline.toml`.
        variables: Credentials, as an agent of the build server has them; they are set here.
        close_images: Ends the registry of images.
    """

    rehearsal: rehearsal.Rehearsal
    images: ContainerRegistry
    settings: Path
    variables: dict[str, str]
    close_images: Callable[[], None]


@contextmanager
def rehearsed_shop(folder: Path) -> Iterator[RehearsedShop]:
    """Two hosts and their shop; all is gone after the block.

    Args:
        folder: For everything; its path is short, for it holds sockets.
    """
    require_service("docker")
    with ExitStack() as stack:
        engine = stack.enter_context(docker_engine(folder / "engine"))
        hosts = stack.enter_context(rehearsal_hosts(engine))
        images = stack.enter_context(ExitStack())
        registry = images.enter_context(container_registry(hosts.gateway))
        stack.enter_context(trusted(registry))
        for name in ("inventory", "known_hosts"):
            path = getattr(hosts, name)
            shutil.copy(path, folder / path.name)
        shop = open_shop(hosts, registry, address(folder / "engine"), folder)
        lines = shlex.split(shop.variables.read_text())
        variables = dict(word.split("=", 1) for word in lines if word != "export")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in variables.items():
            patch.setenv(name, value)
        yield RehearsedShop(hosts, registry, shop.settings, variables, images.close)
