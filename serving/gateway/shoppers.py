"""What a release knows of each shopper: the events of `users.db`, read only."""

import sqlite3
from pathlib import Path

from model.history import Event

SCHEMA = """
CREATE TABLE events (user_id TEXT NOT NULL, item_id TEXT NOT NULL, event_type TEXT NOT NULL,
                     timestamp REAL NOT NULL);
CREATE TABLE items (item_id TEXT PRIMARY KEY, title TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
INDEX = "CREATE INDEX events_by_user ON events (user_id, timestamp);"


class ShopperStore:
    """The events and titles packed with a release.

    Args:
        path: `users.db` of the release; never written to.
    """

    def __init__(self, path: Path) -> None:
        # `immutable` tells SQLite that nobody writes: no lock files beside a read-only release.
        self._database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)

    def events(self, user_id: str) -> list[Event]:
        """Every known event of a shopper, oldest first; none for an unknown one."""
        rows = self._database.execute(
            "SELECT item_id, event_type, timestamp FROM events WHERE user_id = ? "
            "ORDER BY timestamp, rowid",
            (user_id,),
        )
        return [Event(*row) for row in rows]

    def posted_until(self, environment: str) -> int:
        """Number of the last posted event of an environment that was packed; 0 for none."""
        name = f"posted_until:{environment}"
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def titles(self, item_ids: list[str]) -> dict[str, str]:
        """Titles of those items that have one."""
        marks = ",".join("?" * len(item_ids))
        rows = self._database.execute(
            f"SELECT item_id, title FROM items WHERE item_id IN ({marks})",  # noqa: S608 (marks only)
            item_ids,
        )
        return dict(rows.fetchall())

    def some_user(self) -> str | None:
        """The shopper with the newest event: an example for a first look."""
        row = self._database.execute(
            "SELECT value FROM facts WHERE name = 'example_user'"
        ).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def example_user(path: Path) -> str:
    """A shopper to try a release with; one without any event knows none."""
    store = ShopperStore(path)
    try:
        return store.some_user() or "nobody"
    finally:
        store.close()
