"""A drawn sample: whose events are in it, and that nothing in it tells who they are."""

import contextlib
import hashlib
from dataclasses import replace

import pandas as pd
import pytest

from model.data.cleaning import Limits
from model.data.contract import Meaning
from model.data.engines import DuckDBEngine
from model.data.preparing import Preparation
from model.data.sampling import sample
from model.data.sources import Source
from tests.model.shops import write_log

DAY = 86_400
AS_OF = 1767225600 + 30 * DAY  # 2026-01-31
LIMITS = Limits(500, 1, 1, 1800, unknown_users=("0",))


def rows():
    """Ten shoppers of this month with a past, one who left long ago, nobody, and a broken row."""
    lines = []
    for user in range(1, 11):
        for back in (100, 3):
            lines.append(f"e{user}-{back},u{user},item{user},view,,,,2.5,{AS_OF - back * DAY}")
        lines.append(f"s{user},u{user},,search,red shoes,,,,{AS_OF - DAY}")
    lines.append(f"gone,old,item1,purchase,,,1,9,{AS_OF - 90 * DAY}")
    lines.append(f"nobody,0,item1,view,,,,1,{AS_OF - DAY}")
    lines.append(f"broken,jane@example.com,item1,view,,,,1,{AS_OF - DAY}")
    lines.append(f"last,u1,item99,purchase,,,2,4,{AS_OF}")
    return lines


def names(ids):
    return [hashlib.sha256(f"salt{name}".encode()).hexdigest() for name in ids]


@pytest.fixture
def wanted(tmp_path):
    source = write_log(tmp_path / "events.csv", rows())
    return Preparation(source, Meaning(), LIMITS, test_days=7, validation_days=7)


def drawn(wanted, shoppers):
    with contextlib.closing(DuckDBEngine()) as engine:
        return sample(engine, wanted, shoppers, names)


def test_all_the_past_of_those_who_came_lately(wanted):
    found = drawn(wanted, 100)
    events = found.events.to_pandas()
    assert (found.shoppers, found.of_shoppers) == (10, 10)
    assert sorted(set(events["user_id"])) == sorted(names(f"u{user}" for user in range(1, 11)))
    assert len(events) == 31  # two views and a search each, and the last purchase
    assert found.as_of == "2026-01-31T00:00:00Z"
    last = events[events["item_id"] == "item99"].iloc[0]
    assert (last["event_type"], last["quantity"], last["price"]) == ("purchase", 2.0, 4.0)
    assert pd.Timestamp(last["timestamp"], tz="UTC") == pd.Timestamp(AS_OF, unit="s", tz="UTC")


def test_no_more_than_asked_for_and_the_same_whenever_it_is_drawn(wanted):
    one, other = drawn(wanted, 4), drawn(wanted, 4)
    assert one.events.equals(other.events)
    first_four = sorted(names(f"u{user}" for user in range(1, 11)))[:4]
    assert sorted(set(one.events["user_id"].to_pylist())) == first_four


def test_nothing_tells_who_it_was_or_what_was_typed(wanted):
    found = drawn(wanted, 100)
    assert set(found.events.column_names) == {
        "event_id", "user_id", "item_id", "event_type", "position", "quantity", "price",
        "timestamp",
    }  # fmt: skip
    text = found.events.to_pandas().to_csv()
    for word in ("red shoes", "jane", "e1-100", "nobody"):
        assert word not in text
    assert not {f"u{user}" for user in range(1, 11)} & set(found.events["user_id"].to_pylist())


def test_the_catalogue_comes_along(wanted, tmp_path):
    (tmp_path / "items.csv").write_text("item_id,title,price\nitem1,Red shoe,2.50\n")
    found = drawn(replace(wanted, catalogue=Source(str(tmp_path / "items.csv"))), 100)
    assert found.items.to_dict("records") == [
        {"item_id": "item1", "title": "Red shoe", "price": "2.50"}
    ]


def test_a_shops_own_words_become_ours(wanted, tmp_path):
    text = (tmp_path / "events.csv").read_text().replace(",purchase,", ",order,")
    (tmp_path / "events.csv").write_text(text)
    found = drawn(replace(wanted, meaning=Meaning(event_types={"purchase": "order"})), 100)
    assert "purchase" in found.events["event_type"].to_pylist()
