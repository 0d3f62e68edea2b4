"""One Docker engine for all tests of rollouts, so that bases are built for them once."""

from collections.abc import Iterator

import docker
import pytest

from tests.docker_engine import docker_engine
from tests.services import require_service


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    require_service("debian")
    with docker_engine() as client:
        yield client
