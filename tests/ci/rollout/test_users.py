"""What is packed of shoppers, row by row, and that a gateway reads the same."""

import contextlib
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ci.rollout.users import EVENTS_PER_USER, write_users
from model.history import Event
from serving.gateway.shoppers import ShopperStore, example_user
from tests.rollout_shop import NOW, write_dataset


@pytest.fixture
def packed(tmp_path):
    write_dataset(tmp_path / "dataset")
    count = write_users(tmp_path / "dataset", tmp_path / "users.db")
    assert count == 5  # six events, one on an item outside the vocabulary
    return tmp_path / "users.db"


def test_events_are_read_back_oldest_first_in_words(packed):
    store = ShopperStore(packed)
    assert store.events("anna") == [
        Event("item1", "view", NOW - 900.0),
        Event("item2", "purchase", NOW - 800.0),
    ]
    assert store.events("bob") == [
        Event("item3", "view", NOW - 700.0),
        Event("item3", "purchase", NOW - 600.0),
    ]
    assert store.events("徐/1") == [Event("item4", "click", NOW - 500.0)]
    assert store.events("nobody") == []
    store.close()


def test_what_is_known_of_items_is_read_back(packed):
    store = ShopperStore(packed)
    assert store.items(["item1", "item2", "item3", "gone"]) == {
        "item1": {"title": "Item 1"},
        "item3": {"title": "Item 3"},
    }
    assert store.items([]) == {}
    store.close()


def test_every_fact_of_the_catalogue_is_told_and_no_gap(tmp_path):
    folder = tmp_path / "dataset"
    write_dataset(folder)
    facts = {
        "item_id": ["item1", "item2", "item3", "item4"],
        "title": ["Lamp", "", None, None],
        "category": ["light", "light", None, None],
        "brand": [None, "Lumen", None, None],
        "price": pa.array([2.5, float("nan"), None, 0.0], pa.float32()),
        "train_count": [3, 2, 1, 1],
    }
    pq.write_table(pa.table(facts), folder / "items.parquet")
    write_users(folder, tmp_path / "users.db")
    store = ShopperStore(tmp_path / "users.db")
    assert store.items(["item1", "item2", "item3", "item4"]) == {
        "item1": {"title": "Lamp", "category": "light", "price": 2.5},
        "item2": {"category": "light", "brand": "Lumen"},
        "item4": {"price": 0.0},
    }
    store.close()


def test_a_release_that_was_packed_before_items_had_more_than_a_title_is_read(tmp_path):
    path = tmp_path / "users.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE items (item_id TEXT PRIMARY KEY, title TEXT NOT NULL) WITHOUT ROWID;"
            "INSERT INTO items VALUES ('item1', 'Lamp');"
        )
    store = ShopperStore(path)
    assert store.items(["item1"]) == {"item1": {"title": "Lamp"}}
    store.close()


def test_the_example_is_the_shopper_with_the_newest_event(packed):
    assert example_user(packed) == "徐/1"


def test_a_release_is_never_written_to(packed):
    store = ShopperStore(packed)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store._database.execute("DELETE FROM events")
    store.close()


def test_only_the_newest_events_of_a_busy_shopper_are_packed(tmp_path):
    folder = tmp_path / "dataset"
    write_dataset(folder)
    many = EVENTS_PER_USER + 7
    columns = {
        "user_index": pa.array([0] * many + [1], pa.int32()),
        "item_index": pa.array([1 + row % 20 for row in range(many)] + [5], pa.int32()),
        "event_type": pa.array([2] * (many + 1), pa.int8()),
        "timestamp": pa.array(np.arange(many + 1), pa.int64()),
    }
    pq.write_table(pa.table(columns), folder / "events.parquet")
    assert write_users(folder, tmp_path / "users.db") == EVENTS_PER_USER + 1
    store = ShopperStore(tmp_path / "users.db")
    times = [event.timestamp for event in store.events("anna")]
    assert times == list(range(7, many))
    assert len(store.events("bob")) == 1
    store.close()


def test_a_shop_without_titles_or_events_is_packed_too(tmp_path):
    folder = tmp_path / "dataset"
    write_dataset(folder)
    pq.write_table(pq.read_table(folder / "events.parquet").slice(0, 0), folder / "events.parquet")
    pq.write_table(pa.table({"item_id": ["item1"]}), folder / "items.parquet")
    assert write_users(folder, tmp_path / "users.db") == 0
    assert example_user(tmp_path / "users.db") == "nobody"
