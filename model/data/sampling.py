"""Draws shoppers of an event log and gives them other names: what may leave the shop's database.

What comes out is pseudonymous, not anonymous: no id of a person and no word that one typed is in
it, but what a shopper bought and when is.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa

from model.data import contract
from model.data.engines import DuckDBEngine
from model.data.items import land_catalogue
from model.data.preparing import Preparation, iso, land, moments_of
from model.schema import EVENT_COLUMNS, EventColumn

# A query is what a person typed, and who served a list means nothing without the releases.
LEFT_OUT = (EventColumn.QUERY, EventColumn.MODEL_VERSION)
KEPT = tuple(name for name in EVENT_COLUMNS if name not in LEFT_OUT)
Pseudonyms = Callable[[Iterable[str]], list[str]]


@dataclass(frozen=True)
class Sample:
    """A small event log in our own words.

    Attributes:
        events: Every valid event of the drawn shoppers, `user_id` and `event_id` replaced; the
            columns are those of `KEPT` that the log has.
        items: The catalogue as text, one row an item; no columns but `item_id` where there is none.
        as_of: The clock of the log it was drawn from, ISO 8601.
        shoppers: How many were drawn.
        of_shoppers: How many there were to draw from.
    """

    events: pa.Table
    items: pd.DataFrame
    as_of: str
    shoppers: int
    of_shoppers: int


def sample(
    engine: DuckDBEngine, wanted: Preparation, shoppers: int, pseudonyms: Pseudonyms
) -> Sample:
    """Draw from those who came in the validation or the test window, with all of their past.

    A model is chosen and judged on these shoppers; drawn from everybody, most of a sample would
    be people who left long ago. The draw is the order of the pseudonyms: as good as random, and
    the same whenever the same people are there.

    Args:
        engine: Reads the log and the catalogue.
        wanted: Which log, what its values mean, and the windows.
        shoppers: How many to draw, at most.
        pseudonyms: Ids → other names that only this shop can make.

    Raises:
        DataError: The log cannot be read, or was silent for too long.
        SourceUnavailableError: A server cannot be reached or refuses.
    """
    good = engine.save("good", _valid(engine, wanted))
    moments = moments_of(wanted, newest=int(good.timestamp.max().execute()))
    came = good.filter(
        (good.timestamp >= moments.validation_start) & (good.timestamp <= moments.as_of)
    )
    users = engine.fetch(came.select("user_id").distinct().order_by("user_id"))
    ids = users["user_id"].to_pylist()
    drawn = dict(sorted(zip(pseudonyms(ids), ids, strict=True))[:shoppers])
    names = pa.table({"user_id": list(drawn.values()), "name": list(drawn)})
    events = _renamed(engine, good, names, pseudonyms)
    items = land_catalogue(engine, wanted.catalogue, moments.test_start)
    return Sample(events, items, iso(moments.as_of), len(drawn), len(ids))


def _valid(engine: DuckDBEngine, wanted: Preparation) -> ibis.Table:
    """Rows that keep the contract, in our own types; nobody stands for "nobody knows who"."""
    landed = land(engine, wanted)
    typed = contract.typed(landed, wanted.meaning)
    rules = contract.rules(landed, wanted.meaning)
    rows = typed.filter(~contract.broken(typed, rules))
    if wanted.limits.unknown_users:
        rows = rows.filter(rows.user_id.notin(wanted.limits.unknown_users))
    given = [name for name in KEPT if name in landed.columns or name == EventColumn.EVENT_TYPE]
    return rows.select(given)


def _renamed(
    engine: DuckDBEngine, good: ibis.Table, names: pa.Table, pseudonyms: Pseudonyms
) -> pa.Table:
    """The events of the drawn shoppers under their new names, in a complete order."""
    drawn = engine.save("drawn", ibis.memtable(names))
    joined = good.join(drawn, "user_id")
    rows = joined.mutate(user_id=joined.name).drop("name")
    columns: dict[str, Any] = {
        name: rows.timestamp.as_timestamp("s") if name == EventColumn.TIMESTAMP else rows[name]
        for name in rows.columns
    }
    table = engine.fetch(rows.select(**columns).order_by(rows.columns))
    if EventColumn.EVENT_ID not in table.column_names:
        return table
    place = table.column_names.index(EventColumn.EVENT_ID)
    return table.set_column(
        place, EventColumn.EVENT_ID, pa.array(pseudonyms(table[EventColumn.EVENT_ID].to_pylist()))
    )
