"""Packs what a gateway must know of shoppers and items into `users.db`."""

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.schema import EVENT_TYPES, ItemColumn
from serving.gateway.shoppers import INDEX, ITEM_FACTS, SCHEMA

# The frequent items count over all that is packed, in training over all that there is: the two
# agree for every shopper with no more events than this. A wholesaler's 2,000 take 2 ms to read.
EVENTS_PER_USER = 2_000
ROWS_AT_ONCE = 100_000


def write_users(dataset: Path, target: Path) -> int:
    """Write `users.db` from a prepared dataset.

    Args:
        dataset: Folder with meta.json, events.parquet, users.parquet and items.parquet.
        target: The file to make; it must not exist.

    Returns:
        How many events were packed.
    """
    events = pq.read_table(
        dataset / "events.parquet", columns=["user_index", "item_index", "event_type", "timestamp"]
    )
    user_ids = pq.read_table(dataset / "users.parquet", columns=["user_id"])["user_id"].to_pylist()
    items = pq.read_table(dataset / "items.parquet")
    item_ids = items[ItemColumn.ITEM_ID].to_pylist()
    kept = _newest_per_user(events)
    with contextlib.closing(sqlite3.connect(target)) as database:
        database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {SCHEMA}")
        for part in _parts(kept):
            database.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?)", _rows(part, user_ids, item_ids)
            )
        marks = ", ".join("?" * (1 + len(ITEM_FACTS)))
        database.executemany(f"INSERT INTO items VALUES ({marks})", _facts(items))  # noqa: S608  marks
        if kept.num_rows:
            newest = int(np.argmax(kept["timestamp"].to_numpy()))
            example = user_ids[kept["user_index"][newest].as_py()]
            database.execute("INSERT INTO facts VALUES ('example_user', ?)", (example,))
        database.executemany("INSERT INTO facts VALUES (?, ?)", _posted(dataset))
        database.executescript(INDEX)
        database.commit()
    return int(kept.num_rows)


def _posted(dataset: Path) -> Iterator[tuple[str, str]]:
    """Up to which posted event of each environment the dataset was prepared with."""
    meta = json.loads((dataset / "meta.json").read_text("utf-8"))
    for environment, number in meta.get("posted_until", {}).items():
        yield f"posted_until:{environment}", str(number)


def _newest_per_user(events: pa.Table) -> pa.Table:
    """The last events of each user on items of the vocabulary, as `Dataset.states` counts them."""
    events = events.filter(pa.array(events["item_index"].to_numpy() > 0))
    users = events["user_index"].to_numpy()
    ends = np.searchsorted(users, users, side="right")
    return events.filter(pa.array(ends - np.arange(len(users)) <= EVENTS_PER_USER))


def _parts(events: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, events.num_rows, ROWS_AT_ONCE):
        yield events.slice(start, ROWS_AT_ONCE)


def _rows(
    events: pa.Table, user_ids: list[str], item_ids: list[str]
) -> Iterator[tuple[str, str, str, float]]:
    columns = [
        events[name].to_pylist() for name in ("user_index", "item_index", "event_type", "timestamp")
    ]
    for user, item, kind, timestamp in zip(*columns, strict=True):
        yield user_ids[user], item_ids[item - 1], EVENT_TYPES[kind - 1], float(timestamp)


def _facts(items: pa.Table) -> Iterator[tuple[Any, ...]]:
    """What the catalogue tells of the items, those of which it tells anything."""
    nothing = [None] * items.num_rows
    there = items.column_names
    columns = [items[name].to_pylist() if name in there else nothing for name in ITEM_FACTS]
    for item_id, *values in zip(items[ItemColumn.ITEM_ID].to_pylist(), *columns, strict=True):
        told = [value if _is_told(value) else None for value in values]
        if any(value is not None for value in told):
            yield item_id, *told


def _is_told(value: Any) -> bool:
    return value not in ("", None) and not (isinstance(value, float) and math.isnan(value))
