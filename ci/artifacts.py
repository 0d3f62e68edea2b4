"""The artifact store: folders kept by the digest of their content, immutable once stored."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ci.config import Config
from ci.errors import RefusedError, UnavailableError
from ci.workspace import digest_of, remove

ABANDONED_SECONDS: Final = 14 * 86_400


def store(config: Config, folder: Path, digest: str) -> Path:
    """Keep a folder under its digest; storing the same content twice is free.

    Args:
        config: Names the shop whose store it is.
        folder: What to keep.
        digest: `sha256:…` of the folder.

    Raises:
        RefusedError: The folder's content is not what the digest says.
    """
    target = _place(config, digest)
    if target.exists():
        return target
    if (seen := digest_of(folder)) != digest:
        raise RefusedError(
            f"{folder} was altered after it was made: its digest is {seen}, not {digest}. "
            "Run the stage that made it with `--force`."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=".storing-"))
    try:
        shutil.copytree(folder, scratch / "content")
        (scratch / "content").rename(target)
    finally:
        remove(scratch)
    return target


def has(config: Config, digest: str) -> bool:
    """Whether the store has something under a digest."""
    return _place(config, digest).exists()


def fetch(config: Config, digest: str) -> Path:
    """The stored folder of a digest, proved unaltered.

    Raises:
        UnavailableError: The store does not have it.
        RefusedError: It was altered in the store.
    """
    target = _place(config, digest)
    if not target.exists():
        raise UnavailableError(
            f"The artifact store {target.parent} has nothing with digest {digest}. Restore it from "
            "a backup, or make the artifact again with `bin/ci run`."
        )
    if (seen := digest_of(target)) != digest:
        raise RefusedError(
            f"{target} was altered in the store: its digest is {seen}, not {digest}. "
            "Restore it from a backup."
        )
    return target


def drop(config: Config, digest: str) -> None:
    """Let go of what is stored under a digest."""
    remove(_place(config, digest))


@contextmanager
def checkpoints(config: Config, key: str) -> Iterator[Path]:
    """A folder for the checkpoints of one training, which outlives the agent that trains.

    Whoever begins the same training again, on this agent or another one, finds them there. They
    go when the block ends well, and so do those that nobody came back to.

    Args:
        config: Names the shop whose store it is.
        key: Equal for equal trainings only.
    """
    folder = config.artifacts / "checkpoints" / key
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    oldest = time.time() - ABANDONED_SECONDS
    for one in folder.parent.iterdir():
        if one == folder or max(file.stat().st_mtime for file in (one, *one.iterdir())) < oldest:
            shutil.rmtree(one, ignore_errors=True)  # another agent may clean up at this moment


def _place(config: Config, digest: str) -> Path:
    return config.artifacts / digest.removeprefix("sha256:")
