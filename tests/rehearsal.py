"""The rehearsal's hosts for tests: the real ones, or a skip that says what is missing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest

from ci.rehearsal import hosts as rehearsal
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
