"""Pushes an image to the registry that hosts pull from, and counts what moved."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError
from requests.exceptions import RequestException

from ci.config import Config, read_variable
from ci.errors import UnavailableError, UsageError

# What registries and engines of different ages say when a login is missing, wrong or too weak.
REFUSALS = ("unauthorized", "authentication required", "no basic auth", "denied")


@dataclass(frozen=True)
class Pushed:
    """An image as it lies in the registry.

    Attributes:
        digest: `sha256:…` of its manifest: what hosts pull.
        sent: Bytes of the layers that the registry lacked, before compression.
    """

    digest: str
    sent: int


def read_login(config: Config) -> dict[str, str] | None:
    """The registry's login as the engine takes it; None where the variables are not set.

    Raises:
        UsageError: One of the two variables is set, the other is not.
    """
    names = (config.images.username_env, config.images.password_env)
    username, password = (read_variable(name) if name else None for name in names)
    if username and password:
        return {"username": username, "password": password}
    if not username and not password:
        return None
    missing, other = names if password else reversed(names)
    raise UsageError(
        f"{other} is set, but {missing or 'the other variable of [images]'} is not: the registry "
        "wants both. Export it, or unset both to use the engine's own login (`docker login`)."
    )


def push(engine: docker.DockerClient, name: str, tag: str, login: dict[str, str] | None) -> Pushed:
    """Push `name:tag`.

    Args:
        engine: Who has the image.
        name: Registry and path, e.g. `registry.example.com/shop/demo-model`.
        tag: Its tag.
        login: What `read_login` gives; None leaves it to the engine's own configuration.

    Raises:
        UnavailableError: The registry does not answer, or refuses.
    """
    moved: dict[str, int] = {}
    digest = ""
    for event in _events(engine, name, tag, login):
        if "error" in event:
            raise UnavailableError(_explain(name, str(event["error"])))
        layer = event.get("id", "")  # what the registry has already shows no progress
        moved[layer] = max(moved.get(layer, 0), event.get("progressDetail", {}).get("current", 0))
        digest = event.get("aux", {}).get("Digest", digest)
    if not digest:
        raise UnavailableError(_explain(name, "the engine named no digest"))
    return Pushed(digest, sum(moved.values()))


def _events(
    engine: docker.DockerClient, name: str, tag: str, login: dict[str, str] | None
) -> Iterator[dict[str, Any]]:
    """What the engine tells; a failed push is an event among them, never an exception."""
    try:
        yield from engine.api.push(name, tag=tag, stream=True, decode=True, auth_config=login)
    except APIError as error:
        raise UnavailableError(_explain(name, str(error.explanation))) from error
    except RequestException as error:
        raise UnavailableError(_explain(name, f"the engine hung up ({error})")) from error


def _explain(name: str, said: str) -> str:
    registry = name.partition("/")[0]
    if any(word in said.lower() for word in REFUSALS):
        return (
            f"The registry {registry} refuses the login for {name}: {said.strip()}\n"
            "Check the variables that [images] username_env and password_env name, and that this "
            "user may push there."
        )
    return (
        f"The image {name} cannot be pushed to {registry}: {said.strip()}\n"
        "Check that the registry runs, that [images] registry names it, and that the engine "
        "trusts its certificate; then run `bin/ci image` again."
    )
