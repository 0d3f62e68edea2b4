"""Bundles, servers and the client of the stubs, each made once a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import require_outside
from tests.serving import bundles
from tests.serving.bundles import Bundle
from tests.serving.lifecycles import Lifecycle
from tests.serving.servers import ModelServer, entry, launch, model_config, wait_until
from tests.serving.stubs import Stubs

_MONITORING = 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }'


@pytest.fixture(scope="session")
def first(built: list[Bundle]) -> Bundle:
    return built[0]


@pytest.fixture(scope="session")
def second(built: list[Bundle]) -> Bundle:
    return built[1]


@pytest.fixture(scope="session")
def stubs() -> Iterator[Stubs]:
    """The genuine client."""
    client = Stubs()
    yield client
    client.close()


def _start(kind: str, first: Bundle, folder: Path) -> Iterator[ModelServer]:
    bundles.place(first, folder / MODEL_FOLDER, 1)
    monitoring = folder / "monitoring.config"
    monitoring.write_text(_MONITORING)
    server = launch(
        kind,
        folder,
        model_config(entry(folder / MODEL_FOLDER)),
        f"--monitoring_config_file={monitoring}",
        "--enable_grpc_healthcheck_service=true",
    )
    try:
        server.wait_available(1)
        yield server
    finally:
        assert server.stop() == 0, server.tail()


MODEL_FOLDER = "models"


@pytest.fixture(scope="session")
def savedmodel(first: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """The embedded server with the SavedModel engine, shared by all tests that only ask."""
    yield from _start("savedmodel", first, tmp_path_factory.mktemp("savedmodel"))


@pytest.fixture(scope="session")
def litert(first: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """The embedded server with the LiteRT engine, shared by all tests that only ask."""
    yield from _start("litert", first, tmp_path_factory.mktemp("litert"))


@pytest.fixture(scope="session")
def outside() -> ModelServer:
    """A server that somebody runs at TFS_ADDR=HOST:GRPC_PORT,REST_PORT.

    It serves, as `next_item` version 1, what `python tests/serving/build_bundle.py FOLDER/1 1`
    writes, with the Prometheus page and the health service on.
    """
    address = require_outside("TFS_ADDR", "a running tensorflow_model_server")
    grpc_address, _, rest_port = address.partition(",")
    host = grpc_address.rpartition(":")[0]
    return ModelServer("address", grpc_address, f"http://{host}:{rest_port}")


@pytest.fixture(params=["savedmodel", "litert", "outside"], scope="session")
def server(request: pytest.FixtureRequest) -> ModelServer:
    """Each server that the contract of the wire is held against."""
    return request.getfixturevalue(request.param)


def _program(kind: str) -> str:
    if kind == "binary":
        require_outside("TFS_BINARY", "the tensorflow_model_server program")
    return kind


@pytest.fixture(params=["savedmodel", "litert", "binary"], scope="session")
def kind(request: pytest.FixtureRequest) -> str:
    """Each program that the contract of versions and reloads is held against."""
    return _program(request.param)


@pytest.fixture(params=["savedmodel", "binary"], scope="session")
def batching_kind(request: pytest.FixtureRequest) -> str:
    """Each program that batches."""
    return _program(request.param)


@pytest.fixture(scope="session")
def lifecycle(
    kind: str, stubs: Stubs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lifecycle]:
    """A server that begins without models."""
    folder = tmp_path_factory.mktemp(f"lifecycle-{kind}")
    flags = ("--max_num_load_retries=0", "--num_load_threads=2")
    server = launch(kind, folder, model_config(), *flags)
    try:
        wait_until(server.answers, f"{kind} answers")
        yield Lifecycle(server, stubs, folder)
    finally:
        assert server.stop() == 0, server.tail()
