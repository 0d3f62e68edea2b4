"""The model registry (MLflow): version numbers, live and previous aliases, the ledger.

It is written to, never depended on, by a rollout: `deploy`, `status` and `rollback` work while it
is down, and what they did waits in the outbox (`ci/rollout`) until it answers again.
"""

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.config import TASK, Config, read_secret, read_variable
from ci.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from mlflow import MlflowClient

DIGEST_TAG = "digest"
LOCATION_TAG = "location"
LEDGER = "ledger"


@dataclass(frozen=True)
class Version:
    """A registered bundle: TF Serving's folder number and the digest of its content."""

    number: int
    digest: str


def model_name(config: Config) -> str:
    """Name of the registered model: `<shop>-<task>`."""
    return f"{config.shop.name}-{TASK}"


def require_shared(config: Config) -> None:
    """Refuse a fleet whose ledger is one machine's file, unless it was asked for.

    Raises:
        UsageError: The environment has hosts, `[registry] uri` is "" and `--single-machine` was
            not given.
    """
    is_shared = config.registry.uri or config.environment.target != "hosts"
    if not is_shared and not config.options.single_machine:
        raise UsageError(
            f"The environment {config.options.environment} has hosts, but [registry] uri is "
            '"": its models and ledger would be a file of this machine alone. Set '
            "`registry.uri` to an MLflow server, or pass --single-machine if every command for "
            "it runs here."
        )


def register(config: Config, digest: str, location: Path, training: dict[str, Any]) -> int:
    """Give a bundle its version number; the same digest keeps the number it has.

    Args:
        config: Names the registry and the shop.
        digest: `sha256:…` of the bundle.
        location: Where the artifact store keeps it; told to people who look at the version.
        training: `training.json`; its plain values become the run's parameters and metrics.

    Raises:
        UnavailableError: The registry does not answer or refuses.
    """
    with _client(config) as client:
        name = _registered_model(client, config)
        for version in client.search_model_versions(f"name = '{name}'"):
            if version.tags.get(DIGEST_TAG) == digest:
                return int(version.version)
        run = client.create_run(_experiment(client, config, "training"))
        for key, value in _parameters(training).items():
            client.log_param(run.info.run_id, key, value)
        for key, value in training.get("validation", {}).items():
            client.log_metric(run.info.run_id, f"validation_{key}", float(value))
        client.set_terminated(run.info.run_id)
        # A server refuses a folder as the source: it cannot see it. Ours is found by its digest.
        made = client.create_model_version(
            name,
            source=f"pushcart:///{digest}",
            run_id=run.info.run_id,
            tags={DIGEST_TAG: digest, LOCATION_TAG: str(location)},
        )
        return int(made.version)


def promote(config: Config, environment: str, model_version: int) -> None:
    """Move `live-<environment>` to a version and `previous-<environment>` to the one before.

    Idempotent: promoting what is live changes nothing.

    Raises:
        UnavailableError: The registry does not answer or refuses.
    """
    with _client(config) as client:
        name = _registered_model(client, config)
        live = _alias(client, name, f"live-{environment}")
        if live == model_version:
            return
        if live is not None:
            client.set_registered_model_alias(name, f"previous-{environment}", str(live))
        client.set_registered_model_alias(name, f"live-{environment}", str(model_version))


def live_version(config: Config, environment: str) -> Version | None:
    """The version that `live-<environment>` names, or None when nothing was ever promoted.

    Raises:
        UnavailableError: The registry does not answer or refuses.
    """
    if is_missing(config):
        return None
    with _client(config) as client:
        name = _registered_model(client, config)
        number = _alias(client, name, f"live-{environment}")
        if number is None:
            return None
        version = client.get_model_version(name, str(number))
        return Version(number, version.tags[DIGEST_TAG])


def is_missing(config: Config) -> bool:
    """Whether the embedded registry is not there: nothing was registered, or it was lost."""
    return not config.registry.uri and not _embedded(config).exists()


def is_empty(config: Config) -> bool:
    """Whether no bundle was ever registered for this shop."""
    if is_missing(config):
        return True
    with _client(config) as client:
        name = _registered_model(client, config)
        return not client.search_model_versions(f"name = '{name}'", max_results=1)


def count_promoted(config: Config) -> int:
    """How many aliases name a release, over all environments of this shop.

    Raises:
        UnavailableError: The registry does not answer or refuses.
    """
    if is_missing(config):
        return 0
    with _client(config) as client:
        return len(client.get_registered_model(_registered_model(client, config)).aliases)


def ship(config: Config, entries: list[dict[str, Any]]) -> None:
    """Write entries of the outbox to the ledger, each as one run; safe to repeat.

    Raises:
        UnavailableError: The registry does not answer or refuses; the entries stay unsent.
    """
    with _client(config) as client:
        experiment = _experiment(client, config, LEDGER)
        for entry in entries:
            known = client.search_runs([experiment], f"tags.entry = '{entry['id']}'")
            if known:
                continue
            tags = {"entry": entry["id"], "ledger": json.dumps(entry, ensure_ascii=False)}
            tags |= {key: str(value) for key, value in entry.items() if key != "id"}
            run = client.create_run(experiment, tags=tags)
            client.set_terminated(run.info.run_id)


def _parameters(training: dict[str, Any]) -> dict[str, str]:
    plain = {**training, **training.get("settings", {})}
    return {k: str(v)[:250] for k, v in plain.items() if isinstance(v, str | int | float | bool)}


def _registered_model(client: "MlflowClient", config: Config) -> str:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    name = model_name(config)
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name)
    return name


def _experiment(client: "MlflowClient", config: Config, kind: str) -> str:
    name = f"{model_name(config)}-{kind}"
    found = client.get_experiment_by_name(name)
    if found:
        return str(found.experiment_id)
    # Embedded, artifacts lie beside the database and never in the caller's folder.
    place = None if config.registry.uri else (config.state / "mlflow").as_uri()
    return str(client.create_experiment(name, artifact_location=place))


def _alias(client: "MlflowClient", name: str, alias: str) -> int | None:
    aliases = client.get_registered_model(name).aliases
    return int(aliases[alias]) if alias in aliases else None


def _embedded(config: Config) -> Path:
    return config.state / "mlflow.db"


@contextlib.contextmanager
def _client(config: Config) -> Iterator["MlflowClient"]:
    """A client of the configured server or of the embedded SQLite store.

    Raises:
        UnavailableError: It does not answer or refuses; the message names it.
        UsageError: A variable of the login is not set.
    """
    _quieten()
    from mlflow import MlflowClient  # noqa: PLC0415  takes seconds
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    uri = config.registry.uri or f"sqlite:///{_embedded(config)}"
    if config.registry.uri:
        _log_in(config)
    else:
        config.state.mkdir(parents=True, exist_ok=True)
    try:
        yield MlflowClient(tracking_uri=uri, registry_uri=uri)
    except MlflowException as error:
        if error.error_code == "UNAUTHENTICATED":
            raise UnavailableError(_refused_login(config)) from error
        raise UnavailableError(
            f"The model registry {uri} does not answer or refuses: {error.message}. "
            "Check [registry] in pipeline.toml and that the server runs."
        ) from error


def _quieten() -> None:
    """MLflow reports itself, its migrations and each attempt; all that is noise here."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    warnings.filterwarnings("ignore", module="mlflow")
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _log_in(config: Config) -> None:
    """Hand the referenced login to MLflow, which reads it from the environment only.

    Raises:
        UsageError: A variable that the settings name is not set.
    """
    username_env = config.registry.username_env
    password = read_secret(config.registry.password_env, "")
    if username_env and password:
        username = read_variable(username_env)
        if username is None:
            raise UsageError(
                f"The environment variable {username_env} named by `registry.username_env` is not "
                f"set: export {username_env}=… and run again."
            )
        os.environ["MLFLOW_TRACKING_USERNAME"] = username
        os.environ["MLFLOW_TRACKING_PASSWORD"] = password


def _refused_login(config: Config) -> str:
    """What to do where the server does not know the login, or got none."""
    where = f"The model registry {config.registry.uri} refuses the login"
    names = config.registry.username_env, config.registry.password_env
    if not all(names):
        return (
            f"{where}: it wants one. Set `registry.username_env` and `registry.password_env` to "
            "the environment variables that hold it."
        )
    return f"{where} in ${names[0]} and ${names[1]}. Check both, and that the server knows them."
