"""The whole preparation: the clock, the balance, refusals, and no look into the future."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from model.data.accounting import Accounting
from model.data.cleaning import Limits
from model.data.contract import Meaning
from model.data.dataset import Dataset
from model.data.dataset_files import digest_of, meta_of, write_dataset
from model.data.preparing import Preparation
from model.data.sources import Source
from model.schema import DataError
from tests.model.shops import LOOSE, prepared_from, write_log

DAY = 86_400
CUT = 1767225600 + 8 * DAY  # as_of 2026-01-11 with two days of test


def rows_of(events):
    return [
        f"e{number},{user},{item},{kind},,,{quantity},{price},{CUT + offset}"
        for number, (user, item, kind, quantity, price, offset) in enumerate(events)
    ]


EVENT = st.tuples(
    st.sampled_from(["ann", "bob", "cid", "", "x@y.zz"]),
    st.sampled_from(["a", "b", "c", "d", ""]),
    st.sampled_from(["view", "purchase", "cart", "impression", "search", "scroll"]),
    st.sampled_from(["1", "2", "-1", "0", "many"]),
    st.sampled_from(["1.5", "20", "-3", ""]),
)
BEFORE = st.builds(lambda event, offset: (*event, offset), EVENT, st.integers(-6 * DAY, -1))
AFTER = st.builds(lambda event, offset: (*event, offset), EVENT, st.integers(0, 2 * DAY))
FIXED = [  # survive every limit, whatever else is drawn
    ("dan", "a", "purchase", "1", "2", -2 * DAY),
    ("dan", "b", "view", "1", "3", -2 * DAY),
    ("eve", "a", "view", "1", "2", -DAY),
    ("eve", "b", "purchase", "1", "5", -DAY),
]
# Each example is two runs of the whole preparation, so few, and no shrinking.
FEW = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def prepared(folder, events):
    source = write_log(folder / "events.csv", rows_of(events))
    return prepared_from(
        source,
        as_of="2026-01-11",
        test_days=2,
        validation_days=2,
        features=("price", "train_count"),
        limits=Limits(6, 1, 2, 1800),
    )


def learned_from(found):
    early = found.events["split"] < 2
    return {name: values[early] for name, values in found.events.items()}


@FEW
@given(
    st.lists(BEFORE, min_size=10, max_size=40),
    st.lists(AFTER, min_size=5, max_size=20),
    st.lists(AFTER, max_size=20),
)
def test_nothing_after_the_cut_changes_what_is_learned_from(tmp_path, before, after, altered):
    before = FIXED + before
    one, other = prepared(tmp_path, before + after), prepared(tmp_path, before + altered)
    for name, values in learned_from(one).items():
        assert values.tobytes() == learned_from(other)[name].tobytes(), name
    pd.testing.assert_frame_equal(one.items, other.items, check_exact=True)
    assert one.features == other.features
    known = (one.users["train_events"] > 0).sum()
    pd.testing.assert_frame_equal(one.users[:known], other.users[:known], check_exact=True)
    assert (other.users["train_events"][known:] == 0).all()


def test_a_later_bot_copy_or_newcomer_does_not_reach_back(tmp_path):
    """The ways a look-ahead is easily built in, each on its own."""
    after = [("dan", "a", "view", "1", "900", second) for second in range(20)]  # a bot, by then
    after += [("aaa", "aaa", "purchase", "1", "900", 30)] * 9  # sorts before everyone
    plain, later = prepared(tmp_path, FIXED), prepared(tmp_path, FIXED + after)
    for name, values in learned_from(plain).items():
        assert values.tobytes() == learned_from(later)[name].tobytes(), name
    pd.testing.assert_frame_equal(plain.items, later.items, check_exact=True)
    assert plain.features == later.features
    assert later.accounting.filtered["bot"] == 20 + 9


@FEW
@given(st.lists(st.one_of(BEFORE, AFTER), max_size=30), st.integers(0, 3))
def test_every_row_is_accounted_for(tmp_path, events, copies):
    rows = rows_of(FIXED + events)
    source = write_log(tmp_path / "events.csv", rows + rows[:copies])
    balance = prepared_from(source, as_of="2026-01-11", test_days=2).accounting
    assert balance.rows == len(rows) + copies
    assert balance.duplicates == copies
    filtered = sum(balance.filtered.values())
    assert balance.rows == balance.kept + balance.quarantined + balance.duplicates + filtered


def test_a_lost_row_is_a_bug_that_shows():
    with pytest.raises(AssertionError, match="10 rows came in, 9"):
        Accounting(rows=10, kept=4, quarantined=3, duplicates=1, filtered={"bot": 1})


def test_the_balance_in_words():
    balance = Accounting(1000, 900, 50, 20, {"search": 10, "bot": 20})
    assert str(balance) == (
        "1,000 rows = 900 kept + 50 quarantined + 20 duplicates + 30 filtered (bot 20, search 10)"
    )


def simple(folder, days, **wanted):
    rows = [f"u,i,2026-01-{day:02}T12:00:00Z" for day in days]
    source = write_log(folder / "events.csv", rows, "user_id,item_id,timestamp")
    return prepared_from(source, meaning=Meaning("view"), **wanted)


def test_the_clock_stops_at_the_last_event_by_default(tmp_path):
    found = simple(tmp_path, range(1, 11), test_days=2, validation_days=3)
    assert found.events["split"].tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert found.moments.as_of == 1767225600 + 9 * DAY + DAY // 2


def test_as_of_moves_every_window(tmp_path):
    found = simple(tmp_path, range(1, 11), as_of="2026-01-08", test_days=2, validation_days=3)
    assert found.events["split"].tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert found.accounting.filtered == {"after as_of": 3}


def test_a_log_that_has_gone_silent_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"newest event .* 2026-01-10T12:00:00Z, 20.5 days before"):
        simple(tmp_path, range(1, 11), as_of="2026-01-31")
    assert simple(tmp_path, range(1, 11), as_of="2026-01-31", max_silence_days=21).accounting.kept


def test_a_log_that_is_too_small_is_refused(tmp_path):
    with pytest.raises(DataError, match="Only 3 rows are left of 3, min_events asks for 4"):
        simple(tmp_path, range(1, 4), min_events=4)


def test_as_of_must_be_a_time(tmp_path):
    with pytest.raises(DataError, match="'tomorrow' is no time"):
        simple(tmp_path, range(1, 3), as_of="tomorrow")


def test_an_empty_log_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no rows"):
        simple(tmp_path, [])


def test_a_log_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "events.csv"
    rows = "user_id,item_id,timestamp\nu,Käse,2026-01-02\n"
    path.write_bytes(rows.encode("latin-1"))
    with pytest.raises(DataError, match=r"not UTF-8 text.*iconv -f LATIN1"):
        prepared_from(Source(str(path)), meaning=Meaning("view"))


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "events.parquet").write_text("no parquet at all")
    with pytest.raises(DataError, match=r"events\.parquet cannot be read"):
        prepared_from(Source(str(tmp_path / "events.parquet")))


def test_a_torn_line_goes_to_the_quarantine(tmp_path):
    rows = ["u,i,2026-01-02", "u,i", "u,i,2026-01-03"]
    source = write_log(tmp_path / "events.csv", rows, "user_id,item_id,timestamp")
    found = prepared_from(source, meaning=Meaning("view"))
    assert found.quarantine["reasons"].to_pylist() == ["timestamp is missing"]


def written(folder, found, wanted):
    folder.mkdir()
    write_dataset(folder, found, meta_of(found, wanted, "demo", "next_item"))
    return Dataset.load(folder)


def test_what_is_written_is_what_is_read(tmp_path):
    rows = rows_of([("ann", "a", "purchase", "2", "2.5", -DAY), ("bob", "b", "view", "", "", 5)])
    source = write_log(tmp_path / "events.csv", rows)
    wanted = Preparation(source, Meaning(), LOOSE, features=("price",))
    found = prepared_from(source, as_of="2026-01-11", test_days=2, features=("price",))
    dataset = written(tmp_path / "dataset", found, wanted)
    for name, values in found.events.items():
        stored = getattr(dataset, name)
        assert stored.dtype == values.dtype
        np.testing.assert_array_equal(stored, values)
    assert dataset.meta["test_start"] == "2026-01-09T00:00:00Z"
    assert dataset.meta["test_end"] == "2026-01-11T00:00:01Z"
    assert dataset.meta["events"] == {"train": 0, "validation": 1, "test": 1}
    assert dataset.item_features.tolist() == [[0.0], [0.0]]  # one price: no spread
    assert dataset.quantity.tolist() == [2.0, 1.0]


def test_equal_content_has_an_equal_digest_and_other_content_another(tmp_path):
    one = simple(tmp_path, range(1, 11))
    again = simple(tmp_path, range(1, 11))
    other = simple(tmp_path, [1, 1, *range(3, 11)])
    assert digest_of(one, "purchase") == digest_of(again, "purchase")
    assert len({digest_of(one, "purchase"), digest_of(other, "purchase")}) == 2
    assert digest_of(one, "purchase") != digest_of(one, "session")
