"""Releases as they lie on a host: `releases/<key>/`, complete and never changed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE = "release.json"
USERS = "users.db"
# Enough to go back over several bad releases; each is as large as its bundle.
RELEASES_KEPT = 5


class ReleaseError(ValueError):
    """A release is not on this host, or not whole."""


@dataclass(frozen=True)
class Placed:
    """One release on a host: a bundle and what the gateway knows of shoppers.

    Attributes:
        task: Name of the served model.
        model_version: Number of the bundle, the folder that TF Serving reads.
        digest: `sha256:…` of the bundle.
        engine: What computes: `savedmodel` or `litert`.
        commit: Source that made it.
        start_timeout_seconds: How long its model may take to load.
        drain_seconds: How long its open connections are waited for before it is ended.
        example_user: A shopper to try it with.
        at: Moment (seconds) as of which it answers; None is now.
        images: What it is started from, by part, where that is images: `name@sha256:…`.
    """

    task: str
    model_version: int
    digest: str
    engine: str
    commit: str
    start_timeout_seconds: float
    drain_seconds: float
    example_user: str = "nobody"
    at: float | None = None
    images: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells it from every other release."""
        return key_of(self.digest, self.images)

    def folder(self, home: Path) -> Path:
        """Its folder on the host."""
        return folder_of(home, self.key)

    def model(self, home: Path) -> Path:
        """The folder whose numbered sub-folders a model server reads."""
        return self.folder(home) / self.task

    def bundle(self, home: Path) -> Path:
        """The bundle itself."""
        return self.model(home) / str(self.model_version)

    def users(self, home: Path) -> Path:
        """The shoppers' events."""
        return self.folder(home) / USERS

    def card(self, home: Path) -> dict[str, Any]:
        """The bundle's card."""
        card: dict[str, Any] = json.loads(
            (self.bundle(home) / "card.json").read_text(encoding="utf-8")
        )
        return card

    def write(self, folder: Path) -> None:
        """Describe the release inside its folder."""
        draft = folder / f".{FILE}"
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        draft.replace(folder / FILE)


def key_of(digest: str, images: Mapping[str, str]) -> str:
    """What tells a release from every other: its bundle, and its images where it has any."""
    if not images:
        return digest
    whole = json.dumps([digest, sorted(images.items())])
    return f"sha256:{hashlib.sha256(whole.encode()).hexdigest()}"


def folder_of(home: Path, key: str) -> Path:
    """Where a release lies on a host."""
    return home / "releases" / key.removeprefix("sha256:")


def load(home: Path, key: str) -> Placed:
    """Read a release that was placed on this host.

    Raises:
        ReleaseError: It is not there.
    """
    path = folder_of(home, key) / FILE
    try:
        return Placed(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ReleaseError(
            f"the release {key} is not on this host ({error}); deploy it again"
        ) from error
