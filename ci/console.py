"""What a person reads while the pipeline works: one line at the start and one at the end."""

import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path


def say(line: str = "") -> None:
    """Print a line at once, also when the output is a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """Print a line to the error stream."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def duration(seconds: float) -> str:
    """Seconds as a person says them: `40 ms`, `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 0.1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(timedelta(seconds=seconds).total_seconds()), 60)
    return f"{minutes} min {rest:02d} s"


@contextlib.contextmanager
def native_noise_in(log: Path) -> Iterator[None]:
    """Send what C++ libraries write to the error stream into a file; Python's own stays visible.

    TensorFlow greets, warns and logs from C++ before any of its log levels can be set.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    visible, kept = os.dup(2), sys.stderr
    if sys.stderr is sys.__stderr__:  # else somebody captures it already
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace")
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(visible, 2)
        os.close(visible)
        if sys.stderr is not kept:
            sys.stderr.close()
            sys.stderr = kept
