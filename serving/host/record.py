"""What a host knows about itself: colours, releases, history; one JSON file, written atomically."""

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from serving.host.processes import ProcessIdentity
from serving.host.releases import key_of

SCHEMA: Final = 1
FILE: Final = "record.json"
COLOURS: Final = ("blue", "green")
VERIFIED: Final = ("live", "previous", "withdrawn")

ColourState = Literal["starting", "live", "warm"]
ReleaseState = Literal["starting", "live", "previous", "withdrawn", "failed"]


class RecordError(ValueError):
    """The record cannot be read."""


@dataclass
class Colour:
    """One of the two places of a host: a model server and a gateway of one release."""

    name: str
    digest: str
    model_version: int
    engine: str
    state: ColourState
    rest_port: int = 0
    grpc_port: int = 0
    gateway_port: int = 0
    model: ProcessIdentity | None = None
    gateway: ProcessIdentity | None = None
    images: dict[str, str] = field(default_factory=dict)  # part → what it is started from

    @property
    def key(self) -> str:
        """Its release's key."""
        return key_of(self.digest, self.images)


@dataclass
class Release:
    """One rollout of one release: a line of the history."""

    number: int
    kind: Literal["deploy", "rollback"]
    model_version: int
    digest: str
    engine: str
    state: ReleaseState
    who: str
    commit: str
    started_at: str
    colour: str = ""
    seconds: float = 0.0
    warm: bool = False
    failed_requests: int = 0
    reason: str = ""
    step: str = ""
    reported: bool = False
    rollout: str = ""  # the same on every host of a fleet
    approved_by: str = ""
    override_freeze: str = ""  # why it went out although its environment was frozen
    images: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its release's key."""
        return key_of(self.digest, self.images)


@dataclass
class Record:
    """The host's own record; whatever else is lost, traffic follows it."""

    shop: str
    environment: str
    port: int = 0
    preferred_port: int = 0
    sockets: str = ""
    live: str = ""
    supervisor: ProcessIdentity | None = None
    colours: dict[str, Colour] = field(default_factory=dict)
    history: list[Release] = field(default_factory=list)
    highest_sequence: int = 0  # of the signed statements that were accepted
    schema: int = SCHEMA

    @property
    def live_colour(self) -> Colour | None:
        """The colour that gets the traffic."""
        return self.colours.get(self.live)

    @property
    def other(self) -> str:
        """The name of the colour that gets no traffic."""
        return COLOURS[1] if self.live == COLOURS[0] else COLOURS[0]

    def holder_of(self, key: str) -> Colour | None:
        """The colour that holds a release, whatever its state."""
        return next((c for c in self.colours.values() if c.key == key), None)

    def latest_of(self, key: str) -> Release | None:
        """The newest line about a release that was verified healthy then."""
        lines = [r for r in self.history if r.key == key and r.state in VERIFIED]
        return lines[-1] if lines else None

    def rollback_target(self) -> Release | None:
        """The newest release verified healthy here, not withdrawn since, and not live now."""
        live = self.live_colour
        for release in reversed(self.history):
            is_newest_word = self.latest_of(release.key) is release
            is_live = live is not None and release.key == live.key
            if is_newest_word and release.state == "previous" and not is_live:
                return release
        return None

    def wanted(self, count: int) -> set[str]:
        """Keys of the releases that a rollout may still want: the newest verified ones."""
        wanted = {colour.key for colour in self.colours.values()}
        for line in reversed(self.history):
            if line.state in VERIFIED and len(wanted) < count:
                wanted.add(line.key)
        return wanted

    def version(self, model_version: int) -> Release | None:
        """The newest line about a model version that once was verified healthy here."""
        lines = [
            r for r in self.history if r.model_version == model_version and r.state in VERIFIED
        ]
        return lines[-1] if lines else None


def _identity(value: dict[str, Any] | None) -> ProcessIdentity | None:
    return ProcessIdentity(**value) if value else None


def _colour(value: dict[str, Any]) -> Colour:
    identities = {key: _identity(value[key]) for key in ("model", "gateway")}
    return Colour(**{**value, **identities})


def parse(text: str) -> Record:
    """Read a record from its JSON text.

    Raises:
        RecordError: The text is not a record, or a newer Pushcart wrote it.
    """
    try:
        value = json.loads(text)
        if value["schema"] > SCHEMA:
            raise RecordError(
                f"schema {value['schema']}, this Pushcart reads up to {SCHEMA}: upgrade the clone"
            )
        known = {one.name for one in fields(Record)}
        record = Record(**{key: value[key] for key in value if key in known})
        record.supervisor = _identity(value["supervisor"])
        record.colours = {name: _colour(one) for name, one in value["colours"].items()}
        record.history = [Release(**one) for one in value["history"]]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise RecordError(f"not a record of this host ({error!r})") from error
    return record


def load(home: Path) -> Record | None:
    """Read the record of an environment; None when nothing was ever released there.

    Raises:
        RecordError: The file exists but is not a record that this version reads.
    """
    path = home / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return parse(text)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def save(record: Record, home: Path) -> None:
    """Write the record so that a crash at any moment leaves the old or the new one whole."""
    path = home / FILE
    draft = path.with_suffix(".draft")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(record), file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(home, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must outlive a power cut
    finally:
        os.close(folder)
