"""Which columns are read, and what is said when one is missing."""

import pytest

from model.data.columns import choose_event_columns, choose_item_columns
from model.data.sources import Source
from model.schema import DataError

FOUND = ["CustomerID", "item_id", "Timestamp", "event_type", "Country"]


def test_mapped_columns_and_those_with_our_names_are_read():
    source = Source("x.csv", {"user_id": "customerid"})
    assert choose_event_columns(FOUND, source, one_event_type=False) == {
        "user_id": "CustomerID",
        "item_id": "item_id",
        "event_type": "event_type",
        "timestamp": "Timestamp",
    }
    assert "event_type" not in choose_event_columns(FOUND, source, one_event_type=True)


def test_a_missing_column_is_named_with_those_that_are_there():
    with pytest.raises(DataError) as error:
        choose_event_columns(FOUND, Source("x.csv"), one_event_type=False)
    assert str(error.value) == (
        "x.csv has no column 'user_id': it has CustomerID, item_id, Timestamp, event_type, "
        'Country. Fix: set [data.columns] user_id = "…".'
    )


def test_a_mapping_to_nothing_is_named():
    source = Source("x.csv", {"user_id": "CustomerID", "price": "Preis"})
    with pytest.raises(DataError, match=r"no column 'Preis'.*\[data.columns\] price names it"):
        choose_event_columns(FOUND, source, one_event_type=False)


def test_a_log_of_one_kind_is_told_how_to_say_so():
    source = Source("x.csv", {"user_id": "CustomerID"})
    with pytest.raises(DataError, match=r"event_type = \"purchase\""):
        choose_event_columns(FOUND[:3], source, one_event_type=False)


def test_a_catalogue_needs_an_item_id():
    assert choose_item_columns(["sku", "Title"], Source("c.csv", {"item_id": "SKU"})) == {
        "item_id": "sku",
        "title": "Title",
    }
    with pytest.raises(DataError, match="catalogue_columns"):
        choose_item_columns(["sku"], Source("c.csv"))
    with pytest.raises(DataError, match="'nix'"):
        choose_item_columns(["item_id"], Source("c.csv", {"title": "nix"}))
