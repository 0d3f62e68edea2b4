"""A supervisor that systemd keeps: it says when it is ready, and `bin/ci` leaves it alone."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ci.__main__ import main
from ci.rollout import client
from serving import supervisor
from tests.rollout_shop import Shop, running, unused_port


@pytest.fixture
def kept(shop: Shop, tmp_path: Path):
    """A supervisor of other sources than these, started as systemd does; it has said "ready"."""
    installed = tmp_path / "installed"
    for room in ("serving", "model"):
        shutil.copytree(supervisor.SOURCES / room, installed / room)
    with (installed / "serving/__init__.py").open("a") as file:
        file.write("# as it was when it was installed\n")
    command = [sys.executable, "-m", "serving.supervisor"]
    command += [*client.supervisor_arguments(shop.config), "--kept"]
    name = f"pushcart-{unused_port()}"  # abstract: systemd uses such names for user managers
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(60)
        environment = {**os.environ, "NOTIFY_SOCKET": f"@{name}", "PYTHONPATH": str(installed)}
        with subprocess.Popen(command, cwd=installed, env=environment) as process:
            assert listening.recv(100) == b"READY=1"
            yield process
            process.terminate()


def test_it_is_used_and_never_replaced(shop: Shop, kept, capsys):
    assert client.find_supervisor(shop.record)["made_of"] != supervisor.fingerprint()
    shop.deploy(1)
    shop.deploy(2)
    assert shop.record.supervisor.pid == kept.pid
    assert shop.record.live_colour.model_version == 2
    assert main(["--config", str(shop.config.path), "serve", "--stop"]) == 6
    told = capsys.readouterr().err
    assert "sudo systemctl stop pushcart-rollout-local.service" in told
    assert running(shop.home)["supervisor"] == [kept.pid]


def test_told_to_end_it_ends_its_colours(shop: Shop, kept):
    shop.deploy(1)
    kept.terminate()
    assert kept.wait(timeout=30) == 0
    assert running(shop.home) == {}
