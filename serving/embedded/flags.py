"""The command line: tensorflow_model_server's flags, and --engine and --host."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CPUS: Final = os.cpu_count() or 1
# Flags that change nothing here, with the reason; they are taken so that one command line starts
# either server.
WITHOUT_EFFECT: Final = {
    "enable_profiler": "there is no profiler service to switch off",
    "enforce_session_run_timeout": "the deadline of a request always bounds its run",
    "flush_filesystem_caches": "the page cache is left to the kernel",
    "remove_unused_fields_from_bundle_metagraph": "only the signatures are kept of the meta graph",
    "num_unload_threads": "one thread unloads, never in the way of requests",
    "tensorflow_session_parallelism": "set intra and inter op parallelism",
    "per_process_gpu_memory_fraction": "the engines run on the CPU",
    "rest_api_enable_cors_support": "browsers talk to the gateway",
}


@dataclass(frozen=True)
class Flags:
    """The parsed command line; names and defaults are tensorflow_model_server's."""

    port: int
    rest_api_port: int
    host: str
    engine: str
    model_config_file: Path | None
    model_config_file_poll_wait_seconds: float
    model_name: str
    model_base_path: str
    monitoring_config_file: Path | None
    enable_batching: bool
    batching_parameters_file: Path | None
    enable_model_warmup: bool
    num_request_iterations_for_warmup: int
    enable_grpc_healthcheck_service: bool
    enable_serialization_as_tensor_content: bool
    allow_version_labels_for_unavailable_models: bool
    num_load_threads: int
    max_num_load_retries: int
    load_retry_interval_micros: int
    file_system_poll_wait_seconds: float
    rest_api_timeout_in_ms: int
    rest_api_num_threads: int
    grpc_max_threads: int
    tensorflow_intra_op_parallelism: int
    tensorflow_inter_op_parallelism: int
    saved_model_tags: str


def parse(arguments: Sequence[str]) -> Flags:
    """Parses the command line; a flag that is unknown or contradicts another ends with exit 2."""
    parser = _parser()
    values, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(
            f"unknown argument: {unknown[0]}. This server takes the flags of "
            "tensorflow_model_server that --help lists, and --engine and --host."
        )
    named = vars(values)
    for name in WITHOUT_EFFECT:
        named.pop(name)
    flags = Flags(**named)
    _check(parser, flags)
    return flags


def _check(parser: argparse.ArgumentParser, flags: Flags) -> None:
    if not flags.port:
        parser.error("--port is 0; the server needs a port for gRPC.")
    if flags.port == flags.rest_api_port:
        parser.error(f"--port and --rest_api_port are both {flags.port}; they must differ.")
    if not flags.model_config_file and not flags.model_base_path:
        parser.error("give --model_config_file, or --model_name and --model_base_path.")
    if flags.batching_parameters_file and not flags.enable_batching:
        parser.error("--batching_parameters_file is set without setting --enable_batching to true.")
    if flags.enable_batching and flags.engine == "litert":
        parser.error(
            "--enable_batching is for --engine=savedmodel: a row costs LiteRT the same at every "
            "batch size."
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.server",
        description="Serves bundles by TensorFlow Serving's gRPC and REST API.",
        allow_abbrev=False,
    )
    _where(parser)
    _models(parser)
    _running(parser)
    for name, reason in WITHOUT_EFFECT.items():
        parser.add_argument(f"--{name}", nargs="?", help=f"taken without effect: {reason}")
    return parser


def _where(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--port", type=_number, default=8500, help="port of the gRPC API (8500)")
    add("--rest_api_port", type=_number, default=0, help="port of the REST API (0: off)")
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--rest_api_timeout_in_ms", type=_number, default=30000, help="REST timeout (30000)")
    add("--rest_api_num_threads", type=_positive, default=4 * _CPUS, help="REST worker threads")
    add("--grpc_max_threads", type=_positive, default=4 * _CPUS, help="gRPC worker threads")
    _switch(parser, "enable_grpc_healthcheck_service", False, "serve grpc.health.v1")
    _switch(parser, "enable_serialization_as_tensor_content", False, "answer in tensor_content")
    add("--monitoring_config_file", type=Path, help="MonitoringConfig in protobuf text format")


def _models(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--engine", choices=("savedmodel", "litert"), default="savedmodel", help="what computes")
    add("--model_config_file", type=Path, help="ModelServerConfig in protobuf text format")
    add(
        "--model_config_file_poll_wait_seconds",
        type=float,
        default=0,
        help="seconds between two reads of --model_config_file (0: read once)",
    )
    add("--model_name", default="default", help="without --model_config_file")
    add("--model_base_path", default="", help="without --model_config_file")
    add("--file_system_poll_wait_seconds", type=float, default=1, help="between looks at the disk")
    add("--num_load_threads", type=_number, default=0, help="loads side by side; 0 counts as 1")
    add("--max_num_load_retries", type=_number, default=5, help="after the first failure (5)")
    add("--load_retry_interval_micros", type=int, default=60_000_000, help="between two attempts")
    add("--saved_model_tags", default="serve", help="the meta graph to load (serve)")
    _switch(parser, "enable_model_warmup", True, "replay the bundle's warm-up requests")
    add("--num_request_iterations_for_warmup", type=_number, default=0, help="0 counts as 1")
    _switch(
        parser,
        "allow_version_labels_for_unavailable_models",
        False,
        "let a new label name a version that is not loaded yet",
    )


def _running(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _switch(parser, "enable_batching", False, "run requests that arrive together together")
    add("--batching_parameters_file", type=Path, help="BatchingParameters in text format")
    add("--tensorflow_intra_op_parallelism", type=_number, default=0, help="threads for one op")
    add("--tensorflow_inter_op_parallelism", type=_number, default=0, help="ops side by side")


def _switch(parser: argparse.ArgumentParser, name: str, default: bool, meaning: str) -> None:
    parser.add_argument(
        f"--{name}", nargs="?", type=_truth, const=True, default=default, help=meaning
    )


def _truth(text: str) -> bool:
    if text.lower() in {"true", "1"}:
        return True
    if text.lower() in {"false", "0"}:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def _number(text: str) -> int:
    value = _int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _positive(text: str) -> int:
    value = _int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
