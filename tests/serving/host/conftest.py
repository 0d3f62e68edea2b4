"""A Docker engine for the tests of what a host does with it."""

from collections.abc import Iterator

import docker
import pytest

from tests.docker_engine import docker_engine
from tests.rollout_places import socket_of


@pytest.fixture(scope="module")
def host_engine() -> Iterator[docker.DockerClient]:
    """An engine that the program `docker` of these tests speaks with."""
    with docker_engine() as client, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{socket_of(client)}")
        yield client
