"""The embedded server: `python -m serving.server`, tensorflow_model_server's stand-in in Python."""

import logging
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serving.embedded.batching import BatchedModel
from serving.embedded.config_files import (
    BatchingSettings,
    model_settings,
    read_batching,
    read_metrics_path,
    read_model_config,
    single_model,
)
from serving.embedded.config_poll import ConfigPoll
from serving.embedded.engine import Deadline, Engine, Model
from serving.embedded.flags import Flags, parse
from serving.embedded.grpc_service import GrpcServer
from serving.embedded.manager import Manager, ManagerSettings
from serving.embedded.rest_service import RestApi, RestServer
from serving.embedded.service import Service
from serving.embedded.status import ServingError
from serving.embedded.versions import Load
from serving.embedded.warmup import replay
from serving.stop_signals import StopSignals

_LOG: Final = logging.getLogger(__name__)
_DRAIN_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Server:
    """The parts of a running server."""

    manager: Manager
    grpc: GrpcServer
    rest: RestServer | None
    poll: ConfigPoll | None

    def start(self, config: Any) -> None:
        """Loads the models and then begins to answer, so that any answer means that they are there.

        Raises:
            ServingError: a model that cannot be loaded, a label that may not be set, or CANCELLED
                when the manager was halted meanwhile.
        """
        self.manager.start()
        self.manager.apply(model_settings(config), Deadline())
        self.grpc.start()
        if self.rest:
            self.rest.start()
        if self.poll:
            self.poll.start()

    def stop(self) -> None:
        """Refuses new requests, finishes those in flight, unloads."""
        if self.poll:
            self.poll.stop()
        if self.rest:
            self.rest.drain()
        self.grpc.stop(_DRAIN_SECONDS)
        if self.rest:
            self.rest.join()
        self.manager.stop()


def build(flags: Flags) -> Server:
    """Makes a server of its flags; the ports are bound, nothing is loaded yet.

    Raises:
        ServingError: a configuration file that cannot be read, a port that is taken.
    """
    manager = Manager(
        loader(flags),
        ManagerSettings(
            load_threads=flags.num_load_threads,
            retries=flags.max_num_load_retries,
            retry_seconds=max(0.0, flags.load_retry_interval_micros / 1e6),
            poll_seconds=flags.file_system_poll_wait_seconds,
            early_labels=flags.allow_version_labels_for_unavailable_models,
        ),
    )
    service = Service(manager, flags.engine, flags.enable_serialization_as_tensor_content)
    grpc_server = GrpcServer(
        service,
        f"{flags.host}:{flags.port}",
        flags.grpc_max_threads,
        flags.enable_grpc_healthcheck_service,
    )
    return Server(manager, grpc_server, _rest(flags, service), _poll(flags, manager))


def loader(flags: Flags) -> Load:
    """Returns what makes a warm model of a folder, by the chosen engine and batching."""
    engine = _engine(flags)
    batching = _batching(flags)

    def load(folder: Path) -> Model:
        model = engine.load(folder)
        try:
            if flags.enable_model_warmup:
                sizes = batching.allowed_sizes if batching else ()
                replay(folder, model, sizes, max(1, flags.num_request_iterations_for_warmup))
        except BaseException:
            model.close()
            raise
        return BatchedModel(model, batching) if batching else model

    return load


def main(arguments: Sequence[str]) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code: 0 stopped, 1 no model, 2 usage."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    for talkative in ("tensorflow", "uvicorn.error"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    flags = parse(arguments)
    stop_signals = StopSignals()
    try:
        server, config = build(flags), _config(flags)
    except ServingError as error:
        return _refused(error, 2)
    failures: list[ServingError] = []

    def start() -> None:
        try:
            server.start(config)
            _LOG.info("Serving")
        except ServingError as error:
            failures.append(error)
            stop_signals.ask()

    starter = threading.Thread(target=start, name="start")
    starter.start()
    stop_signals.wait()
    failed = bool(failures)
    server.manager.halt()
    starter.join()
    _LOG.info("Draining")
    server.stop()
    return _refused(failures[0], 1) if failed else 0


def _refused(error: ServingError, exit_code: int) -> int:
    _LOG.error("Failed to start server. Error: %s: %s", error.code.name, error.message)
    return exit_code


def _config(flags: Flags) -> Any:
    if flags.model_config_file:
        return read_model_config(flags.model_config_file)
    return single_model(flags.model_name, str(Path(flags.model_base_path).absolute()))


def _engine(flags: Flags) -> Engine:
    if flags.engine == "litert":
        from serving.embedded.litert_engine import LiteRtEngine  # noqa: PLC0415

        return LiteRtEngine(flags.tensorflow_inter_op_parallelism or os.cpu_count() or 1)
    # TensorFlow takes seconds to import, and a host with the LiteRT engine has none
    from serving.embedded.savedmodel_engine import SavedModelEngine  # noqa: PLC0415

    return SavedModelEngine(
        flags.tensorflow_intra_op_parallelism,
        flags.tensorflow_inter_op_parallelism,
        flags.saved_model_tags,
    )


def _batching(flags: Flags) -> BatchingSettings | None:
    if not flags.enable_batching:
        return None
    path = flags.batching_parameters_file
    return read_batching(path) if path else BatchingSettings()


def _rest(flags: Flags, service: Service) -> RestServer | None:
    if not flags.rest_api_port:
        return None
    monitoring = flags.monitoring_config_file
    application = RestApi(
        service,
        flags.rest_api_num_threads,
        flags.rest_api_timeout_in_ms / 1000,
        read_metrics_path(monitoring) if monitoring else None,
    )
    return RestServer(application, flags.host, flags.rest_api_port)


def _poll(flags: Flags, manager: Manager) -> ConfigPoll | None:
    seconds = flags.model_config_file_poll_wait_seconds
    if not flags.model_config_file or seconds <= 0:
        return None
    return ConfigPoll(manager, flags.model_config_file, seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
