"""Finds the live bundle that a challenger is compared with."""

import json
from dataclasses import dataclass
from pathlib import Path

from ci import artifacts, reference, registry
from ci.config import TASK, Config, read_variable
from ci.errors import RefusedError, UnavailableError, UsageError
from ci.workspace import digest_of
from serving.host import record, releases


@dataclass(frozen=True)
class Baseline:
    """The bundle that serves an environment now.

    Attributes:
        model_version: Its number.
        digest: `sha256:…` of its folder.
        path: Its folder, proved unaltered.
    """

    model_version: int
    digest: str
    path: Path


def find_baseline(config: Config, environment: str | None = None) -> Baseline | None:
    """The live bundle of an environment, by default of `[gate] baseline_environment`.

    On target `process` the host's own record says what is live, and the release it placed is the
    bundle; elsewhere, and where this machine is not that host, the registry's alias says so, and
    the artifact store has the bundle. A pull request is compared with what the code of `main` made
    of the reference.

    Returns:
        The bundle, or None when that environment has no live release.

    Raises:
        UnavailableError: What is live cannot be loaded (a lost baseline).
        UsageError: What is live stands in a registry that this agent does not see.
    """
    if config.options.reference:
        return _of_reference(config)
    name = environment or config.gate.baseline_environment
    _require_one_registry(config)
    on_this_host = config.settings.environments[name].target == "process"
    return _of_host(config, name) if on_this_host else _of_registry(config, name)


def _of_reference(config: Config) -> Baseline:
    """The bundle of `main`; the reference was proved unaltered when it was fetched."""
    home = reference.home_of(config)
    task = reference.begun_build(home) / reference.facts_of(home)["shop"] / TASK
    described = json.loads((task / "bundle.json").read_text("utf-8"))
    path = task / described["path"]
    return Baseline(int(described["model_version"]), str(described["digest"]), path)


def _require_one_registry(config: Config) -> None:
    """Agents that share artifacts must share what is live, or each release would be a first one."""
    if (
        not config.shared_artifacts
        or config.registry.uri
        or read_variable(config.storage.state_env)
    ):
        return
    raise UsageError(
        f"{config.storage.artifacts_env} says that agents share their artifacts, but each would "
        'keep a registry of its own, which knows no release of the others: [registry] uri is "". '
        f"Set it to an MLflow server, or {config.storage.state_env} to a folder that all share."
    )


def _of_host(config: Config, name: str) -> Baseline | None:
    home = config.environment_state(name)
    try:
        known = record.load(home)
        if known is None and config.registry.uri:  # this agent is not that host
            return _of_registry(config, name)
        live = known.live_colour if known else None
        if live is None:
            return None
        path = releases.load(home, live.digest).bundle(home)
    except (record.RecordError, releases.ReleaseError) as error:
        raise _lost(name, str(error)) from error
    if not path.exists() or (seen := digest_of(path)) != live.digest:
        state = "is gone" if not path.exists() else f"was altered: its digest is {seen}"
        raise _lost(name, f"Release {live.model_version} at {path} {state}.")
    return Baseline(live.model_version, live.digest, path)


def _of_registry(config: Config, name: str) -> Baseline | None:
    live = registry.live_version(config, name)
    if live is None:
        return None
    try:
        path = artifacts.fetch(config, live.digest)
    except (UnavailableError, RefusedError) as error:
        raise _lost(name, f"Model version {live.number} cannot be loaded. {error}") from error
    return Baseline(live.number, live.digest, path)


def _lost(name: str, why: str) -> UnavailableError:
    return UnavailableError(
        f"The baseline is lost, so nothing can be compared with what {name} serves: {why} "
        "The release that serves was not touched. Restore it from a backup, or release again "
        "with `bin/ci rollback` to one that is whole."
    )
