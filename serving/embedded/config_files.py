"""Reads tensorflow_model_server's configuration files: models, batching, monitoring."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf import text_format

from serving.embedded.messages import BatchingParameters, ModelServerConfig, MonitoringConfig
from serving.embedded.status import invalid

PLATFORM: Final = "tensorflow"
DEFAULT_METRICS_PATH: Final = "/monitoring/prometheus/metrics"


@dataclass(frozen=True)
class VersionPolicy:
    """Which of the versions on disk are served: the `latest` few, the `specific` ones, else all."""

    latest: int | None = 1
    specific: frozenset[int] | None = None


@dataclass(frozen=True)
class ModelSettings:
    """One entry of models.config."""

    name: str
    base_path: Path
    policy: VersionPolicy
    labels: Mapping[str, int]


@dataclass(frozen=True)
class BatchingSettings:
    """One batching_parameters.txt; the defaults are TensorFlow Serving's.

    Attributes:
        max_batch_size: Most rows of one run.
        timeout_seconds: How long the first request of a batch waits for others.
        threads: Batches that run side by side.
        max_enqueued: Batches that may wait for a thread, per signature; more are refused.
        allowed_sizes: Sizes to which a batch is padded, ascending; empty pads nothing.
    """

    max_batch_size: int = 1000
    timeout_seconds: float = 0.0
    threads: int = os.cpu_count() or 1
    max_enqueued: int = 10
    allowed_sizes: tuple[int, ...] = ()

    def padded(self, rows: int) -> int:
        """Returns the size at which a batch of that many rows is run."""
        return next((size for size in self.allowed_sizes if size >= rows), rows)


def single_model(name: str, base_path: str) -> Any:
    """Returns the ModelServerConfig of --model_name and --model_base_path."""
    config = ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=PLATFORM)
    return config


def read_model_config(path: Path) -> Any:
    """Reads models.config into a ModelServerConfig.

    Raises:
        ServingError: INVALID_ARGUMENT with the line at fault.
    """
    return _read(path, ModelServerConfig())


def model_settings(config: Any) -> dict[str, ModelSettings]:
    """Checks a ModelServerConfig and returns its models by name.

    Raises:
        ServingError: INVALID_ARGUMENT in TensorFlow Serving's words.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid("custom_model_config is not supported; list models in model_config_list.")
    models: dict[str, ModelSettings] = {}
    for entry in config.model_config_list.config:
        if entry.name in models:
            raise invalid(f"Illegal to list model {entry.name} multiple times in config list")
        models[entry.name] = _model(entry)
    return models


def read_batching(path: Path) -> BatchingSettings:
    """Reads batching_parameters.txt.

    Raises:
        ServingError: INVALID_ARGUMENT with the field, its value and what is allowed.
    """
    parameters = _read(path, BatchingParameters())
    if parameters.pad_variable_length_inputs:
        raise invalid(
            f"{path}: pad_variable_length_inputs pads with the first id of a history, which "
            "changes the answer; send inputs of fixed length and leave it out."
        )
    defaults = BatchingSettings()
    chosen = {
        "max_batch_size": _value(parameters, "max_batch_size", defaults.max_batch_size, 1),
        "timeout_seconds": _value(parameters, "batch_timeout_micros", 0, 0) / 1e6,
        "threads": _value(parameters, "num_batch_threads", defaults.threads, 1),
        "max_enqueued": _value(parameters, "max_enqueued_batches", defaults.max_enqueued, 1),
    }
    sizes = tuple(parameters.allowed_batch_sizes)
    _check_sizes(path, sizes, int(chosen["max_batch_size"]))
    return BatchingSettings(**chosen, allowed_sizes=sizes)  # type: ignore[arg-type]


def read_metrics_path(path: Path) -> str | None:
    """Reads monitoring.config; returns the path of the Prometheus page, None when it is off."""
    monitoring = _read(path, MonitoringConfig()).prometheus_config
    return (monitoring.path or DEFAULT_METRICS_PATH) if monitoring.enable else None


def _read(path: Path, message: Any) -> Any:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), message)
    except (OSError, UnicodeDecodeError) as error:
        raise invalid(f"Cannot read {path}: {error}") from error
    except text_format.ParseError as error:
        kind = message.DESCRIPTOR.name
        raise invalid(f"{path} is no {kind} in protobuf text format: {error}") from error


def _model(entry: Any) -> ModelSettings:
    if not entry.name:
        raise invalid("A model in model_config_list has no name.")
    if not Path(entry.base_path).is_absolute():
        raise invalid(
            f"Expected model {entry.name} to have an absolute path or URI; "
            f"got base_path()={entry.base_path}"
        )
    if entry.model_platform != PLATFORM:
        raise invalid(
            f"Model {entry.name} requests unsupported platform {entry.model_platform!r}; "
            f"this server has {PLATFORM!r}."
        )
    return ModelSettings(
        entry.name,
        Path(entry.base_path),
        _policy(entry.model_version_policy),
        dict(entry.version_labels),
    )


def _policy(policy: Any) -> VersionPolicy:
    match policy.WhichOneof("policy_choice"):
        case "all":
            return VersionPolicy(latest=None)
        case "specific":
            return VersionPolicy(latest=None, specific=frozenset(policy.specific.versions))
        case _:
            return VersionPolicy(latest=max(1, policy.latest.num_versions))


def _value(parameters: Any, name: str, default: int, least: int) -> int:
    value = int(getattr(parameters, name).value) if parameters.HasField(name) else default
    if value < least:
        raise invalid(f"{name} is {value}; it must be at least {least}.")
    return value


def _check_sizes(path: Path, sizes: tuple[int, ...], largest: int) -> None:
    if any(after <= before for before, after in zip((0, *sizes), sizes, strict=False)):
        raise invalid(f"{path}: allowed_batch_sizes entries must be monotonically increasing")
    if sizes and sizes[-1] != largest:
        raise invalid(
            f"{path}: Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
            f"{sizes[-1]}; expected {largest}"
        )
