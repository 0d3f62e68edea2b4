"""A folder for one run of Ansible, which writes there in clear what it was started with."""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PREFIX: Final = "pushcart-run-"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for one run, removed afterwards with every process that was started with it.

    It lies in /tmp, for the path of SSH's control socket must be short.
    """
    for left in Path("/tmp").glob(f"{PREFIX}*"):  # noqa: S108  of runs that were killed
        owner = left.name.removeprefix(PREFIX).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            _remove(left)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir="/tmp"))
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    _end_processes_of(folder)
    shutil.rmtree(folder, ignore_errors=True)  # of another user: it stays


def _end_processes_of(folder: Path) -> None:
    """End what a run leaves behind: SSH's kept connections and, of one cut off, Ansible's workers.

    ansible-runner ends Ansible alone, whose workers are sessions of their own.
    """
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if os.fsencode(folder) in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGTERM)


def write(path: Path, content: str | bytes) -> str:
    """Write a new file that only this user may read; returns its path."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return str(path)
