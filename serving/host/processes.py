"""Processes of this machine, named so that a reused process number is never taken for ours."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# The shell keeps its process number through `exec`; it waits for one line, so that a process whose
# starter dies before writing its number down ends instead of running unknown to anyone.
HELD_START = 'read -r go && exec "$@" </dev/null'
PROC = Path("/proc")
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ProcessIdentity:
    """A process number together with the moment it was given out."""

    pid: int
    started: str


def _started_linux(pid: int) -> str | None:
    """Boot identity and start tick of a running process; None for none or a zombie."""
    try:
        # "pid (name, which may hold anything) state ppid ...": field 22 counts from the pid.
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _started_elsewhere(pid: int) -> str | None:
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a running process, or None when none has this number."""
    started = _started_linux(pid) if PROC.is_dir() else _started_elsewhere(pid)
    return ProcessIdentity(pid, started) if started else None


def is_alive(identity: ProcessIdentity | None) -> bool:
    """Tell whether exactly this process still runs."""
    return identity is not None and identify(identity.pid) == identity


def start(
    command: Sequence[str],
    log: Path,
    folder: Path,
    record: Callable[[ProcessIdentity], None],
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process in its own session; it runs only after `record` has written it down.

    Raises:
        OSError: The process could not be started.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", HELD_START, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder,
            pass_fds=pass_fds,
        )
    identity = identify(process.pid)
    if identity is None or process.stdin is None:
        raise OSError(f"{command[0]} ended before it began; see {log}")
    record(identity)
    process.stdin.write(b"go\n")
    process.stdin.close()
    return process


def end(identity: ProcessIdentity | None, grace_seconds: float = 10.0) -> None:
    """End a process: asked first (SIGTERM), forced (SIGKILL) after the grace; never another's."""
    for number, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        if identity is None or not is_alive(identity):
            return
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while is_alive(identity) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
