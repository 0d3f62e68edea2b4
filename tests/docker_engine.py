"""The Docker engine of the tests: the rehearsal's, or a skip that says what is missing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest

from ci.rehearsal import engine as rehearsal
from tests.services import NOT_RUN_HERE, require_service


@contextmanager
def docker_engine() -> Iterator[docker.DockerClient]:
    """A real engine in a temporary folder, gone with everything it held."""
    require_service("docker")
    if os.geteuid() != 0:
        pytest.skip(f"{NOT_RUN_HERE} dockerd needs root (images are built)")
    with rehearsal.docker_engine() as client:
        yield client
