"""The folder where stages meet: typed, atomic reads and writes of a shop's artifacts."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.errors import UsageError


@dataclass(frozen=True)
class Workspace:
    """Artifacts of one shop and task.

    Attributes:
        root: `build/<shop>`: manifests, release, report.
        task: `build/<shop>/<task>`: dataset, model, bundle, evaluation.
    """

    root: Path
    task: Path

    def path(self, name: str) -> Path:
        """Where an artifact lies; `../x` names one of the shop rather than of the task."""
        return self.root / name[3:] if name.startswith("../") else self.task / name

    def require(self, name: str, made_by: str) -> Path:
        """The path of an artifact that must be there.

        Raises:
            UsageError: It is not; the message names the stage that makes it.
        """
        path = self.path(name)
        if not path.exists():
            raise UsageError(f"{path} is not there yet. Run `bin/ci {made_by}` first.")
        return path

    def read_json(self, name: str, made_by: str) -> dict[str, Any]:
        """A JSON artifact that must be there."""
        content: dict[str, Any] = json.loads(self.require(name, made_by).read_text("utf-8"))
        return content

    def find_json(self, name: str) -> dict[str, Any] | None:
        """A JSON artifact, or None when no stage has made it yet."""
        path = self.path(name)
        if not path.exists():
            return None
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return content

    def write_json(self, name: str, content: dict[str, Any]) -> Path:
        """Write a JSON artifact whole or not at all."""
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        return self.write_text(name, text)

    def write_text(self, name: str, text: str) -> Path:
        """Write a text artifact whole or not at all."""
        path = self.path(name)
        write_atomically(path, text)
        return path

    @contextlib.contextmanager
    def new_folder(self, name: str) -> Iterator[Path]:
        """A folder to fill that replaces the artifact `name` only when the block ends well."""
        target = self.path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        scratch.chmod(0o755)
        try:
            yield scratch
            remove(target)
            scratch.rename(target)
        finally:
            remove(scratch)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).chmod(0o644)
        Path(scratch).rename(path)
    finally:
        Path(scratch).unlink(missing_ok=True)


def make_once(path: Path, make: Callable[[Path], None]) -> Path:
    """A file that is made where it is missing, whole or not at all; two who ask take turns.

    Args:
        path: The file.
        make: Writes it at the place that it is given; what it leaves when it fails is overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # goes with the file, also when this process is killed
        if not path.is_file():
            part = path.with_suffix(".part")
            make(part)
            part.replace(path)
    return path


def remove(path: Path) -> None:
    """Remove a file or folder, read-only content included; nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        for folder in (path, *(inner for inner in path.rglob("*") if inner.is_dir())):
            folder.chmod(0o755)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def digest_of(path: Path) -> str:
    """`sha256:` of a file, or of a folder's sorted (relative path, sha256) pairs."""
    if path.is_file():
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    whole = hashlib.sha256()
    for inner in sorted(item for item in path.rglob("*") if item.is_file()):
        whole.update(f"{inner.relative_to(path).as_posix()} {digest_of(inner)}\n".encode())
    return f"sha256:{whole.hexdigest()}"
