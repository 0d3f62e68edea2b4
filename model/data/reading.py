"""Reads any source with DuckDB, and tells failures in one sentence; no password gets out."""

import contextlib
import importlib
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from model.data.sources import Location, Source
from model.schema import DataError, SourceUnavailableError

EXTENSIONS = {
    "sqlite": "sqlite_scanner",
    "postgresql": "postgres_scanner",
    "mysql": "mysql_scanner",
}


def rows_of(connection: duckdb.DuckDBPyConnection, source: Source) -> str:
    """What to write after FROM to read a source; its database is attached when it is not yet.

    Raises:
        DataError: There is no such file.
    """
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
    name = attached(connection, source, location)
    return f"{name}.{'.'.join(quote(part) for part in location.table.split('.'))}"


def attached(connection: duckdb.DuckDBPyConnection, source: Source, location: Location) -> str:
    """The name of a database that is attached read-only, once."""
    name = f"{location.kind}_{source.default_table}"
    listed = connection.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    if (name,) not in listed:
        attach(connection, name, location, source.password, read_only=True)
    return name


def columns_of(connection: duckdb.DuckDBPyConnection, source: Source) -> dict[str, str]:
    """Names and types of the source's columns, in its order.

    Raises:
        DataError: The source cannot be read.
        SourceUnavailableError: Its server cannot be reached or refuses.
    """
    with told(source):
        found = connection.execute(f"DESCRIBE FROM {rows_of(connection, source)}").fetchall()
    return {row[0]: row[1] for row in found}


def attach(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    location: Location,
    password: str,
    read_only: bool,
) -> None:
    """Attach a database of another kind to DuckDB under a name."""
    load_extension(connection, location.kind)
    if location.kind == "sqlite" and read_only:
        # SQLite holds anything in any column: a word among numbers is one bad row, no failure.
        connection.execute("SET sqlite_all_varchar = true")
    kind = "postgres" if location.kind == "postgresql" else location.kind
    options = f"TYPE {kind}{', READ_ONLY' if read_only else ''}"
    if location.host:
        # As a secret of this connection: any letters, and no error message can quote them.
        connection.execute(
            f"CREATE OR REPLACE SECRET {name} (TYPE {kind}, {_login(location, password)})"
        )
        options += f", SECRET {name}"
    address = str(location.paths[0]) if location.paths else ""
    connection.execute(f"ATTACH {literal(address)} AS {name} ({options})")


def _login(location: Location, password: str) -> str:
    values = {
        "HOST": location.host,
        "PORT": str(location.port),
        "USER": location.user,
        "PASSWORD": password,
        "DATABASE": location.database,
    }
    return ", ".join(f"{name} {literal(value)}" for name, value in values.items() if value)


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
            f"{source.url} has no table {location.table!r}: {seen} Name one with `?table=` in "
            "the URL."
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
    line = next((line.strip() for line in message.splitlines() if line.strip()), "no reason given")
    line = re.sub(r"^\w+ Error: ", "", line)
    line = re.sub(
        r'^(Unable to connect to Postgres at ".*?"|Failed to connect to MySQL[^:]*): ', "", line
    )
    return f"{line.rstrip('.!')}."
