"""The loop is closed: what shoppers did reaches the log, the next dataset and the next release."""

import json
import time
import urllib.request
import uuid

import duckdb
import pytest

from ci.config import Options, load_config
from ci.errors import UnavailableError
from ci.forwarding import forward
from model.schema import DataError
from serving.gateway.event_store import SqliteEventStore
from serving.gateway.posted_events import PostedEvent
from serving.host.process_host import EVENTS
from tests.services import require_service
from tests.shop import open_shop

OWN = """
[shop]
name = "one"
[storage]
build = "{folder}/build"
state = "{folder}/var"
[data]
source = "{url}"
password_env = "LOG_PASSWORD"
[data.columns]
user_id = "shopper"
[data.event_types]
purchase = ["order", "reorder"]
[serving]
event_log = "{event_log}"
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A simulated shop with a live release."""
    shop = open_shop(tmp_path_factory.mktemp("loop"), "one")
    try:
        shop.ci("run")
        yield shop
    finally:
        shop.stop()


def post(shop, events):
    url = f"{shop.artifact('../deployment.json')['url']}/v1/events"
    body = json.dumps({"events": events}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30) as answer:
        return json.load(answer)


def act(user, item, kind="purchase", ago=1.0):
    return {
        "event_id": uuid.uuid4().hex, "user_id": user, "item_id": item, "event_type": kind,
        "timestamp": time.time() - ago,
    }  # fmt: skip


def test_fifty_events_of_a_new_item_are_in_the_next_dataset(shop):
    before = shop.artifact("data.json")
    acts = [act(f"new{number % 10}", "brand-new", ago=60 - number) for number in range(50)]
    assert post(shop, acts) == {"accepted": 50}
    assert post(shop, acts) == {"accepted": 0}
    said = shop.ci("prepare")
    assert "reused" not in said
    after = shop.artifact("data.json")
    assert after["accounting"]["rows"] == before["accounting"]["rows"] + 50
    assert after["posted_until"] == {"local": 50}
    assert after["oracle"] is not None  # the simulated shop's time went on by a minute, no more
    assert "reused" in shop.ci("prepare")


def test_the_next_release_counts_nothing_twice(shop):
    user = "new3"
    assert shop.recommend(user)["known_items"] == 0  # the release that is live does not know it
    known = post(shop, [act(user, shop.recommend(user)["items"][0]["item_id"])])
    assert known == {"accepted": 1}
    seen = shop.recommend(user)["known_items"]
    assert seen == 1
    shop.ci("--set", "gate.margin=0.9", "run")
    assert shop.artifact("../deployment.json")["model_version"] == 2
    assert shop.artifact("data.json")["posted_until"]["local"] > 50
    assert shop.recommend(user)["known_items"] == seen  # packed with the release now


@pytest.fixture
def log(tmp_path, postgresql, monkeypatch):
    """A shop's own table in PostgreSQL, with names and words of its own; one posted event waits."""
    require_service("postgresql")
    table = f"log_{uuid.uuid4().hex[:8]}"
    postgresql.run_sql(
        f"CREATE TABLE {table} (event_id text, shopper text, item_id text, event_type text, "
        "price double precision, timestamp timestamptz);"
    )
    monkeypatch.setenv("LOG_PASSWORD", postgresql.password)

    def configured(event_log="source", url=f"{postgresql.url}?table={table}"):
        path = tmp_path / "pipeline.toml"
        path.write_text(OWN.format(folder=tmp_path, url=url, event_log=event_log))
        return load_config(path, options=Options())

    store = SqliteEventStore(configured().environment_state("local") / EVENTS)
    store.add(
        [PostedEvent("e1", "anna", "item1", "purchase", 1_780_000_000.25, None, 1.0, 2.0, 3.5)]
    )
    yield configured, store, lambda: postgresql.run_sql(f"TABLE {table};")
    store.close()
    postgresql.run_sql(f"DROP TABLE {table};")


def test_a_shops_own_table_gets_them_in_its_own_words(log):
    configured, store, rows = log
    assert forward(configured()) == {"local": 1}
    row = rows()
    for part in ("e1", "anna", "item1", "order", "3.5", "2026-05-28 20:26:40.25+00"):
        assert part in row
    store.add([PostedEvent("e2", "bob", "item2", "click", 1_780_000_001.0)])
    assert forward(configured()) == {"local": 2}
    assert forward(configured()) == {"local": 2}
    assert rows().count("item") == 2


def test_what_was_cut_off_is_sent_again(log):
    """The log may hold it twice; `prepare` counts each id once."""
    configured, store, rows = log
    forward(configured())
    store.mark_forwarded(configured().data.source, 0)
    forward(configured())
    assert rows().count("e1") == 2


def test_unless_it_is_asked_for_nothing_is_written_into_a_shops_own_log(log):
    configured, _, rows = log
    assert forward(configured(event_log="")) == {}
    assert "e1" not in rows()


def test_a_file_is_no_log_to_append_to(log, tmp_path):
    configured, store, _ = log
    duckdb.sql("SELECT 'a' AS event_id").write_parquet(str(tmp_path / "events.parquet"))
    with pytest.raises(DataError, match="can be appended to a database only"):
        forward(configured(url=str(tmp_path / "events.parquet")))
    assert store.forwarded(str(tmp_path / "events.parquet")) == 0


def test_a_store_that_cannot_be_read_is_told_without_a_traceback(log):
    configured, store, _ = log
    store.close()
    path = configured().environment_state("local") / EVENTS
    for file in path.parent.glob(f"{EVENTS}*"):
        file.unlink()
    path.write_bytes(b"no database at all, but long enough to look like one" * 20)
    with pytest.raises(UnavailableError, match="What shoppers did cannot be read"):
        forward(configured())
