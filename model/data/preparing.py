"""From a shop's rows to a split, numbered dataset: the order of the steps."""

import datetime as dt
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from model.data import cleaning, contract
from model.data.accounting import Accounting, refuse_too_bad, refuse_too_little
from model.data.cleaning import DAY, EVENT, Limits, Moments
from model.data.columns import choose_event_columns
from model.data.contract import Meaning
from model.data.engines import ROW, Engine
from model.data.items import describe_items, land_catalogue
from model.data.sources import Source
from model.schema import DataError, EventColumn

GOING_ON = (
    EventColumn.EVENT_ID,
    EventColumn.USER_ID,
    EventColumn.ITEM_ID,
    EventColumn.EVENT_TYPE,
    EventColumn.TIMESTAMP,
    EventColumn.QUANTITY,
    EventColumn.PRICE,
)


@dataclass(frozen=True)
class Preparation:
    """Everything that decides what a dataset holds, besides the rows.

    Attributes:
        source: The event log.
        meaning: What the log's values mean.
        limits: Bots, k-core, sessions.
        catalogue: The items, or None.
        as_of: The clock: ISO date or time, UTC; "" is the last event.
        window_days: How far back rows count; 0 is all.
        test_days: Length of the test window.
        validation_days: Length of the window before it.
        max_bad_share: More broken rows than this share are refused.
        min_events: Fewer kept rows than this are refused.
        max_silence_days: A newest event older than this at `as_of` is refused.
        features: Numeric item columns to normalise.
        target: `purchase` or `session`.
        target_users: `all`, or `known`: only those seen before the window count in it.
    """

    source: Source
    meaning: Meaning
    limits: Limits
    catalogue: Source | None = None
    as_of: str = ""
    window_days: int = 0
    test_days: int = 14
    validation_days: int = 14
    max_bad_share: float = 0.05
    min_events: int = 1
    max_silence_days: int = 7
    features: tuple[str, ...] = ()
    target: str = "purchase"
    target_users: str = "all"


@dataclass(frozen=True)
class Prepared:
    """The dataset before it is written.

    Attributes:
        events: Arrays of `Dataset` by name.
        items: One row an item of the vocabulary.
        users: One row a user.
        quarantine: The broken rows as text as they came, with their `reasons`.
        moments: The clock.
        accounting: Where every row went.
        bots: Ids of the users that were cut as bots.
        outside_ids: Id of every `outside_index`, from 1.
        features: Mean and standard deviation of every normalised column.
    """

    events: dict[str, np.ndarray]
    items: pd.DataFrame
    users: pd.DataFrame
    quarantine: pa.Table
    moments: Moments
    accounting: Accounting
    bots: list[str]
    outside_ids: list[str]
    features: dict[str, dict[str, float]]


def prepare(engine: Engine, wanted: Preparation, reader: Engine | None = None) -> Prepared:
    """Run all steps on an engine; the same function on DuckDB and PostgreSQL.

    Args:
        engine: Cleans the events.
        wanted: What is wanted.
        reader: Reads the catalogue, which may lie elsewhere; None: the same engine.

    Raises:
        DataError: The source is empty, lacks columns, is too broken, too old or too small.
        SourceUnavailableError: A server cannot be reached or refuses.
    """
    landed = land(engine, wanted)
    rows = _count(landed)
    if rows == 0:
        raise DataError(f"{wanted.source.url} has no rows. Name a source that has some.")
    good, quarantine = _judged(engine, landed, wanted.meaning)
    reasons = _count_reasons(quarantine)
    refuse_too_bad(rows, len(quarantine), reasons, wanted.max_bad_share)
    moments = moments_of(wanted, newest=int(good.timestamp.max().execute()))
    duplicates = rows - len(quarantine) - _count(good)
    marked, filtered = _sorted_out(engine, good, moments, wanted.limits)
    bots = _ids(engine, marked.filter(marked.outcome == cleaning.BOT), "user_id")
    kept = marked.filter(marked.outcome == EVENT)
    accounting = Accounting(rows, _count(kept), len(quarantine), duplicates, filtered, reasons)
    refuse_too_little(accounting, wanted.min_events)
    users, items = _numbered(engine, kept, moments)
    arrays = _arrays(engine, kept, moments, wanted.limits)
    described, statistics = describe_items(
        items[items.known],
        arrays,
        land_catalogue(reader or engine, wanted.catalogue, moments.test_start),
        moments.test_start,
        wanted.features,
    )
    outside = items.item_id[~items.known].tolist()
    return Prepared(
        arrays, described, users, quarantine, moments, accounting, bots, outside, statistics
    )


def moments_of(wanted: Preparation, newest: int) -> Moments:
    """The clock of a dataset whose newest valid event is at `newest` (seconds UTC).

    Raises:
        DataError: `as_of` is no time, or the log has been silent for too long before it.
    """
    as_of = _seconds(wanted.as_of) if wanted.as_of else newest
    silence = (as_of - newest) / DAY
    if silence > wanted.max_silence_days:
        raise DataError(
            f"The newest event of {wanted.source.url} is of {iso(newest)}, {silence:.1f} days "
            f"before as_of {iso(as_of)}; max_silence_days allows {wanted.max_silence_days}. Bring "
            "the log up to date, or set [data] as_of."
        )
    test_start = as_of - wanted.test_days * DAY
    return Moments(
        oldest=as_of - wanted.window_days * DAY if wanted.window_days else 0,
        validation_start=test_start - wanted.validation_days * DAY,
        test_start=test_start,
        as_of=as_of,
    )


def iso(seconds: int) -> str:
    """ISO 8601 in UTC, `2011-12-09T12:50:00Z`."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: str) -> int:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise DataError(
            f"[data] as_of = {text!r} is no time. Write it like 2011-12-09 or 2011-12-09T12:50:00Z."
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp())


def land(engine: Engine, wanted: Preparation) -> ibis.Table:
    """The columns of the event log that are ours, as they are, rows numbered.

    Raises:
        DataError: The log cannot be read, or lacks a column.
        SourceUnavailableError: Its server cannot be reached or refuses.
    """
    one_type = bool(wanted.meaning.event_type)
    selected = choose_event_columns(engine.columns(wanted.source), wanted.source, one_type)
    return engine.land(wanted.source, "landed", selected)


def _judged(engine: Engine, landed: ibis.Table, meaning: Meaning) -> tuple[ibis.Table, pa.Table]:
    """Valid rows without copies, and the broken rows as text as they came, in a complete order."""
    typed, rules = contract.typed(landed, meaning), contract.rules(landed, meaning)
    columns = {name: typed[name] for name in (*GOING_ON, ROW)}
    broken = contract.broken(typed, rules)
    checked = engine.save("checked", typed.select(**columns, broken=broken))
    # The rules are slow: only what broke one is asked again, by its number, for all its reasons.
    numbers = checked.filter(checked.broken).select(ROW)
    bad = contract.typed(landed.semi_join(numbers, ROW), meaning)
    seen = [name for name in typed.columns if name.startswith("seen_")]
    texts = {name.removeprefix("seen_"): bad[name].cast("string") for name in seen}
    rows = bad.select(**texts, reasons=contract.reasons(bad, rules))
    quarantine = engine.fetch(rows.order_by(rows.columns))
    engine.drop("landed")
    fine = checked.filter(~checked.broken).select(GOING_ON)
    if "seen_event_id" in typed.columns:
        good = engine.save("good", cleaning.first_of_each(fine, engine.save))
    else:
        good = engine.save("good", cleaning.with_event_ids(fine))
    engine.drop("checked")
    return good, quarantine


def _sorted_out(
    engine: Engine, good: ibis.Table, moments: Moments, limits: Limits
) -> tuple[ibis.Table, dict[str, int]]:
    """Events with their outcome, and how many rows were filtered by why."""
    told = cleaning.with_outcome(good, moments, limits)
    events = told.filter(told.outcome == EVENT).drop("outcome")
    marked = engine.save("marked", cleaning.marked(engine.save, events, moments, limits))
    counts = _counts(engine, told, "outcome") | {EVENT: 0} | _counts(engine, marked, "outcome")
    engine.drop("good")
    return marked, {why: count for why, count in counts.items() if why != EVENT}


def _numbered(
    engine: Engine, kept: ibis.Table, moments: Moments
) -> tuple[pd.DataFrame, pd.DataFrame]:
    users = engine.save("users", cleaning.numbered_users(kept, moments))
    items = engine.save("items", cleaning.numbered_items(kept, moments))
    people = engine.fetch(users.order_by("user_index")).to_pandas()
    things = engine.fetch(items.order_by("item_number")).to_pandas()
    return people[["user_index", "user_id", "train_events"]], things


def _arrays(
    engine: Engine, kept: ibis.Table, moments: Moments, limits: Limits
) -> dict[str, np.ndarray]:
    """The rows as arrays, sorted by user, time and event id."""
    tables = engine.connection.table("users"), engine.connection.table("items")
    rows = engine.fetch(cleaning.flat(kept, *tables, limits))
    known = rows["known"].to_numpy()
    number = rows["item_number"].to_numpy().astype(np.int32)
    vocabulary = int(number[known].max(initial=0))
    timestamp = rows["timestamp"].to_numpy().astype(np.int64)
    split = (timestamp >= moments.validation_start).astype(np.int8)
    return {
        "user_index": rows["user_index"].to_numpy().astype(np.int32),
        "item_index": np.where(known, number, 0).astype(np.int32),
        "outside_index": np.where(known, 0, number - vocabulary).astype(np.int32),
        "event_type": rows["event_type"].to_numpy().astype(np.int8),
        "timestamp": timestamp,
        "session": rows["session"].to_numpy().astype(np.int32),
        "split": split + (timestamp >= moments.test_start).astype(np.int8),
        "quantity": rows["quantity"].to_pandas().fillna(1.0).to_numpy(np.float32),
        "price": rows["price"].to_pandas().to_numpy(np.float32, na_value=np.nan),
    }


def _count(rows: ibis.Table) -> int:
    return int(rows.count().execute())


def _counts(engine: Engine, rows: ibis.Table, key: str) -> dict[str, int]:
    counted = engine.fetch(rows.group_by(key).agg(total=rows.count()).order_by(key)).to_pylist()
    return {row[key]: row["total"] for row in counted}


def _ids(engine: Engine, rows: ibis.Table, key: str) -> list[str]:
    found: list[str] = engine.fetch(rows.select(key).distinct().order_by(key))[key].to_pylist()
    return found


def _count_reasons(quarantine: pa.Table) -> dict[str, int]:
    """Rows by reason, the most common first."""
    listed = quarantine["reasons"].to_pandas().str.split("; ").explode()
    return {str(name): int(count) for name, count in listed.value_counts().items()}
