"""The databases that do the work: where rows land, and how failures are told."""

import contextlib
import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from model.schema import DataError, SourceUnavailableError
from model.sources import Location, Source

EXTENSIONS = {
    "sqlite": "sqlite_scanner",
    "postgresql": "postgres_scanner",
    "mysql": "mysql_scanner",
}


class DuckDBEngine:
    """DuckDB in memory: reads every kind of source."""

    name = "duckdb"

    def __init__(self) -> None:
        self.connection: Any = ibis.duckdb.connect()
        self.connection.raw_sql("SET TimeZone = 'UTC'")
        self.connection.raw_sql("SET preserve_insertion_order = false")

    def columns(self, source: Source) -> list[str]:
        """Names of the source's columns."""
        with told(source):
            found = self._execute(f"DESCRIBE FROM {self._from(source)}")
        return [row[0] for row in found]

    def land(self, source: Source, name: str, selected: Mapping[str, str]) -> ibis.Table:
        """Copy columns of a source, as they are, into a temporary table.

        Args:
            source: Where the rows lie.
            name: The temporary table.
            selected: Our column names → the source's.
        """
        listing = ", ".join(f"{quote(theirs)} AS {ours}" for ours, theirs in selected.items())
        with told(source):
            rows = f"SELECT {listing} FROM {self._from(source)}"  # noqa: S608  all names are quoted
            self._execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {rows}")
        return self.connection.table(name)

    def save(self, name: str, rows: ibis.Table) -> ibis.Table:
        """Keep the result of a query in a temporary table."""
        return self.connection.create_table(name, rows, temp=True, overwrite=True)

    def fetch(self, rows: ibis.Table) -> pa.Table:
        """Bring the result of a query here, as a pyarrow table."""
        return self.connection.to_pyarrow(rows)

    def beside(self, source: Source, table: str) -> pa.Table | None:
        """A table of the source's database; None where there is none."""
        location = source.location
        if location.kind in {"csv", "parquet"}:
            return None
        with told(source):
            name = self._attach(source, location)
            where = f"database_name = {literal(name)} AND table_name = {literal(table)}"
            if not self._execute(f"SELECT 1 FROM duckdb_tables() WHERE {where}"):  # noqa: S608
                return None
            return self.connection.con.sql(f"FROM {name}.{quote(table)}").to_arrow_table()

    def close(self) -> None:
        """Free the memory."""
        self.connection.disconnect()

    def _execute(self, statement: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.connection.raw_sql(statement).fetchall()
        return rows

    def _from(self, source: Source) -> str:
        location = source.location
        paths = ", ".join(literal(str(path)) for path in location.paths)
        if location.kind == "parquet":
            return f"read_parquet([{paths}], union_by_name = true)"
        if location.kind == "csv":
            # Everything as text: what a value means is the contract's to say, row by row.
            return (
                f"read_csv([{paths}], all_varchar = true, header = true, null_padding = true, "
                "union_by_name = true, nullstr = '')"
            )
        return f"{self._attach(source, location)}.{_table(location.table)}"

    def _attach(self, source: Source, location: Location) -> str:
        """Attach a database read-only, once, and return the name it got."""
        name = f"{location.kind}_{source.default_table}"
        attached = {row[0] for row in self._execute("SELECT database_name FROM duckdb_databases()")}
        if name not in attached:
            attach(self.connection.con, name, location, source.password, read_only=True)
        return name


def attach(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    location: Location,
    password: str,
    read_only: bool,
) -> None:
    """Attach a database of another kind to DuckDB under a name."""
    load_extension(connection, location.kind)
    kind = "postgres" if location.kind == "postgresql" else location.kind
    address = str(location.paths[0]) if location.paths else _dsn(location, password)
    options = f"TYPE {kind}{', READ_ONLY' if read_only else ''}"
    connection.execute(f"ATTACH {literal(address)} AS {name} ({options})")


def load_extension(connection: Any, kind: str) -> None:
    """Load a scanner that was installed from its wheel; nothing is downloaded."""
    importer = importlib.import_module("duckdb_extensions")
    importer.import_extension(EXTENSIONS[kind], con=connection)
    connection.load_extension(EXTENSIONS[kind])


def quote(name: str) -> str:
    """An SQL identifier."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """An SQL string."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def _table(name: str) -> str:
    return ".".join(quote(part) for part in name.split("."))


def _dsn(location: Location, password: str) -> str:
    names = ("host", "port", "user", "password", "dbname")
    if location.kind == "mysql":
        names = ("host", "port", "user", "passwd", "db")
    values = (location.host, location.port, location.user, password, location.database)
    pairs = zip(names, values, strict=True)
    return " ".join(f"{name}={_dsn_value(str(value))}" for name, value in pairs if value)


def _dsn_value(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@contextlib.contextmanager
def told(source: Source, location: Location | None = None) -> Iterator[None]:
    """Turn an engine's failure to read a source into one clear error without its password.

    Raises:
        DataError: A file cannot be read, a table is not there.
        SourceUnavailableError: A server cannot be reached or refuses.
    """
    try:
        yield
    except duckdb.Error as error:
        raise explain(str(error), source, location or source.location) from None


def explain(message: str, source: Source, location: Location) -> DataError | SourceUnavailableError:
    """One sentence on why a source cannot be read, and what to set."""
    seen = first_line(message, source.password)
    if re.search(r"utf-?8|unicode|encod", message, re.IGNORECASE):
        return DataError(
            f"{source.url} is not UTF-8 text: {seen} Convert it, for example with "
            "`iconv -f LATIN1 -t UTF-8`."
        )
    if re.search(r"(table|relation).* (does not|doesn't) exist", message, re.IGNORECASE):
        return DataError(
            f"{source.url} has no table {location.table}: {seen} Name it with `?table=` in the URL."
        )
    if location.host:
        return SourceUnavailableError(
            f"The database {location.kind}://{location.host}:{location.port}/{location.database} "
            f"cannot be read as user {location.user!r}: {seen} Check that it runs, and the "
            "password that `password_env` or `password_file` names."
        )
    return DataError(f"{source.url} cannot be read: {seen}")


def first_line(message: str, password: str = "") -> str:
    """The first line of an engine's message, without the password."""
    message = message.replace(password, "***") if password else message
    message = re.sub(r"(passw(?:or)?d\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", r"\1***", message)
    line = next((line.strip() for line in message.splitlines() if line.strip()), "no reason given")
    return line if line.endswith(".") else f"{line}."
