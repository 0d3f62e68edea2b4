"""What anybody could read in the list of processes while something happened."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def watched_process_list() -> Iterator[set[str]]:
    """Collect the command lines of this machine's processes, those of its containers included."""
    seen: set[str] = set()
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(seen, stop))
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()


def _watch(seen: set[str], stop: threading.Event) -> None:
    while not stop.wait(0.02):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it ended meanwhile
                seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
