"""`bin/ci doctor`: a table or JSON, an exit code that tells, also before anything is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ci.__main__ import main
from ci.config import PROJECT
from ci.doctor import surroundings
from ci.doctor.examining import plain
from ci.doctor.finding import PORTS, Finding
from ci.settings import Settings
from tests.terminal import on_a_terminal

FINE = "[environments.local]\nport = 1\n"


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Path:
    for name in surroundings.PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    path = tmp_path / "pipeline.toml"
    path.write_text(FINE)
    return path


def test_a_machine_that_can_do_it_all_is_exit_0(settings, capsys):
    assert main(["--config", str(settings), "doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["needed"] == []
    assert {"python", "gpu", "docker", "ssh", "ports of local"} <= {
        one["name"] for one in told["findings"]
    }
    assert all(one["mend"] or one["state"] == "fine" for one in told["findings"])


def test_what_is_needed_and_not_there_is_exit_4_and_named(settings, capsys, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{settings.parent}/none.sock")
    settings.write_text('[environments.shop]\ntarget = "compose"\nport = 1\n')
    assert main(["--config", str(settings), "doctor", "--json"]) == 4
    printed = capsys.readouterr()
    assert json.loads(printed.out)["needed"] == ["docker"]
    assert "all that pipeline.toml asks for: docker." in printed.err


def test_broken_settings_do_not_end_the_examination(settings, capsys):
    settings.write_text("[shop")
    assert main(["--config", str(settings), "doctor"]) == 4
    printed = capsys.readouterr()
    assert "✗ settings" in printed.out
    assert "✓ system" in printed.out


def test_before_any_environment_it_needs_nothing_but_python(tmp_path):
    """With an empty folder of environments, nothing is installed and no package imported."""
    done = subprocess.run(
        [str(PROJECT / "bin/ci"), "--config", str(tmp_path / "none.toml"), "doctor"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PUSHCART_VENV_DIR": str(tmp_path / "environments"),
            "PUSHCART_PYTHON": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "no environment yet" in done.stdout
    assert "all that none.toml asks for: settings." in done.stderr
    assert not (tmp_path / "environments").exists()


def test_a_person_sees_a_table(settings):
    shown = on_a_terminal([sys.executable, "-m", "ci", "--config", str(settings), "doctor"])
    assert "looked at" in shown
    assert "to mend" in shown
    assert "ports of local" in shown


def test_a_log_has_a_line_a_finding_and_one_for_its_remedy():
    found = [Finding("git", "needed", "not installed", "apt-get install git")]
    found.append(Finding("memory", "fine", "9 GB"))
    assert plain(found) == [
        "✗ git     not installed", "          → apt-get install git", "✓ memory  9 GB",
    ]  # fmt: skip


def test_the_ports_are_those_of_the_settings():
    assert {name: one.port for name, one in Settings().environments.items()} == PORTS
