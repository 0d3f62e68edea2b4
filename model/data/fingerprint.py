"""Tells whether a source changed: rows, newest event and a checksum of every day."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import duckdb

from model.data.reading import attached, columns_of, literal, rows_of, told
from model.data.sources import Location, Source
from model.schema import EventColumn

# One order-independent number a row; wide enough that equal sums mean equal rows.
ROW_CHECKSUM = {
    "duckdb": "sum(hash({columns}))",
    "postgresql": "sum(('x' || left(md5(ROW({columns})::text), 15))::bit(60)::bigint::numeric)",
    "mysql": "sum(CAST(CONV(LEFT(MD5(CONCAT_WS('|', {quoted})), 15), 16, 10) AS DECIMAL(20)))",
}


def fingerprint(source: Source, choose: Callable[[list[str]], dict[str, str]]) -> dict[str, Any]:
    """What a source holds, as far as it is read.

    Args:
        source: Event log or catalogue.
        choose: Names of the columns that are there → ours and theirs of those that are read (see
            `model/data/columns.py`); without a `timestamp` all rows are one day.

    Returns:
        `rows`, `newest` (text of the newest event), `days` (checksum by day) and their `digest`.

    Raises:
        DataError: The source cannot be read.
        SourceUnavailableError: Its server cannot be reached or refuses.
    """
    with contextlib.closing(duckdb.connect()) as connection:
        types = columns_of(connection, source)
        selected = choose(list(types))
        with told(source):
            counted = connection.execute(_query(connection, source, selected, types)).fetchall()
    days = {str(day): f"{rows}:{checksum}" for day, rows, checksum, _ in counted}
    newest = max((str(last) for *_, last in counted if last is not None), default="")
    whole = hashlib.sha256(repr((sorted(selected.items()), sorted(days.items()))).encode())
    return {
        "rows": sum(row[1] for row in counted),
        "newest": newest,
        "days": days,
        "digest": f"sha256:{whole.hexdigest()}",
    }


def _query(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    selected: Mapping[str, str],
    types: Mapping[str, str],
) -> str:
    """Group by day; a server does it itself, so that only the days travel."""
    location = source.location
    if not location.host:
        return _grouped(rows_of(connection, source), "duckdb", selected, types)
    query = _grouped(_table(location), location.kind, selected, types)
    function = {"postgresql": "postgres_query", "mysql": "mysql_query"}[location.kind]
    name = attached(connection, source, location)
    return f"FROM {function}({literal(name)}, {literal(query)})"


def _grouped(
    table: str, dialect: str, selected: Mapping[str, str], types: Mapping[str, str]
) -> str:
    mark = "`" if dialect == "mysql" else '"'
    names = [_quoted(name, mark) for name in sorted(set(selected.values()))]
    checksum = ROW_CHECKSUM[dialect].format(
        columns=", ".join(names), quoted=", ".join(f"QUOTE({name})" for name in names)
    )
    text = "CHAR" if dialect == "mysql" else "VARCHAR"
    day = moment = "''"
    if EventColumn.TIMESTAMP in selected:
        column = selected[EventColumn.TIMESTAMP]
        moment = f"CAST(max({_quoted(column, mark)}) AS {text})"
        day = _day(_quoted(column, mark), types[column], dialect)
    return (
        f"SELECT {day} AS day, count(*) AS total, CAST({checksum} AS {text}) AS checksum, "  # noqa: S608
        f"{moment} AS newest FROM {table} GROUP BY 1 ORDER BY 1"
    )


def _day(column: str, kind: str, dialect: str) -> str:
    """The first ten letters of a time, or the day of a number of (milli)seconds."""
    letters = f"left(CAST({column} AS {'CHAR' if dialect == 'mysql' else 'VARCHAR'}), 10)"
    if kind.startswith(("TIMESTAMP", "DATE")):
        return letters
    if kind != "VARCHAR":
        return _day_of_number(column)
    if dialect != "duckdb":
        return letters
    number = f"TRY_CAST({column} AS DOUBLE)"
    return f"coalesce(CAST({_day_of_number(number)} AS VARCHAR), {letters})"


def _day_of_number(number: str) -> str:
    return f"floor({number} / CASE WHEN {number} < 1e11 THEN 86400 ELSE 86400000 END)"


def _quoted(name: str, mark: str) -> str:
    return f"{mark}{name.replace(mark, mark * 2)}{mark}"


def _table(location: Location) -> str:
    mark = "`" if location.kind == "mysql" else '"'
    return ".".join(_quoted(part, mark) for part in location.table.split("."))
