"""What the machine has is told apart from what it lacks, with the way to mend it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ci.doctor import machine
from ci.doctor.finding import FINE, NEEDED, OPTIONAL


@pytest.mark.parametrize(
    ("name", "kind", "state"),
    [("Linux", "x86_64", FINE), ("Darwin", "arm64", FINE), ("Darwin", "x86_64", NEEDED)],
)
def test_a_system_without_packages_is_told(name, kind, state):
    found = machine.system(name, kind)
    assert (found.state, found.seen) == (state, f"{name} {kind}")
    assert bool(found.mend) == (state != FINE)


def test_an_environment_is_there_or_can_be_made_or_cannot():
    made = machine.python((3, 11, 7), False, "/venv/ci-py311-abc/bin/python")
    assert (made.state, made.seen) == (FINE, "Python 3.11.7, environment ci-py311-abc")
    assert machine.python((3, 12, 1), True, None).state == OPTIONAL
    lacking = machine.python((3, 12, 1), False, None)
    assert (lacking.state, lacking.mend) == (NEEDED, "apt-get install python3.12-venv")


@pytest.mark.parametrize(
    ("free", "made", "state"),
    [(2e9, True, FINE), (1.9e9, True, NEEDED), (4.9e9, False, NEEDED), (5e9, False, FINE)],
)
def test_room_is_wanted_for_what_is_still_to_be_made(free, made, state):
    assert machine.disk(int(free), made).state == state


def test_memory_is_what_programs_can_take(tmp_path):
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 8000000 kB\nMemAvailable:    2000000 kB\n")
    assert machine.available_memory(told) == 2_048_000_000
    assert machine.memory(2_048_000_000).state == OPTIONAL
    assert machine.memory(3_000_000_000).state == FINE
    assert machine.available_memory(tmp_path / "absent") is None
    assert machine.memory(None).state == FINE


def git_in(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def test_git_knows_the_project_and_who_commits(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    assert machine.git(tmp_path, None).state == NEEDED
    git_in(tmp_path, "init", "-q")
    assert "has no commit" in machine.git(tmp_path, "git").seen
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@shop.example"]
    git_in(tmp_path, *who, "commit", "-q", "--allow-empty", "-m", "first")
    git_in(tmp_path, "config", "user.useConfigOnly", "true")
    assert "does not know who commits" in machine.git(tmp_path, "git").seen
    git_in(tmp_path, "config", "user.name", "Ada")
    git_in(tmp_path, "config", "user.email", "ada@shop.example")
    assert machine.git(tmp_path, "git").state == FINE


def program(folder: Path, text: str) -> str:
    """A program that says what nvidia-smi would: no test machine needs a GPU for that."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_gpu_is_used_when_it_is_asked_for(tmp_path):
    assert machine.gpu({}, None).state == FINE
    works = program(tmp_path, "echo 'A100, 550.1'")
    assert machine.gpu({"PUSHCART_ROLE": "gpu"}, works).seen == "A100, 550.1"
    unused = machine.gpu({}, works)
    assert (unused.state, unused.seen) == (OPTIONAL, "A100, 550.1; not used")
    assert "PUSHCART_ROLE=gpu" in unused.mend
    broken = machine.gpu({}, program(tmp_path, "echo 'driver mismatch'; exit 18"))
    assert (broken.state, broken.seen) == (OPTIONAL, "nvidia-smi: driver mismatch")


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    assert machine.writable(tmp_path).state == FINE
    assert machine.writable(Path("/proc/self/fdinfo")).state == (
        NEEDED if not os.access("/proc/self/fdinfo", os.W_OK) else FINE
    )


def test_what_the_tests_start_is_counted(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = machine.services()
    assert found.state == OPTIONAL
    assert "chromium" in found.mend
    assert machine.java().state == OPTIONAL


def test_everything_is_looked_at_once():
    names = [one.name for one in machine.findings(Path.cwd(), sys.executable, {})]
    assert names == [
        "system", "python", "disk", "memory", "folder", "git", "gpu", "java", "test services",
    ]  # fmt: skip
