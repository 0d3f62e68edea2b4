"""Where a shop's rows lie: files and databases by URL, with the mapping of their columns."""

import glob
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from model.schema import DataError

DATABASES = ("sqlite", "postgresql", "mysql")
FILES = (".csv", ".csv.gz", ".parquet")
# A file that changed less than this ago may change again without a new time stamp.
FRESH_SECONDS = 0.1


@dataclass(frozen=True)
class Location:
    """A parsed address.

    Attributes:
        kind: `sqlite`, `postgresql`, `mysql`, `csv` or `parquet`.
        paths: The files, sorted; one for SQLite, none for a server.
        table: Table of a database, perhaps with its schema: `sales.events`.
        host: Server, with `port`, `user` and `database`.
    """

    kind: str
    paths: tuple[Path, ...] = ()
    table: str = ""
    host: str = ""
    port: int = 0
    user: str = ""
    database: str = ""


@dataclass(frozen=True)
class Source:
    """One table of rows.

    Attributes:
        url: `sqlite:///…`, `postgresql://…`, `mysql://…` (`?table=` names the table), or the path
            or glob of CSV or Parquet files.
        columns: Our column names → the source's; a column that is not named here is taken by our
            own name where the source has it.
        password: Resolved from the configuration's reference; never printed.
        default_table: Table of a database when the URL names none.
        item_separator: What stands between the items of a log with one row a basket; "" where a
            row is one item.
    """

    url: str
    columns: Mapping[str, str] = field(default_factory=dict)
    password: str = field(default="", repr=False)
    default_table: str = "events"
    item_separator: str = ""

    @property
    def location(self) -> Location:
        """The address in parts.

        Raises:
            DataError: No file is there, or the kind of address is not known.
        """
        if "://" not in self.url:
            return _files(self.url)
        location = locate(self.url, self.default_table)
        if location.paths and not location.paths[0].is_file():
            raise DataError(f"There is no SQLite file {location.paths[0]} (source {self.url}).")
        return location


def locate(url: str, default_table: str = "events") -> Location:
    """The parts of a database's URL.

    Raises:
        DataError: The kind of address is not known.
    """
    parts = urlsplit(url)
    table = parse_qs(parts.query).get("table", [default_table])[0]
    if parts.scheme == "sqlite":
        return Location("sqlite", (Path(unquote(parts.path)[1:]),), table)
    if parts.scheme not in DATABASES:
        raise DataError(
            f"The address {parts.scheme}://… is of no known kind. Write one of "
            f"{', '.join(f'{name}://…' for name in DATABASES)}, or the path of "
            f"{' or '.join(FILES)} files."
        )
    return Location(
        parts.scheme,
        table=table,
        host=parts.hostname or "127.0.0.1",
        port=parts.port or {"postgresql": 5432, "mysql": 3306}[parts.scheme],
        user=unquote(parts.username or ""),
        database=unquote(parts.path.strip("/")),
    )


def _files(pattern: str) -> Location:
    paths = tuple(Path(name) for name in sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207
    if not paths:
        raise DataError(f"There is no file {pattern}. Name one in [data] source.")
    kinds = {_kind(path) for path in paths}
    if len(kinds) > 1:
        raise DataError(f"{pattern} mixes {' and '.join(sorted(kinds))} files. Name one kind.")
    return Location(kinds.pop(), paths)


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return "parquet"
    if name.endswith((".csv", ".csv.gz")):
        return "csv"
    if name.endswith((".db", ".sqlite", ".sqlite3")):
        raise DataError(f"Write a SQLite file as a URL: sqlite:///{path}.")
    raise DataError(f"{path} is neither {', '.join(FILES)}: its kind cannot be told.")


def glance(source: Source) -> dict[str, Any] | None:
    """Names, sizes and times of a source's files: equal glances mean an equal source.

    None when nothing can be told without reading: a server, or files written this very moment.
    """
    files = [path for file in source.location.paths for path in _with_log(file)]
    stats = [(str(path), path.stat()) for path in files]
    if not stats or time.time() - max(stat.st_mtime for _, stat in stats) < FRESH_SECONDS:
        return None
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats}


def _with_log(file: Path) -> list[Path]:
    """A file, and the write-ahead log that SQLite keeps beside it."""
    log = file.with_name(f"{file.name}-wal")
    return [file, log] if log.exists() else [file]
