"""One rollout after the other: a lock on an environment's folder, held by a process."""

import fcntl
import os
import time
from pathlib import Path

from serving.host import processes
from serving.host.control import RefusedOrderError


def own(path: Path, patience_seconds: float) -> int:
    """Hold a lock for the life of this process; one that just dies is waited for.

    Args:
        path: The lock's file.
        patience_seconds: How long another holder is waited for.

    Returns:
        The descriptor that holds it: closing it lets go.

    Raises:
        RefusedOrderError: Another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                holder = os.pread(descriptor, 32, 0).decode() or "?"
                os.close(descriptor)
                raise RefusedOrderError(
                    "owned", f"process {holder} holds {path}: it owns this environment"
                ) from None
            time.sleep(processes.POLL_SECONDS)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
