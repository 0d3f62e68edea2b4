"""What the images hold, run here without containers: same files, same command lines, same ports."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import httpx
import pytest

from ci.config import PROJECT
from ci.evaluating.parity import answers_of, parity
from ci.images import normalised_tar
from ci.releasing import contexts
from ci.releasing.packages import packages_tar
from model.bundle.card import golden_answers
from tests.ci.judged_shop import COMPOSE, card_of, described, open_shop
from tests.serving.servers import free_port, wait_until
from tests.tiny import export_tiny

START_SECONDS = 120.0


def entrypoint(dockerfile: str) -> list[str]:
    """The exec-form ENTRYPOINT of a Dockerfile."""
    text = (PROJECT / "serving" / dockerfile).read_text().replace("\\\n", " ")
    return json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)[1])


def unpack(context: dict, inside: Path) -> Path:
    """Lay out a context as the Dockerfile's COPY and ADD do."""
    with normalised_tar(context) as file, tarfile.open(fileobj=file) as archive:
        archive.extractall(inside, filter="data")
    if (inside / "config").exists():
        (inside / "etc").mkdir()
        (inside / "config").rename(inside / "etc" / "tfs")
    for packed in inside.glob("*.tar"):
        with tarfile.open(packed) as archive:
            archive.extractall(inside, filter="data")
    return inside


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """The files of both images, and the card of the bundle in them."""
    folder = tmp_path_factory.mktemp("images")
    bundle = export_tiny(folder / "exported")
    config, workspace = open_shop(folder, bundle, COMPOSE)
    release = described(config, workspace)
    (folder / "scratch").mkdir()
    layer, scratch = packages_tar("gateway", "amd64"), folder / "scratch"
    gateway = contexts.gateway_context(workspace, release, card_of(bundle), layer, scratch)
    model = unpack(contexts.model_context(config, workspace, release), folder / "model")
    return model, unpack(gateway, folder / "gateway"), card_of(bundle)


@pytest.fixture(scope="module")
def model_server(contents):
    """The model server's ENTRYPOINT, word for word but for places and ports."""
    inside, _, _ = contents
    port = free_port()
    config = inside / "etc" / "tfs" / "models.config"
    config.write_text(config.read_text().replace('"/models/', f'"{inside}/models/'))
    program, *flags = entrypoint("Dockerfile")
    assert program == "/usr/bin/tensorflow_model_server"
    places = {"/etc/tfs/": f"{inside}/etc/tfs/", "=8500": f"={free_port()}", "=8501": f"={port}"}
    for old, new in places.items():
        flags = [flag.replace(old, new) for flag in flags]
    address = f"127.0.0.1:{port}"
    with running([sys.executable, "-m", "serving.server", *flags], PROJECT, inside / "log"):
        status = f"http://{address}/v1/models/next_item/labels/stable"
        wait_until(lambda: "AVAILABLE" in body_of(status), "the model is AVAILABLE")
        yield address


class running:  # noqa: N801  reads as a word of the test
    """A process that lives as long as the block."""

    def __init__(self, command: list[str], path: Path, log: Path, code: int = 0) -> None:
        self._code = code
        self._log = log.open("wb")
        environment = {**os.environ, "PYTHONPATH": str(path), "TF_CPP_MIN_LOG_LEVEL": "2"}
        self._process = subprocess.Popen(
            command, cwd=log.parent, env=environment, stdout=self._log, stderr=self._log
        )

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        code = self._process.wait(60)
        self._log.close()
        assert code == self._code, Path(self._log.name).read_text()[-3000:]


def body_of(url: str) -> str:
    try:
        return httpx.get(url, trust_env=False, timeout=30).text
    except httpx.TransportError:
        return ""


def test_the_served_answers_are_the_golden_ones(contents, model_server):
    """Behind the server, batched and warmed up, as in the Keras model."""
    card = contents[2]
    answer = httpx.post(
        f"http://{model_server}/v1/models/next_item/labels/stable:predict",
        json={"instances": card["golden"]["requests"]},
        trust_env=False,
        timeout=60,
    )
    rows = answer.json()["predictions"]
    served = {name: [row[name] for row in rows] for name in ("item_ids", "scores")}
    result = parity(answers_of(golden_answers(card)), answers_of(served), 1e-4)
    assert result.passed, result.first_difference
    assert [row["known_items"] for row in rows] == [0, 3, 2, 0, 6]


def test_the_monitoring_page_is_there(model_server):
    assert "# TYPE" in body_of(f"http://{model_server}/monitoring/prometheus/metrics")


def test_the_health_check_finds_the_model(model_server):
    """The shell line of the Dockerfile's HEALTHCHECK, with this server's port."""
    text = (PROJECT / "serving" / "Dockerfile").read_text()
    command = json.loads(re.search(r"^  CMD (\[.*\])$", text, re.MULTILINE)[1])
    port = model_server.partition(":")[2]
    alive = [word.replace("/8501", f"/{port}") for word in command]
    assert subprocess.run(alive, check=False, timeout=60).returncode == 0
    nobody = [word.replace("/8501", f"/{free_port()}") for word in command]
    done = subprocess.run(nobody, check=False, timeout=60, capture_output=True)
    assert done.returncode != 0, shlex.join(nobody)


def test_the_gateway_answers_a_shopper(contents, model_server):
    """The gateway's ENTRYPOINT from the image's own files: none of ours besides."""
    _, inside, _ = contents
    port = free_port()
    program, *words = entrypoint("gateway.Dockerfile")
    assert program == "python3"
    places = {"/release": str(inside / "release"), "0.0.0.0": "127.0.0.1", "=8080": f"={port}"}  # noqa: S104
    for old, new in places.items():
        words = [word.replace(old, new) for word in words]
    command = [sys.executable, *words, f"--model_address={model_server}"]
    url = f"http://127.0.0.1:{port}"
    # uvicorn ends its requests and then by the very signal that it was sent.
    with running(command, inside / "app", inside / "log", -signal.SIGTERM):
        wait_until(lambda: "ready" in body_of(f"{url}/readyz"), "the gateway is ready")
        answer = json.loads(body_of(f"{url}/v1/users/anna/recommendations?k=4"))
    assert answer["model_version"] == 3
    assert len(answer["items"]) == 4
