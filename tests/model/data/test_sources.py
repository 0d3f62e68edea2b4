"""Addresses of sources, and the glance that tells whether files changed."""

import os
import sqlite3
import time

import pytest

from model.data.sources import Location, Source, glance, locate
from model.schema import DataError


def test_a_server_url_in_parts():
    assert locate("postgresql://ann%40shop@db:5433/sales?table=log.events") == Location(
        "postgresql", (), "log.events", "db", 5433, "ann@shop", "sales"
    )
    assert locate("mysql://ann@db/sales").port == 3306


def test_files_are_found_by_glob_and_sorted(tmp_path):
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text("x\n")
    location = Source(f"{tmp_path}/*.csv").location
    assert location.kind == "csv"
    assert [path.name for path in location.paths] == ["a.csv", "b.csv"]


@pytest.mark.parametrize(
    ("name", "says"),
    [("no.csv", "There is no file"), ("shop.db", "sqlite:///"), ("log.xls", "kind cannot be told")],
)
def test_an_address_that_cannot_be_read_says_why(tmp_path, name, says):
    if name != "no.csv":
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=says):
        _ = Source(str(tmp_path / name)).location


def test_unknown_kinds_and_missing_databases_are_named(tmp_path):
    with pytest.raises(DataError, match="ftp"):
        locate("ftp://host/x")
    with pytest.raises(DataError, match=r"no SQLite file .*nothing\.db"):
        _ = Source(f"sqlite:///{tmp_path}/nothing.db").location


def test_two_kinds_of_files_are_not_mixed(tmp_path):
    (tmp_path / "a.csv").write_text("x\n")
    (tmp_path / "a.parquet").write_text("x\n")
    with pytest.raises(DataError, match="mixes csv and parquet"):
        _ = Source(f"{tmp_path}/a.*").location


def test_a_password_is_never_shown():
    # pragma: allowlist nextline secret
    assert "geheim" not in repr(Source("postgresql://db/x", password="geheim"))


def aged(path):
    """Make a file look as if it had been written an hour ago."""
    os.utime(path, (time.time() - 3600,) * 2)


def test_a_glance_sees_size_and_time_and_the_write_ahead_log(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE events (x)")
        source = Source(f"sqlite:///{path}")
        for file in tmp_path.iterdir():
            aged(file)
        first = glance(source)
        assert first == glance(source)
        assert {name.rsplit("/", 1)[1] for name in first} == {"shop.db", "shop.db-wal"}
        database.execute("INSERT INTO events VALUES (1)")
        database.commit()
        aged(path)
        aged(f"{path}-wal")
        assert glance(source) != first
    database.close()


def test_a_file_written_this_moment_is_not_trusted_to_a_glance(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x\n")
    os.utime(path, (time.time() + 60,) * 2)
    assert glance(Source(str(path))) is None
    assert glance(Source("postgresql://db/x")) is None
