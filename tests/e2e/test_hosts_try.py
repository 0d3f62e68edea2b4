"""What `bin/ci hosts try` tells a person to type works as it stands, and Ctrl-C leaves nothing."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.config import PROJECT
from ci.rehearsal.load import load
from ci.rehearsal.plan import Plan
from tests.services import NOT_RUN_HERE, require_service
from tests.shop import surroundings

ON = "--environment rehearsal"


@dataclass(frozen=True)
class Trial:
    """A running `hosts try`.

    Attributes:
        process: Its process.
        folder: The only one it may write to.
        said: What it printed until it was ready.
    """

    process: subprocess.Popen[str]
    folder: Path
    said: str

    @property
    def hosts(self) -> dict[str, str]:
        """Shoppers' addresses by host."""
        return dict(re.findall(r"^  (host\d)  (127\.0\.0\.1:\d+)$", self.said, re.MULTILINE))

    def step(self, words: str) -> str:
        """Type the printed command that holds these words; what it prints."""
        (variables,) = re.findall(r"^  (\. .*)$", self.said, re.MULTILINE)
        (line,) = [line for line in self.said.splitlines() if words in line]
        command = line.replace("bin/ci", f"{sys.executable} -m ci")
        done = subprocess.run(
            ["sh", "-ec", f"{variables}\n{command}"],
            cwd=PROJECT,
            env=surroundings(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}"
        return done.stdout


@contextmanager
def hosts_try() -> Iterator[Trial]:
    """The command in the foreground of a session of its own."""
    for service in ("docker", "debian", "ssh", "registry"):
        require_service(service)
    if os.geteuid() != 0:
        pytest.skip(f"{NOT_RUN_HERE} dockerd needs root (hosts are containers)")
    folder = Path(tempfile.mkdtemp(prefix="pc-", dir="/tmp"))  # short, for sockets
    process = subprocess.Popen(
        [sys.executable, "-m", "ci", "hosts", "try"],
        cwd=PROJECT,
        env=surroundings({"TMPDIR": str(folder)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Trial(process, folder, until_ready(process))
    finally:
        end(process)
        shutil.rmtree(folder)


def until_ready(process: subprocess.Popen[str]) -> str:
    """What it prints until its last step was told."""
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("  ssh "):
            return said
    raise AssertionError(f"it ended before it was ready:\n{said}")


def end(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C, impatiently: the whole foreground hears it, three times."""
    if process.poll() is not None:
        return ""
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
    return process.communicate(timeout=120)[0]


def test_the_printed_steps_prepare_release_improve_and_roll_back():
    with hosts_try() as trial:
        assert set(trial.hosts) == {"host1", "host2"}
        assert trial.step("hosts prepare").count("nothing to change") == 0
        assert trial.step("hosts prepare").count("nothing to change") == 2
        assert "release 1 live at host1, host2" in trial.step("--first-release")
        assert '"model_version":1' in trial.step("curl")
        with load(Plan(trial.hosts, per_second=10, seconds=600)) as running:
            running.wait_for(100)
            assert "release 2 live at host1, host2" in trial.step(f"run {ON} --single")
            assert "release 2 answers" in trial.step(f"status {ON}")
            running.wait_for(50)
        improved = running.stop()
        assert improved.failures == [], improved.summary()
        assert [improved.releases(host) for host in improved.hosts] == [[1, 2], [1, 2]]
        assert all(improved.monotonic(host) for host in improved.hosts)
        trial.step(f"rollback {ON}")
        assert '"model_version":1' in trial.step("curl")


def test_ctrl_c_leaves_nothing_and_says_so():
    with hosts_try() as trial:
        gateway = re.search(r'registry = "([\d.]+):', settings(trial)).group(1)
        with socket.socket() as here:
            here.bind((gateway, 0))
        said = end(trial.process)
        assert said == "removed   hosts, registry, engine and the rehearsal's shop\n"
        assert trial.process.returncode == 0
        assert list(trial.folder.iterdir()) == []
        assert str(trial.folder) not in Path("/proc/mounts").read_text()
        commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
        assert not [words for words in commands if str(trial.folder).encode() in words]
        with socket.socket() as gone, pytest.raises(OSError, match="Cannot assign"):
            gone.bind((gateway, 0))


def settings(trial: Trial) -> str:
    (place,) = trial.folder.glob("pushcart-try-*/pipeline.toml")
    return place.read_text()
