"""Every rule of the contract on rows written by hand; what values mean in every type."""

import datetime as dt
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.data.contract import Meaning
from model.data.sources import Source
from model.schema import DataError
from tests.model.shops import prepared_from, write_log

GOOD = "e{n},u1,i1,view,,,1,2.5,2026-01-0{n}T10:00:00Z"
BAD = {
    "b01,,i1,view,,,1,2,2026-01-02": "user_id is missing",
    "b02,u1,,view,,,1,2,2026-01-02": "item_id is missing",
    "b03,u1,i1,,,,1,2,2026-01-02": "event_type is missing",
    "b04,u1,i1,scroll,,,1,2,2026-01-02": "event_type is unknown",
    "b05,u1,i1,view,,,1,2,": "timestamp is missing",
    "b06,u1,i1,view,,,1,2,yesterday": "timestamp is no time",
    "b07,u1,i1,view,,,1,2,2026-02-31": "timestamp is no time",
    "b08,u1,i1,view,,,1,2,1970-01-02": "timestamp is outside 1995 to 2100",
    "b09,u1,i1,view,,,1,2,2999-01-01": "timestamp is outside 1995 to 2100",
    "b10,ann@shop.example,i1,view,,,1,2,2026-01-02": "user_id holds an e-mail address",
    "b11,+44 20 7946 0018,i1,view,,,1,2,2026-01-02": "user_id is a phone number",
    "b12,13912345678,i1,view,,,1,2,2026-01-02": "user_id is a phone number",
    "b13,u1,kim@x.example,view,,,1,2,2026-01-02": "item_id holds an e-mail address",
    "b14,u1,555-123-4567,view,,,1,2,2026-01-02": "item_id is a phone number",
    "b15,u1,,search,mail kim@x.example,,,,2026-01-02": "query holds an e-mail address",
    "b16,u1,,search,+1 (555) 123-4567,,,,2026-01-02": "query is a phone number",
    "b17,u1,i1,view,,,many,2,2026-01-02": "quantity is no number",
    "b18,u1,i1,view,,,0,2,2026-01-02": "quantity is zero",
    "b19,u1,i1,view,,,1,free,2026-01-02": "price is no number",
    "b20,u1,i1,view,,,1,-2,2026-01-02": "price is negative",
    "b21,u1,i1,view,,-1,1,2,2026-01-02": "position is negative",
    ",u1,i1,view,,,1,2,2026-01-02": "event_id is missing",
    f"b22,{'u' * 201},i1,view,,,1,2,2026-01-02": "user_id is too long",
    "b23,,i1,scroll,,,1,-2,2026-01-02": (
        "user_id is missing; event_type is unknown; price is negative"
    ),
}
FINE = [
    "f1,17850,22423,view,,,1,2,2026-01-02",
    "f2,u1,4006381333931,view,,,1,0,2026-01-02",  # an EAN is no phone number; a gift is free
    "f3,u1,,search,red @ home,,,,2026-01-02",
    "f4,u1,i1,purchase,,,-1,2,2026-01-02",  # a return is no broken row
    "f5,u1,i1,view,,,,,2026-01-02",
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    rows = [GOOD.format(n=n) for n in range(1, 6)] + list(BAD) + FINE
    return prepared_from(write_log(tmp_path_factory.mktemp("log") / "events.csv", rows))


@pytest.mark.parametrize("row", BAD, ids=list(BAD.values()))
def test_a_broken_row_goes_to_the_quarantine_with_every_reason(prepared, row):
    found = {
        (line["event_id"] or "", line["timestamp"] or ""): line["reasons"]
        for line in prepared.quarantine.to_pylist()
    }
    fields = row.split(",")
    assert found[fields[0], fields[-1]] == BAD[row]


def test_nothing_else_is_quarantined(prepared):
    assert len(prepared.quarantine) == len(BAD) == prepared.accounting.quarantined
    assert prepared.accounting.reasons["user_id is missing"] == 2
    assert prepared.accounting.filtered == {"return": 1, "search": 1}
    assert prepared.accounting.kept == 5 + 3


def test_the_quarantine_keeps_the_values_as_they_came(prepared):
    line = next(row for row in prepared.quarantine.to_pylist() if row["event_id"] == "b17")
    assert line["quantity"] == "many"
    assert line["price"] == "2"


TIMES = {
    "ISO text": ["2026-01-02T00:00:10Z", "2026-01-02 02:00:11.900+02:00"],
    "seconds": [1767312010, 1767312011],
    "seconds as text": ["1767312010", "1767312011.5"],
    "milliseconds": [1767312010500, 1767312011999],
    "floats": [1767312010.9, 1767312011.0],
    "naive times": [dt.datetime(2026, 1, 2, 0, 0, 10), dt.datetime(2026, 1, 2, 0, 0, 11, 999999)],
    "times with zone": [
        dt.datetime(2026, 1, 2, 1, 0, 10, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        dt.datetime(2026, 1, 2, 0, 0, 11, tzinfo=dt.UTC),
    ],
    "dates": [dt.date(2026, 1, 2), dt.date(2026, 1, 3)],
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_of_every_type_become_whole_seconds(tmp_path, kind):
    table = pa.table(
        {
            "user_id": [17850.0, 17850.0],  # a number of a file, an id for us
            "item_id": [22, 22],
            "timestamp": TIMES[kind],
            "price": [1, 2],
        }
    )
    pq.write_table(table, tmp_path / "events.parquet")
    source = Source(str(tmp_path / "events.parquet"))
    found = prepared_from(source, meaning=Meaning("view"), test_days=30)
    expected = [1767312010, 1767312011]
    if kind == "dates":
        expected = [1767312000, 1767312000 + 86_400]
    assert found.events["timestamp"].tolist() == expected
    assert found.users["user_id"].tolist() == ["17850"]
    assert found.outside_ids == ["22"]


def test_the_shops_own_words_for_event_types(tmp_path):
    rows = [
        f"e{n},u1,i1,{word},,,1,1,2026-01-0{n + 1}"
        for n, word in enumerate(("Bestellt", "RE", "look"))
    ]
    words = {"purchase": ("Bestellt", "RE"), "view": "look"}
    found = prepared_from(
        write_log(tmp_path / "a.csv", rows), meaning=Meaning(event_types=words), test_days=9
    )
    assert found.events["event_type"].tolist() == [5, 5, 2]


def test_spaces_around_an_id_are_no_part_of_it(tmp_path):
    rows = [f"e{n},{user},i1,view,,,1,1,2026-01-02" for n, user in enumerate(("u1", " u1", "u1 "))]
    found = prepared_from(write_log(tmp_path / "a.csv", [*rows, "e9,  ,i1,view,,,1,1,2026-01-02"]))
    assert found.users["user_id"].tolist() == ["u1"]
    assert found.accounting.reasons == {"user_id is missing": 1}


def test_item_pattern(tmp_path):
    rows = [f"e{n},u1,{item},view,,,1,1,2026-01-02" for n, item in enumerate(("22423", "POST"))]
    found = prepared_from(
        write_log(tmp_path / "a.csv", rows), meaning=Meaning(item_pattern="^[0-9]{5}$")
    )
    assert found.quarantine["reasons"].to_pylist() == ["item_id does not match ^[0-9]{5}$"]


def test_too_many_broken_rows_stop_the_stage_with_a_table_of_reasons(tmp_path):
    rows = [GOOD.format(n=1), "b1,,i1,view,,,1,2,2026-01-02", "b2,,i1,view,,,1,-2,2026-01-02"]
    source = write_log(tmp_path / "a.csv", rows)
    with pytest.raises(DataError) as error:
        prepared_from(source, max_bad_share=0.5)
    message = str(error.value)
    assert "2 of 3 rows (66.7%) break the contract; max_bad_share allows 50.0%" in message
    assert "        2  user_id is missing\n          1  price is negative" in message


def test_all_rows_bad_is_refused_whatever_the_share(tmp_path):
    source = write_log(tmp_path / "a.csv", ["b1,,i1,view,,,1,2,2026-01-02"])
    with pytest.raises(DataError, match="1 of 1 rows"):
        prepared_from(source, max_bad_share=1.0)


def test_a_word_among_sqlites_numbers_is_one_bad_row(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as database:
        columns = "user_id TEXT, item_id TEXT, timestamp INTEGER, price REAL"
        database.execute(f"CREATE TABLE events ({columns})")
        rows = [("u", "i", 1767225600, 2.5), ("u", "i", 1767225601, "free"), ("u", "i", "now", 1)]
        database.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
    database.close()
    source = Source(f"sqlite:///{tmp_path}/shop.db")
    found = prepared_from(source, meaning=Meaning("view"))
    assert found.accounting.reasons == {"price is no number": 1, "timestamp is no time": 1}
    assert found.accounting.kept == 1
