"""Writes a simulated shop into a database, or its events into a Parquet file."""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from model.data.reading import attach, literal, told
from model.data.sources import Location, Source, locate
from model.schema import DataError
from model.simulation.simulation import SimulatedShop
from model.simulation.truth import BOTS, ORACLE

EXECUTE = {"postgresql": "postgres_execute", "mysql": "mysql_execute"}


def write_shop(shop: SimulatedShop, target: Source, ddl: str) -> None:
    """Write events, catalogue, and apart from them the simulator's own knowledge.

    Args:
        shop: What to write.
        target: `sqlite:///…` (replaced as a whole), `postgresql://…`, `mysql://…` (without events
            so far), or a path ending in `.parquet` for the events alone.
        ddl: The statements of `infra/database/` for this kind of database.

    Raises:
        DataError: The target already holds events, or it is of another kind.
        SourceUnavailableError: The server cannot be reached or refuses.
    """
    if target.url.endswith(".parquet"):
        with _whole_file(Path(target.url)) as scratch:
            pq.write_table(shop.events, scratch, compression="zstd")
        return
    location = locate(target.url)
    with contextlib.closing(duckdb.connect()) as connection:
        if location.kind == "sqlite":
            _write_sqlite(shop, location.paths[0], ddl, connection)
            return
        # postgres_execute and mysql_execute have no parameters and one statement at a time
        with told(target, location):
            attach(connection, "shop", location, target.password, read_only=False)
            for statement in filter(None, map(str.strip, _without_comments(ddl).split(";"))):
                connection.execute(f"CALL {EXECUTE[location.kind]}('shop', {literal(statement)})")
            _refuse_filled(connection, target)
            _insert(connection, shop)


def _write_sqlite(
    shop: SimulatedShop, path: Path, ddl: str, connection: duckdb.DuckDBPyConnection
) -> None:
    with _whole_file(path) as scratch:
        with contextlib.closing(sqlite3.connect(scratch)) as empty:
            empty.executescript(ddl)
        attach(connection, "shop", Location("sqlite", (scratch,)), "", read_only=False)
        _insert(connection, shop)
        connection.execute("DETACH shop")


def _insert(connection: duckdb.DuckDBPyConnection, shop: SimulatedShop) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    tables = {
        "events": shop.events,
        "items": pa.Table.from_pandas(shop.items, preserve_index=False),
        BOTS: pa.table({"user_id": pa.array(shop.bots, pa.string())}),
        ORACLE: shop.oracle,
    }
    connection.execute(f"CREATE TABLE shop.{BOTS} (user_id VARCHAR)")
    connection.execute(
        f"CREATE TABLE shop.{ORACLE} "
        "(user_id VARCHAR, place INTEGER, item_id VARCHAR, oracle_at BIGINT)"
    )
    for name, rows in tables.items():
        connection.register("rows", rows)
        connection.execute(f"INSERT INTO shop.{name} SELECT * FROM rows")  # noqa: S608  our names
        connection.unregister("rows")


def _refuse_filled(connection: duckdb.DuckDBPyConnection, target: Source) -> None:
    found = connection.execute("SELECT count(*) FROM shop.events").fetchall()[0][0]
    if found:
        raise DataError(
            f"{target.url} already holds {found:,} events; nothing was written. Name an empty "
            "database, or remove its tables first."
        )


def _without_comments(ddl: str) -> str:
    return "\n".join(line.partition("--")[0] for line in ddl.splitlines())


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A file to fill that takes its place only when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        scratch.chmod(0o644)
        scratch.rename(path)
    finally:
        scratch.unlink(missing_ok=True)
