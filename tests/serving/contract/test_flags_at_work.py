"""Flags that the other servers of the suite do not set, on one LiteRT server."""

import subprocess
from pathlib import Path

import pytest

from tests.serving.bundles import place, random_row
from tests.serving.embedded.test_flags import serve_arguments
from tests.serving.servers import ROOT, ModelServer, free_port


@pytest.fixture(scope="module")
def flagged(first, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flagged")
    place(first, folder / "shop", 3)
    log = folder / "server.log"
    port, rest_port = free_port(), free_port()
    flags = (
        "--engine=litert",
        f"--port={port}",
        f"--rest_api_port={rest_port}",
        "--model_name=shop",
        f"--model_base_path={folder / 'shop'}",
        "--enable_serialization_as_tensor_content",
    )
    with log.open("wb") as errors:
        process = subprocess.Popen(serve_arguments(*flags), cwd=ROOT, stdout=errors, stderr=errors)
    rest_url = f"http://127.0.0.1:{rest_port}"
    server = ModelServer("litert", f"127.0.0.1:{port}", rest_url, process, log)
    try:
        server.wait_available(3, model="shop")
        yield server
    finally:
        assert server.stop() == 0, server.tail()


def test_one_model_by_name_and_path(flagged):
    answer = flagged.post("/v1/models/shop:predict", {"instances": [random_row(1)]})
    assert len(answer.json()["predictions"]) == 1


def test_answers_in_tensor_content(flagged, stubs, first):
    row = random_row(1)
    outputs = stubs.predict(flagged.grpc_address, [row], spec={"name": "shop"})["outputs"]
    assert outputs["scores"]["tensor_content"]
    assert outputs["scores"]["values"][0] == pytest.approx(
        first.expected(row)["scores"], rel=1e-4, abs=1e-3
    )
    assert outputs["item_ids"]["values"] == [first.expected(row)["item_ids"]]


def test_no_monitoring_file_no_page(flagged):
    assert flagged.get("/monitoring/prometheus/metrics").status_code == 404


def test_no_flag_no_health_service(flagged, stubs):
    assert stubs.call("health", flagged.grpc_address)["error"] == "UNIMPLEMENTED"


def test_it_listens_on_loopback_alone(flagged):
    """Every listening socket of the process, as the kernel lists them."""
    inodes = {
        link.readlink().name.removeprefix("socket:[").removesuffix("]")
        for link in (_proc(flagged) / "fd").iterdir()
        if link.readlink().name.startswith("socket:[")
    }
    lines = (_proc(flagged) / "net" / "tcp").read_text().splitlines()[1:]
    lines6 = (_proc(flagged) / "net" / "tcp6").read_text().splitlines()[1:]
    listening = [
        fields[1].partition(":")[0]
        for fields in map(str.split, lines + lines6)
        if fields[3] == "0A" and fields[9] in inodes
    ]
    assert len(listening) == 2
    # 127.0.0.1 byte by byte from the right; gRPC binds it as an IPv4 address inside an IPv6 one
    assert all(address.endswith("0100007F") for address in listening)


def _proc(server):
    return Path(f"/proc/{server.process.pid}")
