"""Processes are told apart by when they began, and never outlive an unknown start."""

import os
import signal
import subprocess
import sys

import pytest

from serving.host import processes
from serving.host.host import SOURCES
from serving.host.processes import ProcessIdentity
from tests.rollout_shop import eventually


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_a_process_is_itself_until_it_ends(sleeper):
    identity = processes.identify(sleeper.pid)
    assert identity.pid == sleeper.pid
    assert processes.is_alive(identity)
    processes.end(identity)
    assert not processes.is_alive(identity)
    assert sleeper.wait() == -signal.SIGTERM


def test_the_same_number_with_another_beginning_is_somebody_else(sleeper):
    now = processes.identify(sleeper.pid)
    earlier = ProcessIdentity(sleeper.pid, now.started + "0")
    assert not processes.is_alive(earlier)
    processes.end(earlier)
    assert sleeper.poll() is None


def test_a_zombie_does_not_live(sleeper):
    identity = processes.identify(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    eventually(lambda: not processes.is_alive(identity))  # not waited for: a zombie now
    assert processes.identify(sleeper.pid) is None


def test_both_ways_to_ask_the_system_agree_on_who_lives(sleeper):
    assert processes._started_linux(sleeper.pid)
    assert processes._started_elsewhere(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert processes._started_linux(sleeper.pid) is None
    assert processes._started_elsewhere(sleeper.pid) is None


def test_who_ignores_the_request_to_end_is_forced(tmp_path):
    deaf = "trap '' TERM; echo deaf; while :; do sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", deaf], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"deaf\n"
        processes.end(processes.identify(process.pid), grace_seconds=0.2)
        assert process.wait() == -signal.SIGKILL


def test_a_start_is_written_down_before_the_program_runs(tmp_path):
    seen = []

    def record(identity: ProcessIdentity) -> None:
        seen.append((identity, (tmp_path / "ran").exists()))

    child = processes.start(["touch", str(tmp_path / "ran")], tmp_path / "log", tmp_path, record)
    assert child.wait() == 0
    assert (tmp_path / "ran").exists()
    assert seen == [(ProcessIdentity(child.pid, seen[0][0].started), False)]


STARTER_THAT_DIES = """
import os, signal, sys
from pathlib import Path
from serving.host import processes
def record(identity):
    print(identity.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
folder = Path(sys.argv[1])
processes.start(["touch", str(folder / "ran")], folder / "log", folder, record)
"""


def test_a_program_whose_starter_died_before_writing_it_down_never_runs(tmp_path):
    command = [sys.executable, "-c", STARTER_THAT_DIES, str(tmp_path)]
    died = subprocess.run(command, capture_output=True, text=True, check=False, cwd=SOURCES)
    assert died.returncode == -signal.SIGKILL
    orphan = int(died.stdout)
    eventually(lambda: processes.identify(orphan) is None)
    assert not (tmp_path / "ran").exists()
