"""The reader: states equal the pure function row by row, targets are the first basket."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.dataset import Dataset
from model.history import Event, user_state
from model.schema import EVENT_TYPE_INDEX, HISTORY_EVENT_TYPES, DataError

NAMES = {index: name for name, index in EVENT_TYPE_INDEX.items()}
VIEW, CART, PURCHASE = (EVENT_TYPE_INDEX[name] for name in ("view", "cart", "purchase"))


def dataset_of(rows, items="abcde", target="purchase"):
    """A dataset of (user, item index, type, time, session, split, outside, quantity, price)."""
    columns = list(zip(*rows, strict=True)) or [[]] * 9
    kinds = (np.int32, np.int32, np.int8, np.int64, np.int32, np.int8, np.int32) + (np.float32,) * 2
    names = "user_index item_index event_type timestamp session split outside_index quantity price"
    arrays = {
        name: np.array(values, kind)
        for name, values, kind in zip(names.split(), columns, kinds, strict=True)
    }
    users = max(columns[0], default=-1) + 1
    return Dataset(
        **arrays,
        item_table=pd.DataFrame({"item_id": list(items)}),
        user_table=pd.DataFrame({"user_id": [f"u{index}" for index in range(users)]}),
        meta={"target": target, "test_start": "1970-01-01T00:01:40Z", "features": []},
    )


ROW = st.tuples(
    st.integers(0, 4),
    st.integers(0, 5),
    st.sampled_from([EVENT_TYPE_INDEX[name] for name in HISTORY_EVENT_TYPES]),
    st.integers(0, 30),
)


@given(
    st.lists(ROW, max_size=40),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 35)), min_size=1, max_size=8),
    st.integers(1, 6),
    st.integers(1, 6),
)
def test_states_equal_the_pure_function_row_by_row(rows, queries, length, frequent):
    rows = sorted(rows, key=lambda row: (row[0], row[3]))
    dataset = dataset_of([(*row, 0, 0, row[1] == 0, 1, 1) for row in rows], items="ecadb")
    users, at = (np.array(column) for column in zip(*queries, strict=True))
    states = dataset.states(at, users, length, frequent)
    for row, (user, moment) in enumerate(queries):
        events = [
            Event("ecadb"[item - 1], NAMES[kind], second)
            for owner, item, kind, second in rows
            if owner == user and item > 0
        ]
        expected = user_state(events, moment, length, frequent)
        index = {"": 0, **{name: place for place, name in enumerate("ecadb", start=1)}}
        kinds = {"": 0, **EVENT_TYPE_INDEX}
        assert states["history"][row].tolist() == [index[item] for item in expected.history]
        assert states["history_event_type"][row].tolist() == [
            kinds[kind] for kind in expected.history_event_type
        ]
        assert states["history_age_seconds"][row].tolist() == list(expected.history_age_seconds)
        assert states["frequent_items"][row].tolist() == [
            index[item] for item in expected.frequent_items
        ]
        assert states["frequent_counts"][row].tolist() == list(expected.frequent_counts)


def test_no_shopper_no_state():
    states = dataset_of([(0, 1, VIEW, 5, 0, 0, 0, 1, 1)]).states(9, np.zeros(0, int), 3, 2)
    assert {array.shape for array in states.values()} == {(0, 3), (0, 2)}


def test_states_have_the_types_of_the_signatures():
    states = dataset_of([(0, 1, VIEW, 5, 0, 0, 0, 1, 1)]).states(6, length=3, frequent=2)
    assert {name: (value.dtype.name, value.shape) for name, value in states.items()} == {
        "history": ("int32", (1, 3)),
        "history_event_type": ("int32", (1, 3)),
        "history_age_seconds": ("float32", (1, 3)),
        "frequent_items": ("int32", (1, 2)),
        "frequent_counts": ("float32", (1, 2)),
    }


def test_real_times_and_narrow_user_numbers_do_not_overflow():
    year = 31_536_000
    rows = [(user, 1 + user % 5, PURCHASE, 1_700_000_000 + user * year // 500, 0, 0, 0, 1, 1)
            for user in range(500)]  # fmt: skip
    users = np.array([0, 3, 499], np.int32)
    states = dataset_of(rows).states(1_700_000_000 + year, users, length=1, frequent=1)
    assert states["history"].ravel().tolist() == [1, 4, 5]
    assert states["frequent_items"].ravel().tolist() == [1, 4, 5]


def test_counting_in_pieces_changes_nothing(monkeypatch):
    rows = [(user, 1 + user % 5, PURCHASE, second, 0, 0, 0, 1, 1)
            for user in range(7) for second in range(5)]  # fmt: skip
    whole = dataset_of(rows).states(4, length=3, frequent=3)
    monkeypatch.setattr("model.data.states.MAX_ROWS_AT_ONCE", 6)
    pieces = dataset_of(rows).states(4, length=3, frequent=3)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, pieces[name])


TARGET_ROWS = [
    # user 0: a session without purchase, then two with: the first of these is the target
    (0, 1, PURCHASE, 50, 0, 0, 0, 1, 5),
    (0, 2, VIEW, 101, 1, 2, 0, 1, 5),
    (0, 3, VIEW, 110, 2, 2, 0, 1, 5),
    (0, 3, PURCHASE, 111, 2, 2, 0, 2, 5),
    (0, 0, PURCHASE, 112, 2, 2, 1, 1, 7),
    (0, 0, PURCHASE, 113, 2, 2, 2, 1, np.nan),
    (0, 0, PURCHASE, 114, 2, 2, 1, 1, 7),
    (0, 3, PURCHASE, 115, 2, 2, 0, 1, 4),
    (0, 1, PURCHASE, 130, 3, 2, 0, 1, 5),
    # user 1 buys nothing in the window
    (1, 4, VIEW, 120, 0, 2, 0, 1, 5),
    # user 2's session began before the window: only what was bought inside counts
    (2, 5, PURCHASE, 99, 0, 1, 0, 1, 5),
    (2, 1, PURCHASE, 101, 0, 2, 0, 1, 2.5),
]


def test_target_is_the_first_basket_of_the_window():
    targets = dataset_of(TARGET_ROWS).targets("test")
    assert targets.user_index.tolist() == [0, 2]
    assert targets.offsets.tolist() == [0, 3, 4]
    assert targets.items.tolist() == [3, 0, 0, 1]  # two different items outside the vocabulary
    assert targets.revenue.tolist() == [14.0, 14.0, 0.0, 2.5]


def test_target_may_be_the_first_session():
    targets = dataset_of(TARGET_ROWS, target="session").targets("test")
    assert targets.user_index.tolist() == [0, 1, 2]
    assert targets.items.tolist() == [2, 4, 1]
    assert targets.revenue.tolist() == [0.0, 0.0, 2.5]


def test_an_empty_window_has_no_targets():
    targets = dataset_of(TARGET_ROWS[:1]).targets("test")
    assert [len(values) for values in targets] == [0, 1, 0, 0]


def test_rows_of_a_user_lie_between_offsets():
    assert dataset_of(TARGET_ROWS).offsets.tolist() == [0, 9, 10, 12]


def test_a_folder_without_dataset_names_what_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"events\.parquet"):
        Dataset.load(tmp_path)
