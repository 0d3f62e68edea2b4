"""The server's end: SIGTERM lets the requests in flight finish, and nothing else keeps it up."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from tests.serving.bundles import place
from tests.serving.embedded.test_flags import serve_arguments
from tests.serving.servers import entry, free_port, launch, model_config, wait_until

pytestmark = pytest.mark.lifecycle
A_SECOND = 200_000
PREDICT = "/v1/models/next_item:predict"


@pytest.fixture
def lonely(first, tmp_path, request):
    """A server of its own, that a test may end."""
    server = launch(
        request.param,
        tmp_path,
        model_config(entry(tmp_path / "next_item")),
        "--enable_grpc_healthcheck_service=true",
    )
    place(first, tmp_path / "next_item", 1)
    server.wait_available(1)
    yield server
    server.stop()


@pytest.mark.parametrize("lonely", ["savedmodel"], indirect=True)
def test_sigterm_finishes_what_is_in_flight_and_ends_with_0(lonely, stubs):
    """One slow request by each transport is under way when the signal comes."""
    answers = {}
    body = {"signature_name": "busy", "instances": [3 * A_SECOND]}

    def by_rest():
        answers["rest"] = lonely.post(PREDICT, body)

    def by_grpc():
        tensor = {"dtype": "int32", "values": [3 * A_SECOND]}
        answers["grpc"] = stubs.call(
            "predict",
            lonely.grpc_address,
            spec={"signature": "busy"},
            inputs={"iterations": tensor},
        )

    threads = [threading.Thread(target=each) for each in (by_rest, by_grpc)]
    used = cpu_seconds(lonely.process.pid)
    for thread in threads:
        thread.start()
    wait_until(lambda: cpu_seconds(lonely.process.pid) > used + 0.5, "both requests compute")
    os.kill(lonely.process.pid, signal.SIGTERM)
    wait_until(lambda: refuses(lonely), "new connections are refused")
    assert lonely.process.poll() is None
    for thread in threads:
        thread.join(60)
    assert answers["rest"].json() == {"predictions": [3 * A_SECOND]}
    assert answers["grpc"]["outputs"]["counted"]["values"] == [3 * A_SECOND]
    assert lonely.process.wait(60) == 0


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def refuses(server):
    try:
        with httpx.Client(trust_env=False, timeout=1) as fresh:
            fresh.get(server.rest_url + "/v1/models/next_item")
    except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
        return True
    return False


@pytest.mark.parametrize("lonely", ["litert"], indirect=True)
def test_idle_connections_do_not_keep_the_server_up(lonely):
    assert lonely.get("/v1/models/next_item").status_code == 200  # the client keeps it open
    os.kill(lonely.process.pid, signal.SIGTERM)
    assert lonely.process.wait(60) == 0


def ended(*flags):
    """Runs a server that is expected to end by itself."""
    return subprocess.run(
        serve_arguments(*flags), capture_output=True, text=True, timeout=120, check=False
    )


def test_a_model_that_cannot_be_loaded_ends_the_start(tmp_path):
    (tmp_path / "next_item" / "1").mkdir(parents=True)
    config = tmp_path / "models.config"
    config.write_text(model_config(entry(tmp_path / "next_item")))
    done = ended(
        f"--model_config_file={config}",
        f"--port={free_port()}",
        "--engine=litert",
        "--max_num_load_retries=0",
    )
    assert done.returncode == 1
    assert "Failed to start server" in done.stderr
    assert "model.tflite" in done.stderr


def test_sigterm_while_a_model_is_awaited(tmp_path):
    (tmp_path / "next_item").mkdir()
    server = launch("litert", tmp_path, model_config(entry(tmp_path / "next_item")))
    wait_until(lambda: "Waiting for" in server.tail(), "the server waits for a version")
    assert server.stop() == 0


@pytest.mark.parametrize(("flag", "api"), [("rest_api_port", "REST"), ("port", "gRPC")])
def test_a_port_that_is_taken_is_named(tmp_path, flag, api):
    config = tmp_path / "models.config"
    config.write_text(model_config())
    server = launch("litert", tmp_path, model_config())
    wait_until(server.answers, "the first server answers")
    address = server.grpc_address if api == "gRPC" else server.rest_url
    ports = {"port": free_port(), "rest_api_port": free_port()}
    ports[flag] = int(address.rpartition(":")[2])
    done = ended(
        f"--model_config_file={config}",
        *(f"--{name}={port}" for name, port in ports.items()),
        "--engine=litert",
    )
    assert done.returncode == 2
    assert f"Cannot listen on 127.0.0.1:{ports[flag]} for {api}" in done.stderr
    assert server.stop() == 0


def test_a_wrong_model_config_file_is_named(tmp_path):
    config = tmp_path / "models.config"
    config.write_text('model_config_list { config { nam: "x" } }')
    done = ended(f"--model_config_file={config}", f"--port={free_port()}", "--engine=litert")
    assert done.returncode == 2
    assert "nam" in done.stderr
    assert str(config) in done.stderr
