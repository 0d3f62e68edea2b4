"""Fingerprints of files: equal content is equal, one late row shows on its day."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.data.columns import choose_event_columns, choose_item_columns
from model.data.fingerprint import fingerprint
from model.data.sources import Source
from model.schema import DataError
from tests.model.shops import write_log

HEADER = "user_id,item_id,timestamp,note"
ROWS = ["u,a,2026-01-01T10:00:00Z,x", "u,b,2026-01-02T10:00:00Z,x", "v,a,2026-01-02T11:00:00Z,x"]


def facts(source, choose=None):
    return fingerprint(source, choose or (lambda found: choose_event_columns(found, source, True)))


def test_rows_newest_event_and_days(tmp_path):
    found = facts(write_log(tmp_path / "a.csv", ROWS, HEADER))
    assert found["rows"] == 3
    assert found["newest"] == "2026-01-02T11:00:00Z"
    assert list(found["days"]) == ["2026-01-01", "2026-01-02"]


def test_order_and_unread_columns_do_not_matter(tmp_path):
    first = facts(write_log(tmp_path / "a.csv", ROWS, HEADER))
    noted = [row.replace(",x", ",y") for row in reversed(ROWS)]
    assert facts(write_log(tmp_path / "b.csv", noted, HEADER)) == first


@pytest.mark.parametrize("change", [("v,a", "v,b"), ("11:00", "11:01")])
def test_a_changed_value_changes_its_day(tmp_path, change):
    first = facts(write_log(tmp_path / "a.csv", ROWS, HEADER))
    other = [row.replace(*change) for row in ROWS]
    second = facts(write_log(tmp_path / "b.csv", other, HEADER))
    assert second["digest"] != first["digest"]
    changed = [day for day in first["days"] if first["days"][day] != second["days"][day]]
    assert changed == ["2026-01-02"]


@pytest.mark.parametrize("unit", [1, 1000])
def test_numbers_of_seconds_or_milliseconds_have_days_too(tmp_path, unit):
    seconds = [1767225600, 1767225600 + 86_399, 1767225600 + 86_400]
    table = pa.table(
        {
            "user_id": ["u"] * 3,
            "item_id": ["a"] * 3,
            "timestamp": [second * unit for second in seconds],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert len(facts(Source(str(tmp_path / "a.parquet")))["days"]) == 2


def test_seconds_as_text_have_days_too(tmp_path):
    rows = [f"u,a,{1767225600 + second},x" for second in (0, 86_399, 86_400)]
    assert len(facts(write_log(tmp_path / "a.csv", rows, HEADER))["days"]) == 2


def test_a_catalogue_is_one_day(tmp_path):
    source = write_log(tmp_path / "items.csv", ["a,Tea", "b,Cup"], "item_id,title")
    found = facts(source, lambda columns: choose_item_columns(columns, source))
    assert found["rows"] == 2
    assert len(found["days"]) == 1


def test_another_mapping_is_another_fingerprint(tmp_path):
    source = write_log(tmp_path / "a.csv", ROWS, HEADER)
    mapped = Source(source.url, {"query": "note"})
    assert facts(mapped)["digest"] != facts(source)["digest"]


def test_an_unreadable_file_is_told(tmp_path):
    (tmp_path / "a.parquet").write_text("nothing")
    with pytest.raises(DataError, match="cannot be read"):
        facts(Source(str(tmp_path / "a.parquet")))
