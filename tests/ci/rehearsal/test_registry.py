"""The registry of the rehearsal: TLS by its own authority, a password, nothing left behind."""

import ssl

import httpx
import pytest

from ci.errors import UnavailableError
from ci.rehearsal import registry as rehearsal
from tests.registry import container_registry


def ask(registry: rehearsal.ContainerRegistry, password: str) -> httpx.Response:
    trust = ssl.create_default_context(cafile=str(registry.ca_file))
    with httpx.Client(verify=trust, trust_env=False, auth=(registry.user, password)) as client:
        return client.get(f"https://{registry.address}/v2/_catalog")


def test_it_asks_for_its_password_and_leaves_nothing():
    with container_registry() as registry:
        assert ask(registry, registry.password).json() == {"repositories": []}
        assert ask(registry, "wrong").status_code == 401
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"https://{registry.address}/v2/", trust_env=False)
        assert registry.password not in registry.log.read_text()
    assert not registry.ca_file.parent.exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{registry.address}/", trust_env=False)


def test_two_passwords_are_never_the_same():
    with container_registry() as one, container_registry() as other:
        assert one.password != other.password
        assert one.address != other.address
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(rehearsal.ContainerRegistry(other.address, "", "", one.ca_file, *2 * [one.log]), "")


def test_an_address_of_nobody_is_told():
    with pytest.raises(UnavailableError, match="did not start"):  # noqa: SIM117
        with rehearsal.container_registry("192.0.2.1", 5000):
            pass
