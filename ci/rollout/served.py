"""Which release answers shoppers: asked at the endpoint itself, without MLflow or TensorFlow."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.config import Config
from ci.errors import RolloutUndoneError, UnavailableError
from ci.rollout.client import find_record
from serving.host import releases
from serving.host.calls import CallError, call
from serving.host.host import LOOPBACK, POLL_SECONDS
from serving.host.record import Record
from serving.host.verification import UnhealthyError, verify_gateway


@dataclass(frozen=True)
class Served:
    """What the public endpoint of a host ("" is this machine) says it serves."""

    model_version: int
    digest: str
    url: str
    host: str = ""

    @property
    def place(self) -> str:
        """Where it answers, for people."""
        return self.host or self.url


def url_of(known: Record) -> str:
    """The public address of an environment."""
    return f"http://{LOOPBACK}:{known.port}"


def ask_served(known: Record | None) -> Served | None:
    """The release that answers at the public endpoint, or None when none is ready there."""
    if known is None or not known.port:
        return None
    try:
        answer = call(f"{LOOPBACK}:{known.port}", "/readyz", timeout=3.0)
    except CallError:
        return None
    body = answer.body
    if answer.status != 200 or not isinstance(body, dict) or "digest" not in body:
        return None
    return Served(int(body["model_version"]), str(body["digest"]), url_of(known))


def where_logs(config: Config) -> str:
    """Where the words of what serves are kept, as the end of a message."""
    if config.environment.target == "process":
        return f"the logs are in {config.environment_state() / 'logs'}"
    names = f"{config.shop.name}-{config.options.environment}"
    return f"the logs are in `docker logs {names}-<colour>-model` and `…-gateway`"


def wait_served(config: Config, digest: str) -> Served:
    """Wait until the public endpoint answers as a release that should be live already.

    Raises:
        UnavailableError: It does not within `[serving] start_timeout_seconds`.
    """
    deadline = time.monotonic() + config.serving.start_timeout_seconds
    known = find_record(config)
    while (served := ask_served(known)) is None or served.digest != digest:
        if time.monotonic() > deadline or known is None:
            raise UnavailableError(
                f"{url_of(known) if known else 'The endpoint'} should answer as {digest}, but "
                f"{f'{served.digest} does' if served else 'nobody does'}. See `bin/ci status`; "
                f"{where_logs(config)}."
            )
        time.sleep(POLL_SECONDS)
        known = find_record(config)
    return served


def example(home: Path, served: Served, key: str = "") -> dict[str, Any]:
    """One shopper's recommendations, asked at the public endpoint as a shop would.

    Args:
        home: Folder of the environment.
        served: What answers there.
        key: The release's key, where that is more than the bundle's digest.

    Raises:
        RolloutUndoneError: The endpoint does not answer as the release must.
    """
    placed = releases.load(home, key or served.digest)
    address = served.url.removeprefix("http://")
    try:
        return verify_gateway(address, placed, placed.example_user)
    except UnhealthyError as error:
        raise RolloutUndoneError(f"{error}. See `bin/ci status`.") from error
