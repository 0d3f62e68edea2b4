"""The same shop in every database gives the same dataset; real servers, real refusals."""

import contextlib
import os
from dataclasses import replace

import duckdb
import pytest

from ci.config import PROJECT
from model.data.cleaning import Limits
from model.data.columns import choose_event_columns
from model.data.contract import Meaning
from model.data.dataset_files import digest_of
from model.data.engines import DuckDBEngine, PostgreSQLEngine
from model.data.fingerprint import fingerprint
from model.data.preparing import Preparation, prepare
from model.data.reading import attach
from model.data.sources import Source, locate
from model.schema import EVENT_COLUMNS, DataError, SourceUnavailableError
from model.simulation.shop_writer import write_shop
from model.simulation.simulated_world import ShopSize
from model.simulation.simulation import simulate
from model.simulation.truth import bot_cut
from tests.services import require_outside

SIZE = ShopSize(shoppers=150, items=60, events=8_000, bots=2)
LIMITS = Limits(500, 2, 5, 1800)


@pytest.fixture(scope="module")
def shop():
    return simulate(SIZE, test_days=14)


def ddl(kind):
    return (PROJECT / "infra" / "database" / f"{kind}.sql").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def in_sqlite(shop, tmp_path_factory):
    source = Source(f"sqlite:///{tmp_path_factory.mktemp('shop')}/shop.db")
    write_shop(shop, source, ddl("sqlite"))
    return source


@pytest.fixture(scope="module")
def in_postgresql(shop, postgresql):
    source = Source(postgresql.url, password=postgresql.password)
    write_shop(shop, source, ddl("postgresql"))
    yield source
    tables = "events, items, simulated_bots, simulated_oracle"
    postgresql.run_sql(f"DROP TABLE IF EXISTS {tables};")


@pytest.fixture(scope="module")
def in_mariadb(shop, mariadb):
    source = Source(mariadb.url, password=mariadb.password)
    write_shop(shop, source, ddl("mysql"))
    yield source
    tables = "events, items, simulated_bots, simulated_oracle"
    mariadb.run_sql(f"DROP TABLE IF EXISTS {tables};")


def prepared_by(engine, source):
    with contextlib.closing(engine):
        wanted = Preparation(source, Meaning(), LIMITS, features=("price",))
        return prepare(engine, wanted)


def digest(engine, source):
    return digest_of(prepared_by(engine, source), "purchase")


@pytest.fixture(scope="module")
def expected(in_sqlite):
    return digest(DuckDBEngine(), in_sqlite)


def test_postgresql_is_read_like_sqlite(in_postgresql, expected):
    assert digest(DuckDBEngine(), in_postgresql) == expected


def test_mariadb_is_read_like_sqlite(in_mariadb, expected):
    assert digest(DuckDBEngine(), in_mariadb) == expected


def test_a_mysql_of_your_own_is_read_like_sqlite(shop, expected):
    url = require_outside("MYSQL_URL", "a MySQL server with an empty database")
    password = os.environ.get("MYSQL_PASSWORD", "")
    source = Source(url, password=password)
    location = locate(url)
    try:
        write_shop(shop, source, ddl("mysql"))
        assert digest(DuckDBEngine(), source) == expected
    finally:
        with contextlib.closing(duckdb.connect()) as connection:
            attach(connection, "shop", location, password, read_only=False)
            for table in ("events", "items", "simulated_bots", "simulated_oracle"):
                connection.execute(f"DROP TABLE IF EXISTS shop.{table}")


def test_postgresql_cleans_by_itself_with_the_same_result(in_postgresql, expected, postgresql):
    before = len(postgresql.log.read_text())
    assert digest(PostgreSQLEngine(in_postgresql), in_postgresql) == expected
    log = postgresql.log.read_text()[before:]
    assert "ROW_NUMBER() OVER (PARTITION BY" in log
    assert "LAG(" in log
    assert "COPY" not in log  # the events were not carried away to be cleaned elsewhere


def test_the_postgresql_engine_reads_text_as_duckdb_does(postgresql, tmp_path):
    """Umlauts, case and mixed scripts order by bytes; numbers and times may be text."""
    rows = [
        (user, item, f"2026-01-{day:02} 10:00:00", price)
        for user in ("ann", "Zoe", "Ärger", "李")
        for item in ("b", "A", "ß", "茶", "a-1", "a 1")
        for day, price in ((1, "2.5"), (3, "x"), (20, "1e2"))
    ]
    values = ", ".join(str(row) for row in rows)
    text = 'text COLLATE "de-x-icu"'  # a collation that orders otherwise
    make = f"CREATE TABLE words (who {text}, what {text}, moment varchar(30), price text);"
    fill = f"INSERT INTO words VALUES {values};"  # noqa: S608  values of this test
    postgresql.run_sql(make + fill)
    columns = {"user_id": "who", "item_id": "what", "timestamp": "moment"}
    source = Source(f"{postgresql.url}?table=words", columns, postgresql.password)
    wanted = Preparation(
        source, Meaning("view"), replace(LIMITS, min_item_events=1), max_bad_share=0.9
    )
    with contextlib.closing(PostgreSQLEngine(source)) as there:
        inside = prepare(there, wanted)
    with contextlib.closing(DuckDBEngine()) as here:
        outside = prepare(here, wanted)
    assert inside.accounting.quarantined == 24
    assert inside.accounting == outside.accounting
    assert digest_of(inside, "x") == digest_of(outside, "x")
    assert inside.quarantine.to_pylist() == outside.quarantine.to_pylist()
    postgresql.run_sql("DROP TABLE words;")


def test_the_engine_must_be_where_the_rows_are(in_sqlite):
    with pytest.raises(DataError, match='engine = "duckdb"'):
        PostgreSQLEngine(in_sqlite)


@pytest.mark.parametrize("kind", ["in_postgresql", "in_mariadb"])
def test_the_simulator_tells_a_server_who_the_bots_are(request, kind, shop):
    source = request.getfixturevalue(kind)
    with contextlib.closing(DuckDBEngine()) as engine:
        found = prepare(engine, Preparation(source, Meaning(), LIMITS))
        assert bot_cut(engine, source, found) == {
            "planted": 2,
            "cut": 2,
            "precision": 1.0,
            "recall": 1.0,
        }


@pytest.mark.parametrize("kind", ["in_postgresql", "in_mariadb"])
def test_a_shop_is_not_written_over_another(request, kind, shop):
    source = request.getfixturevalue(kind)
    with pytest.raises(DataError, match="already holds 1"):
        write_shop(shop, source, ddl(source.location.kind))


@pytest.mark.parametrize("kind", ["in_postgresql", "in_mariadb"])
def test_a_wrong_password_is_refused_and_never_shown(request, kind):
    source = replace(request.getfixturevalue(kind), password="ge'heim")
    with pytest.raises(SourceUnavailableError) as error:
        prepared_by(DuckDBEngine(), source)
    assert "ge'heim" not in str(error.value)
    assert "password_env" in str(error.value)
    assert "pushcart" in str(error.value)


def test_a_wrong_password_is_refused_by_the_postgresql_engine(in_postgresql):
    with pytest.raises(SourceUnavailableError, match="authentication failed") as error:
        PostgreSQLEngine(replace(in_postgresql, password="ge'heim"))
    assert "ge'heim" not in str(error.value)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_is_not_there_is_named(scheme):
    source = Source(f"{scheme}://ann@127.0.0.1:1/shop", password="geheim")
    with pytest.raises(SourceUnavailableError, match=r"127\.0\.0\.1:1/shop cannot be read"):
        prepared_by(DuckDBEngine(), source)


@pytest.mark.parametrize("kind", ["in_sqlite", "in_postgresql", "in_mariadb"])
def test_a_missing_table_is_named(request, kind):
    source = request.getfixturevalue(kind)
    with pytest.raises(DataError, match=r"no table 'orders'.*\?table="):
        prepared_by(DuckDBEngine(), replace(source, url=f"{source.url}?table=orders"))


def facts(source):
    return fingerprint(source, lambda found: choose_event_columns(found, source, False))


@pytest.mark.parametrize("kind", ["in_sqlite", "in_postgresql", "in_mariadb"])
def test_a_fingerprint_counts_and_sums_every_day(request, kind, shop):
    source = request.getfixturevalue(kind)
    seen = facts(source)
    assert seen == facts(source)
    assert seen["rows"] == shop.events.num_rows
    days = {moment.date().isoformat() for moment in shop.events["timestamp"].to_pylist()}
    assert seen["days"].keys() == days
    assert seen["newest"].startswith(max(days))


LATE = (
    "INSERT INTO events VALUES "
    "('late-1', 'u000001', 'i00001', 'view', NULL, NULL, 1, 2, '2026-04-30 12:00:00', NULL);"
)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_one_late_row_changes_one_day_of_a_servers_fingerprint(request, kind):
    source = request.getfixturevalue(f"in_{kind}")
    server = request.getfixturevalue(kind)
    before = facts(source)
    server.run_sql(LATE)
    after = facts(source)
    server.run_sql("DELETE FROM events WHERE event_id = 'late-1';")
    changed = {day for day in after["days"] if after["days"][day] != before["days"].get(day)}
    assert changed == {"2026-04-30"}
    assert after["digest"] != before["digest"]
    assert facts(source) == before


def test_the_databases_ddl_makes_the_tables_of_the_schema(in_postgresql, in_mariadb, in_sqlite):
    for source in (in_postgresql, in_mariadb, in_sqlite):
        with contextlib.closing(DuckDBEngine()) as engine:
            assert tuple(engine.columns(source)) == EVENT_COLUMNS
