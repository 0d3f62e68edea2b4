"""Finds the live bundle that a challenger is compared with."""

from dataclasses import dataclass
from pathlib import Path

from ci import artifacts, registry
from ci.config import Config
from ci.errors import RefusedError, UnavailableError


@dataclass(frozen=True)
class Baseline:
    """The bundle that serves an environment now.

    Attributes:
        model_version: Its number.
        digest: `sha256:…` of its folder.
        path: The folder in the artifact store, proved unaltered.
    """

    model_version: int
    digest: str
    path: Path


def find_baseline(config: Config, environment: str | None = None) -> Baseline | None:
    """The live bundle of an environment, by default of `[gate] baseline_environment`.

    Returns:
        The bundle, or None when that environment never had a release.

    Raises:
        UnavailableError: The ledger names a bundle that cannot be loaded (a lost baseline).
    """
    name = environment or config.gate.baseline_environment
    live = registry.live_version(config, name)
    if live is None:
        return None
    try:
        path = artifacts.fetch(config, live.digest)
    except (UnavailableError, RefusedError) as error:
        raise UnavailableError(
            f"The baseline is lost: {name} serves model version {live.number}, which cannot be "
            f"loaded. {error} The release that serves was not touched."
        ) from error
    return Baseline(live.number, live.digest, path)
