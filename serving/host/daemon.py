"""A process that goes to the background only when it is ready, and says so to who started it."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

# Called once with "" when the process is ready, or with the reason why it cannot be.
Ready = Callable[[str], None]


def in_front() -> Ready:
    """Readiness of a process that stays in the foreground: systemd hears of it where it listens.

    Troubles go to the error stream.
    """
    # Taken away, so that no process started later speaks for this one.
    address = os.environ.pop("NOTIFY_SOCKET", "")

    def ready(trouble: str) -> None:
        if trouble:
            sys.stderr.write(f"{trouble}\n")
        elif address:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
                link.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
                link.send(b"READY=1")

    return ready


def detach(log: Path) -> Ready:
    """Fork into an own session with output to a log; the parent waits and exits with the outcome.

    Args:
        log: File that output is appended to.

    Returns:
        In the child only: what to call once ready. The parent never returns: it exits with 0
        when the child was ready, else with 1 and the reason on the error stream.
    """
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            verdict = pipe.read()
        if verdict != "ready":
            sys.stderr.write(verdict or f"ended before it was ready; see {log}\n")
        os._exit(0 if verdict == "ready" else 1)
    os.close(reading)
    os.setsid()
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)

    def ready(trouble: str) -> None:
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            pipe.write(f"{trouble}\n" if trouble else "ready")

    return ready
