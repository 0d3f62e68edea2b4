"""A Docker engine of the tests' own: no network for containers, gone with everything it held."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from ci.services import find_program
from tests.services import NOT_RUN_HERE, require_service

START_SECONDS = 120.0


@contextmanager
def docker_engine() -> Iterator[docker.DockerClient]:
    """Start dockerd in a temporary folder; it builds images, and containers have no network."""
    require_service("docker")
    if os.geteuid() != 0:
        pytest.skip(f"{NOT_RUN_HERE} dockerd needs root (images are built)")
    # A socket's path must be short, and the engine leaves mounts below its folder until it ends.
    folder = Path(tempfile.mkdtemp(prefix="pc-docker-"))
    command = [
        find_program("dockerd"),
        f"--host=unix://{folder}/sock",
        f"--data-root={folder}/data",
    ]
    command += [f"--exec-root={folder}/exec", f"--pidfile={folder}/pid", "--bridge=none"]
    command += ["--iptables=false", "--ip-forward=false"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    client = None
    try:
        client = _answering(process, folder)
        yield client
    finally:
        if client is not None:
            client.close()
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def _answering(process: subprocess.Popen[bytes], folder: Path) -> docker.DockerClient:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        # A client cannot be closed when it finds nobody, so the socket is knocked at first.
        with socket.socket(socket.AF_UNIX) as knock:
            if knock.connect_ex(f"{folder}/sock") == 0:
                return docker.DockerClient(base_url=f"unix://{folder}/sock")
    raise RuntimeError(f"dockerd did not start:\n{(folder / 'log').read_text()[-4000:]}")
