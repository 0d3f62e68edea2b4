"""Appends events to the table that a shop's log is read from; `prepare` removes copies."""

import contextlib

import duckdb
import pyarrow as pa

from model.data.columns import choose_event_columns
from model.data.reading import attach, columns_of, quote, rows_of, told
from model.data.sources import Source
from model.schema import DataError, EventColumn

LOG = "log"  # the name under which the database is attached


def append_events(source: Source, events: pa.Table) -> None:
    """Append events in the shop's own words to the table of a database.

    Args:
        source: The log; its mapping tells which of its columns takes which of ours.
        events: Columns by our names, `timestamp` with its zone. What the log has no column for is
            left out.

    Raises:
        DataError: The log is no database, or lacks a column.
        SourceUnavailableError: The server cannot be reached or refuses.
    """
    location = source.location
    if location.kind in {"csv", "parquet"}:
        raise DataError(
            f"Events can be appended to a database only, and {source.url} is {location.kind}. Load "
            "it into one (sqlite:///…, postgresql://…, mysql://…), or take the events from "
            "the gateways' store yourself."
        )
    with contextlib.closing(duckdb.connect()) as connection, told(source):
        connection.execute("SET TimeZone = 'UTC'")
        found = list(columns_of(connection, source))
        chosen = choose_event_columns(found, source, one_event_type=False)
        if EventColumn.EVENT_ID not in chosen:
            raise DataError(
                f"{source.url} has no column for event_id, so an event that is sent twice would "
                "count twice. Add one, or map it in [data.columns]."
            )
        attach(connection, LOG, location, source.password, read_only=False)
        connection.register("posted", events)
        given = [name for name in chosen if name in events.column_names]
        theirs = ", ".join(quote(chosen[name]) for name in given)
        table = ".".join(quote(part) for part in location.table.split("."))
        connection.execute(
            f"INSERT INTO {LOG}.{table} ({theirs}) SELECT {', '.join(given)} FROM posted"  # noqa: S608  all names are quoted or ours
        )


def newest_event(source: Source) -> float | None:
    """The moment of the log's newest event, seconds UTC; None where it has none.

    Raises:
        DataError: The log cannot be read.
        SourceUnavailableError: Its server cannot be reached or refuses.
    """
    with contextlib.closing(duckdb.connect()) as connection, told(source):
        connection.execute("SET TimeZone = 'UTC'")
        where = rows_of(connection, source)
        column = quote(source.columns.get(EventColumn.TIMESTAMP, EventColumn.TIMESTAMP))
        query = f"SELECT epoch(max(CAST({column} AS TIMESTAMPTZ))) FROM {where}"  # noqa: S608
        row = connection.execute(query).fetchone()
    return None if row is None or row[0] is None else float(row[0])
