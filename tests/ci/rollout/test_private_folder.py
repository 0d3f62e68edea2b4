"""What a run of Ansible works in is gone after it, whoever ended it."""

import subprocess
import sys
from pathlib import Path

from ci.rollout.private_folder import PREFIX, private_folder
from tests.rollout_shop import eventually

LEAVES_ALL = """
import os, subprocess, sys
from ci.rollout.private_folder import private_folder, write
with private_folder() as folder:
    left = write(folder / "secret", "word")
    worker = subprocess.Popen(["tail", "--follow", left], stdout=subprocess.DEVNULL)
    print(folder, worker.pid, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_run_ends_what_it_started_and_removes_its_folder():
    with private_folder() as folder:
        worker = subprocess.Popen(["tail", "--follow", "/dev/null", str(folder)])
        assert folder.name.startswith(PREFIX)
        assert folder.stat().st_mode & 0o077 == 0
        eventually(lambda: str(folder) in Path(f"/proc/{worker.pid}/cmdline").read_text())
    assert worker.wait(10) == -15
    assert not folder.exists()


def test_the_next_run_ends_and_removes_what_a_killed_one_left():
    killed = subprocess.run(
        [sys.executable, "-c", LEAVES_ALL], stdout=subprocess.PIPE, text=True, check=False
    )
    left, worker = killed.stdout.split()
    assert killed.returncode == -9
    assert (Path(left) / "secret").exists()
    assert Path(f"/proc/{worker}").exists()
    with private_folder() as folder:
        assert folder.exists()
        assert not Path(left).exists()
    eventually(lambda: not is_running(worker))


def test_a_folder_of_a_run_that_goes_on_stays():
    with private_folder() as one, private_folder() as other:
        assert one.exists()
        assert one != other


def is_running(pid: str) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
