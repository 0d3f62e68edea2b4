"""What a release knows of each shopper and item: `users.db`, read only."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from model.history import Event
from model.schema import ItemColumn

# What is told of an item beside its id.
ITEM_FACTS: Final = (ItemColumn.TITLE, ItemColumn.CATEGORY, ItemColumn.BRAND, ItemColumn.PRICE)

SCHEMA = """
CREATE TABLE events (user_id TEXT NOT NULL, item_id TEXT NOT NULL, event_type TEXT NOT NULL,
                     timestamp REAL NOT NULL);
CREATE TABLE items (item_id TEXT PRIMARY KEY, title TEXT, category TEXT, brand TEXT,
                    price REAL) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
INDEX = "CREATE INDEX events_by_user ON events (user_id, timestamp);"


class ShopperStore:
    """The events and items packed with a release.

    Args:
        path: `users.db` of the release; never written to.
    """

    def __init__(self, path: Path) -> None:
        # `immutable` tells SQLite that nobody writes: no lock files beside a read-only release.
        self._database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        # A release that was packed earlier may know less of its items.
        there = [row[1] for row in self._database.execute("PRAGMA table_info(items)")]
        self._facts = [name for name in ITEM_FACTS if name in there]

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

    def items(self, item_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What is known of items by id: those of `ITEM_FACTS` that have a value."""
        marks = ",".join("?" * len(item_ids))
        rows = self._database.execute(
            f"SELECT item_id, {', '.join(self._facts)} FROM items "  # noqa: S608  names of ours, marks
            f"WHERE item_id IN ({marks})",
            item_ids,
        )
        return {
            item_id: {
                name: value
                for name, value in zip(self._facts, values, strict=True)
                if value is not None
            }
            for item_id, *values in rows
        }

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
