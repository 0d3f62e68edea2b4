"""Keeps posted events: durable before they are acknowledged, each id once, seen by every colour."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final, Protocol

from model.history import Event
from serving.gateway.posted_events import PostedEvent

VERSION: Final = 1  # of the format; a release reads what the one before it wrote, and the reverse
COLUMNS: Final = tuple(field.name for field in fields(PostedEvent))
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
  number INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL,
  item_id TEXT NOT NULL, event_type TEXT NOT NULL, timestamp REAL NOT NULL, query TEXT,
  position REAL, quantity REAL, price REAL, model_version INTEGER
);
CREATE INDEX IF NOT EXISTS events_by_user ON events (user_id, number);
CREATE TABLE IF NOT EXISTS forwarded (log TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
"""
INSERT: Final = (
    f"INSERT OR IGNORE INTO events ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608  names of ours
)
WAITING: Final = (
    f"SELECT number, {', '.join(COLUMNS)} FROM events WHERE number > ? ORDER BY number LIMIT ?"  # noqa: S608  names of ours
)
BUSY_SECONDS: Final = 5.0  # another colour may be writing


class EventStoreError(Exception):
    """The store cannot be opened, read or written; nothing of the request was kept."""


class EventStore(Protocol):
    """Where posted events are kept until the shop's log has them."""

    def add(self, events: Sequence[PostedEvent]) -> int:
        """Keep events; when this returns they survive a power cut. How many ids were new."""

    def events(self, user_id: str, after: int) -> list[Event]:
        """A shopper's events with a number above `after`, oldest first."""


@dataclass(frozen=True)
class Lately:
    """What shoppers did since a release was packed.

    Attributes:
        store: Has all that was posted.
        number: Of the last event that the release was packed with.
    """

    store: EventStore
    number: int = 0

    def events(self, user_id: str) -> list[Event]:
        """A shopper's later events, oldest first.

        Raises:
            EventStoreError: They cannot be read.
        """
        return self.store.events(user_id, self.number)


class SqliteEventStore:
    """Events in a file that both colours of a machine share.

    Args:
        path: The database; made when it is not there.

    Raises:
        EventStoreError: It cannot be opened, or a later version wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()  # of the threads that write
        with self._told("opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, BUSY_SECONDS, check_same_thread=False)
            self._reader = sqlite3.connect(path, BUSY_SECONDS)  # waits for no writer
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")  # each commit is on the disk
            found = self._database.execute("PRAGMA user_version").fetchone()[0]
            if found > VERSION:
                raise EventStoreError(
                    f"{path} has format {found}, this release reads up to {VERSION}: a later "
                    "release wrote it. Deploy that one."
                )
            self._database.executescript(SCHEMA + f"PRAGMA user_version = {VERSION};")

    def add(self, events: Sequence[PostedEvent]) -> int:
        """Keep events; when this returns they survive a power cut. How many ids were new.

        Raises:
            EventStoreError: They cannot be written; none is kept.
        """
        with self._told("written"), self._turn, self._database:
            return self._database.executemany(INSERT, map(astuple, events)).rowcount

    def events(self, user_id: str, after: int) -> list[Event]:
        """A shopper's events with a number above `after`, oldest first.

        Numbers are given as events come; a release knows up to which it was packed with them.

        Raises:
            EventStoreError: They cannot be read.
        """
        with self._told("read"):
            rows = self._reader.execute(
                "SELECT item_id, event_type, timestamp FROM events "
                "WHERE user_id = ? AND number > ? ORDER BY timestamp, number",
                (user_id, after),
            ).fetchall()
        return [Event(*row) for row in rows]

    def waiting(self, log: str, most: int) -> list[tuple[int, PostedEvent]]:
        """The events, with their numbers, that a log has not got yet; the oldest of them first.

        Args:
            log: Names the log.
            most: How many at once.

        Raises:
            EventStoreError: They cannot be read.
        """
        with self._told("read"):
            rows = self._reader.execute(WAITING, (self.forwarded(log), most)).fetchall()
        return [(number, PostedEvent(*values)) for number, *values in rows]

    def forwarded(self, log: str) -> int:
        """The number up to which a log has all events.

        Raises:
            EventStoreError: It cannot be read.
        """
        with self._told("read"):
            query = "SELECT number FROM forwarded WHERE log = ?"
            row = self._reader.execute(query, (log,)).fetchone()
        return int(row[0]) if row else 0

    def mark_forwarded(self, log: str, number: int) -> None:
        """Remember that a log has all events up to a number.

        Raises:
            EventStoreError: It cannot be written.
        """
        with self._told("written"), self._turn, self._database:
            self._database.execute("INSERT OR REPLACE INTO forwarded VALUES (?, ?)", (log, number))

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise EventStoreError(f"{self._path} cannot be {what}: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
        with self._turn:
            self._database.close()
