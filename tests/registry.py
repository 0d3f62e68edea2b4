"""The registry of the tests: the rehearsal's, or a skip that says what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from ci.rehearsal import registry as rehearsal
from tests.services import require_service


@contextmanager
def container_registry(host: str = "127.0.0.1") -> Iterator[rehearsal.ContainerRegistry]:
    """A real registry with TLS and a password; its `address`, `user`, `password` and `ca_file`."""
    require_service("registry")
    with rehearsal.container_registry(host) as registry:
        yield registry
