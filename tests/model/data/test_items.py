"""Catalogue, prices and normalised columns, with values worked out by hand."""

import numpy as np
import pytest

from model.data.contract import Meaning
from model.data.sources import Source
from model.schema import DataError
from tests.model.shops import prepared_from, write_log

HEADER = "user_id,item_id,price,timestamp"
ROWS = [
    "u,a,10,2026-01-01",
    "u,a,30,2026-01-02",
    "u,a,11,2026-01-03",
    "u,b,4,2026-01-03",
    "u,c,,2026-01-03",
    "u,c,99,2026-01-09",  # after the cut
    "u,d,1,2026-01-09",
]


def described(folder, catalogue=None, columns=None, rows=ROWS, **wanted):
    source = write_log(folder / "events.csv", rows, HEADER)
    if catalogue is not None:
        path = folder / "items.csv"
        path.write_text("\n".join(catalogue) + "\n", encoding="utf-8")
        wanted["catalogue"] = Source(str(path), columns or {})
    return prepared_from(source, meaning=Meaning("purchase"), **wanted)


def test_prices_come_from_the_log_before_the_cut_where_no_catalogue_has_them(tmp_path):
    items = described(tmp_path).items.set_index("item_id")
    assert items["price"].to_dict() == pytest.approx({"a": 11, "b": 4, "c": np.nan}, nan_ok=True)


def test_a_z_score_has_the_vocabularys_mean_and_a_missing_value_is_zero(tmp_path):
    found = described(tmp_path, features=("price", "train_count"))
    items = found.items.set_index("item_id")
    assert found.features["price"] == {"mean": 7.5, "deviation": 3.5}
    assert items["price_normalised"].to_dict() == {"a": 1.0, "b": -1.0, "c": 0.0}
    assert items["price_normalised"].dtype == np.float32
    third = 1 / np.sqrt(8 / 9)  # counts 3, 1, 1
    assert items["train_count_normalised"].tolist() == pytest.approx(
        [4 / 3 * third, -2 / 3 * third, -2 / 3 * third]
    )


CATALOGUE = [
    "item_id,title,category,brand,price,in_stock,created_at",
    "a,红茶,tea,Jade,5,true,2026-01-01",
    "b,Cup,china,,6.5,0,2025-12-31T00:00:00Z",
    "z,Unsold,tea,Jade,9,1,2020-01-01",
]


def test_the_catalogue_describes_the_vocabulary(tmp_path):
    found = described(tmp_path, CATALOGUE, features=("in_stock", "age_days"))
    items = found.items.set_index("item_id")
    assert items["title"].fillna("").to_dict() == {"a": "红茶", "b": "Cup", "c": ""}
    assert items["price"].to_dict() == pytest.approx({"a": 5, "b": 6.5, "c": np.nan}, nan_ok=True)
    assert items["in_stock"].to_dict() == pytest.approx({"a": 1, "b": 0, "c": np.nan}, nan_ok=True)
    assert found.features["age_days"] == {"mean": 7.5, "deviation": 0.5}  # the cut is 2026-01-08
    assert items["age_days_normalised"].to_dict() == {"a": -1.0, "b": 1.0, "c": 0.0}


def test_of_many_rows_for_an_item_the_newest_before_the_cut_describes_it(tmp_path):
    rows = ["sku,name,seen", "a,old,2026-01-01", "a,new,2026-01-02", "a,future,2026-01-09"]
    columns = {"item_id": "sku", "title": "name", "timestamp": "seen"}
    items = described(tmp_path, rows, columns).items.set_index("item_id")
    assert items.loc["a", "title"] == "new"


def test_a_feature_that_is_none_or_empty_is_refused(tmp_path):
    with pytest.raises(DataError, match="'weight'; it may have price"):
        described(tmp_path, features=("weight",))
    with pytest.raises(DataError, match="'in_stock', but no item has a value"):
        described(tmp_path, features=("in_stock",))


def test_a_catalogue_without_item_id_is_refused(tmp_path):
    with pytest.raises(DataError, match="catalogue_columns"):
        described(tmp_path, ["sku,title", "a,x"])
