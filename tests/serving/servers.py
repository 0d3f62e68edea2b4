"""Model servers as real processes: the embedded one with either engine, or a real binary."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.serving.bundles import MODEL

START_SECONDS = 240.0  # importing TensorFlow takes 4 s alone and 60 s beside seven busy neighbours
ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
    """Returns the first true value of a condition; fails the test when none comes in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


@dataclass
class ModelServer:
    """One running server and how to reach it.

    Attributes:
        kind: `savedmodel`, `litert` (embedded), `binary` (TFS_BINARY) or `address` (TFS_ADDR).
        log: Its standard error; None for a server that somebody else runs.
    """

    kind: str
    grpc_address: str
    rest_url: str
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60, trust_env=False))

    @property
    def embedded(self) -> bool:
        return self.kind in {"savedmodel", "litert"}

    def get(self, path: str) -> httpx.Response:
        return self.http.get(self.rest_url + path)

    def post(self, path: str, body: Any = None, content: bytes | None = None) -> httpx.Response:
        return self.http.post(self.rest_url + path, json=body, content=content)

    def answers(self) -> bool:
        """Whether the REST port answers at all."""
        assert self.process is None or self.process.poll() is None, self.tail()
        try:
            return bool(self.get("/v1/models").status_code)
        except httpx.TransportError:
            return False

    def states(self, model: str = MODEL) -> dict[int, str]:
        """The state of each version by number; empty while the server or the model is not there."""
        try:
            answer = self.get(f"/v1/models/{model}")
        except httpx.TransportError:
            return {}
        versions = answer.json().get("model_version_status", [])
        return {int(version["version"]): version["state"] for version in versions}

    def wait_available(self, *versions: int, model: str = MODEL) -> None:
        def there() -> bool:
            assert self.process is None or self.process.poll() is None, self.tail()
            states = self.states(model)
            return all(states.get(version) == "AVAILABLE" for version in versions)

        wait_until(there, f"{model} {versions} AVAILABLE; last seen {self.states(model)}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log else ""

    def stop(self) -> int:
        """Sends SIGTERM and returns the exit code."""
        self.http.close()
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def entry(
    base_path: Path | str,
    policy: str = "",
    labels: dict[str, int] | None = None,
    name: str = MODEL,
    platform: str = "tensorflow",
) -> str:
    """The text of one model of a models.config."""
    lines = " ".join(
        f'version_labels {{ key: "{label}" value: {number} }}'
        for label, number in (labels or {}).items()
    )
    return (
        f'config {{ name: "{name}" base_path: "{base_path}" model_platform: "{platform}" '
        f"{policy} {lines} }}"
    )


def model_config(*entries: str) -> str:
    """The text of a models.config."""
    return f"model_config_list {{ {' '.join(entries)} }}"


def specific(*versions: int) -> str:
    """The text of a policy that serves these versions."""
    return (
        f"model_version_policy {{ specific {{ {' '.join(f'versions: {v}' for v in versions)} }} }}"
    )


def launch(kind: str, folder: Path, config: str, *flags: str) -> ModelServer:
    """Starts a server on free ports with a models.config in a folder; does not wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    config_file = folder / "models.config"
    config_file.write_text(config)
    port, rest_port = free_port(), free_port()
    log = folder / "server.log"
    command = [
        *_program(kind),
        f"--port={port}",
        f"--rest_api_port={rest_port}",
        f"--model_config_file={config_file}",
        "--file_system_poll_wait_seconds=1",
        *flags,
    ]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=errors, stderr=errors, env=_environment()
        )
    return ModelServer(kind, f"127.0.0.1:{port}", f"http://127.0.0.1:{rest_port}", process, log)


def _program(kind: str) -> Sequence[str]:
    if kind == "binary":
        return [os.environ["TFS_BINARY"]]
    return [sys.executable, "-m", "serving.server", f"--engine={kind}"]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
