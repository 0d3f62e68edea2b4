"""The two databases that clean: the same query objects run on either."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import ibis
import psycopg
import pyarrow as pa

from model.data.reading import columns_of, explain, literal, quote, rows_of, told
from model.data.sources import Source
from model.schema import DataError, EventColumn


class Engine(Protocol):
    """A database that does the work."""

    connection: Any

    def columns(self, source: Source) -> list[str]:
        """Names of the source's columns."""

    def land(self, source: Source, name: str, selected: Mapping[str, str]) -> ibis.Table:
        """Copy columns of a source (ours → the source's), as they are, and number the rows."""

    def save(self, name: str, rows: ibis.Table) -> ibis.Table:
        """Keep the result of a query in a temporary table."""

    def drop(self, name: str) -> None:
        """Forget a temporary table."""

    def fetch(self, rows: ibis.Table) -> pa.Table:
        """Bring the result of a query here."""


ROW = "landed_row"  # number of a landed row, unique in its table


class DuckDBEngine:
    """DuckDB in memory: reads every kind of source."""

    def __init__(self) -> None:
        self.connection: Any = ibis.duckdb.connect()
        self._duckdb = self.connection.con
        self._duckdb.execute("SET TimeZone = 'UTC'")
        self._duckdb.execute("SET preserve_insertion_order = false")

    def columns(self, source: Source) -> list[str]:
        """Names of the source's columns."""
        return list(columns_of(self._duckdb, source))

    def land(self, source: Source, name: str, selected: Mapping[str, str]) -> ibis.Table:
        """Copy columns of a source, as they are, into a temporary table."""
        listing = ", ".join(
            f"{_split(quote(theirs), ours, source)} AS {ours}" for ours, theirs in selected.items()
        )
        with told(source):
            where = rows_of(self._duckdb, source)
            rows = _numbered(f"SELECT {listing} FROM {where}")  # noqa: S608  all names are quoted
            self._duckdb.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {rows}")
        return self.connection.table(name)

    def save(self, name: str, rows: ibis.Table) -> ibis.Table:
        """Keep the result of a query in a temporary table."""
        return self.connection.create_table(name, rows, temp=True, overwrite=True)

    def drop(self, name: str) -> None:
        """Forget a temporary table."""
        self._duckdb.execute(f"DROP TABLE {name}")

    def fetch(self, rows: ibis.Table) -> pa.Table:
        """Bring the result of a query here."""
        return self.connection.to_pyarrow(rows)

    def beside(self, source: Source, table: str) -> pa.Table | None:
        """A table of the source's database; None where there is none."""
        if source.location.kind in {"csv", "parquet"}:
            return None
        with told(source):
            name = rows_of(self._duckdb, source).partition(".")[0]
            found = self._duckdb.execute(
                "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND table_name = ?",
                [name, table],
            ).fetchall()
            return (
                self._duckdb.sql(f"FROM {name}.{quote(table)}").to_arrow_table() if found else None
            )

    def close(self) -> None:
        """Free the memory."""
        self.connection.disconnect()


class PostgreSQLEngine:
    """The shop's own PostgreSQL: the rows are cleaned where they lie, in temporary tables.

    Raises:
        DataError: The source is no PostgreSQL database.
        SourceUnavailableError: It cannot be reached or refuses the login.
    """

    def __init__(self, source: Source) -> None:
        location = source.location
        if location.kind != "postgresql":
            raise DataError(
                f'[data] engine = "postgresql" works where the rows lie, and {source.url} is no '
                'postgresql://… URL. Set engine = "duckdb".'
            )
        self._source = source
        with self._told():
            self.connection: Any = ibis.postgres.connect(
                host=location.host,
                port=location.port,
                user=location.user or None,
                password=source.password or None,
                database=location.database,
            )
            self._execute("SET TIME ZONE 'UTC'")

    def columns(self, source: Source) -> list[str]:
        """Names of the source's columns."""
        return list(self._types(source))

    def land(self, source: Source, name: str, selected: Mapping[str, str]) -> ibis.Table:
        """Copy columns of a source, as they are, into a temporary table.

        Text gets the collation "C", which orders by bytes as DuckDB does.
        """
        types = self._types(source)
        listing = ", ".join(
            f"{_split(_in_bytes(theirs, types[theirs]), ours, source)} AS {ours}"
            for ours, theirs in selected.items()
        )
        rows = _numbered(f"SELECT {listing} FROM {_table(source)}")  # noqa: S608  all are quoted
        with self._told():
            self._execute(f"DROP TABLE IF EXISTS pg_temp.{name}")
            self._execute(f"CREATE TEMP TABLE {name} AS {rows}")
            return self.connection.table(name)

    def save(self, name: str, rows: ibis.Table) -> ibis.Table:
        """Keep the result of a query in a temporary table."""
        with self._told():
            return self.connection.create_table(name, rows, temp=True, overwrite=True)

    def drop(self, name: str) -> None:
        """Forget a temporary table."""
        with self._told():
            self._execute(f"DROP TABLE {name}")

    def fetch(self, rows: ibis.Table) -> pa.Table:
        """Bring the result of a query here."""
        with self._told():
            return self.connection.to_pyarrow(rows)

    def close(self) -> None:
        """End the session; its temporary tables go with it."""
        self.connection.disconnect()

    def _types(self, source: Source) -> dict[str, str]:
        query = """
            SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
        """
        with self._told(), self.connection.con.cursor() as cursor:
            cursor.execute(query, [_table(source)])
            return dict(cursor.fetchall())

    def _execute(self, statement: str) -> None:
        with self.connection.raw_sql(statement):
            self.connection.con.commit()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise explain(str(error), self._source, self._source.location) from None


def _numbered(rows: str) -> str:
    """Number rows from outside, after baskets have become rows of items."""
    return f"SELECT *, row_number() OVER () AS {ROW} FROM ({rows}) AS source"  # noqa: S608


def _split(column: str, ours: str, source: Source) -> str:
    """The column itself, or one row for every item of a basket: both databases know these words."""
    if ours != EventColumn.ITEM_ID or not source.item_separator:
        return column
    return f"unnest(string_to_array({column}, {literal(source.item_separator)}))"


def _table(source: Source) -> str:
    return ".".join(quote(part) for part in source.location.table.split("."))


def _in_bytes(column: str, kind: str) -> str:
    is_text = kind in {"text", "character varying", "character", "name", "uuid"}
    return f'{quote(column)}::text COLLATE "C"' if is_text else quote(column)
