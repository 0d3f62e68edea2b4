"""Scoring lists on the judged window, with values worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from ci.errors import BadDataError, UsageError
from ci.evaluating.scoring import (
    events_before,
    load_metrics,
    number_items,
    open_window,
    score_lists,
    slices_of,
)
from model.data.dataset import Dataset
from model.schema import EVENT_TYPE_INDEX

VIEW, PURCHASE = EVENT_TYPE_INDEX["view"], EVENT_TYPE_INDEX["purchase"]
# user, item, outside, type, second, session, split, price; the window opens at second 100.
ROWS = [
    (0, 1, 0, PURCHASE, 10, 1, 0, 4.0),
    (0, 1, 0, VIEW, 20, 1, 0, 4.0),
    (0, 2, 0, PURCHASE, 110, 2, 2, 6.0),
    (0, 0, 1, PURCHASE, 110, 2, 2, 9.0),
    (1, 2, 0, VIEW, 30, 1, 0, 6.0),
    (1, 1, 0, VIEW, 120, 2, 2, 4.0),
    (2, 3, 0, PURCHASE, 130, 1, 2, 8.0),
]


def dataset_of(rows=ROWS):
    names = [
        "user_index",
        "item_index",
        "outside_index",
        "event_type",
        "timestamp",
        "session",
        "split",
        "price",
    ]
    kinds = (np.int32, np.int32, np.int32, np.int8, np.int64, np.int32, np.int8, np.float32)
    columns = zip(*rows, strict=True)
    arrays = {n: np.array(c, k) for n, c, k in zip(names, columns, kinds, strict=True)}
    items = {
        "item_id": ["tea", "pot", "cup"],
        "train_count": [9, 3, 0],
        "category": ["drink", "ware", None],
        "price": [4.0, 6.0, 8.0],
    }
    return Dataset(
        **arrays,
        quantity=np.ones(len(rows), np.float32),
        item_table=pd.DataFrame(items),
        user_table=pd.DataFrame({"user_id": ["ann", "bob", "eve"]}),
        meta={
            "target": "purchase",
            "test_start": "1970-01-01T00:01:40Z",
            "test_end": "1970-01-01T00:05:00Z",
        },
        outside_ids=("jug",),
    )


@pytest.fixture(scope="module")
def window():
    return open_window(dataset_of())


def test_the_window_holds_its_buyers_and_their_past(window):
    assert window.users.tolist() == [0, 2]  # bob bought nothing
    assert window.past_events.tolist() == [2, 0]
    assert window.targets.items.tolist() == [2, 4, 3]  # jug, outside the vocabulary, is number 4
    assert window.train_count.tolist() == [0, 9, 3, 0, 0]


def test_lists_are_scored_by_hand(window):
    known = number_items(np.array([["pot", "jug"], ["tea", ""]], dtype=object), window.numbers)
    assert known.tolist() == [[2, 4], [1, 0]]
    top = np.zeros((2, 10), np.int64)
    top[:, :2] = known
    values, coverage = score_lists(top, window, {})
    assert values["ndcg_at_10"].tolist() == [1.0, 0.0]
    assert values["revenue_at_10"].tolist() == [15.0, 0.0]
    assert values["popularity_at_10"].tolist() == [1.5, 9.0]
    # ann's past is drink only, her list is ware: ln(1 / 0.01); eve has no past.
    assert values["miscalibration_at_10"] == pytest.approx([math.log(100), 0.0])
    assert coverage == 3 / 4  # pot, jug, tea of four known items


def test_an_item_outside_the_vocabulary_is_a_hit_for_the_model_that_knows_it(window):
    top = number_items(np.array([["jug"] + [""] * 9, [""] * 10], dtype=object), window.numbers)
    values, _ = score_lists(top, window, {})
    # One of two wanted items, on the first place: 1 / (1 + 1 / log2(3)).
    assert values["ndcg_at_10"][0] == pytest.approx(1 / (1 + 1 / math.log2(3)))


def test_an_id_that_nobody_knows_is_counted_and_never_a_hit(window):
    ids = np.array([["gone", "odd"] + [""] * 8, ["gone"] + [""] * 9], dtype=object)
    top = number_items(ids, window.numbers)
    assert top[0, :2].tolist() == [5, 6]
    assert top[1, 0] == 5
    values, coverage = score_lists(top, window, {})
    assert values["ndcg_at_10"].tolist() == [0.0, 0.0]
    assert values["popularity_at_10"].tolist() == [0.0, 0.0]
    assert coverage == 2 / 4


def test_groups_of_the_judged(window):
    slices = {dimension: groups.tolist() for dimension, groups in slices_of(window).items()}
    assert slices == {
        "new_user": ["returning", "new"],
        "activity": ["1-9", "0"],
        "category": ["ware", "unknown"],
        "price_band": ["low", "high"],
    }


def test_judged_events_before_a_moment_are_counted(window):
    assert events_before(dataset_of(), window, "1970-01-01T00:01:40Z") == 0
    # Until second 125: ann's two purchases; bob's view is not judged.
    assert events_before(dataset_of(), window, "1970-01-01T00:02:05Z") == 2


def test_an_empty_window_is_refused_with_its_days():
    with pytest.raises(BadDataError, match=r"no purchase lies between 1970-01-01T00:01:40Z"):
        open_window(dataset_of(ROWS[:2]))


def first_is_wanted(top, targets, train_count):
    """A team's own metric."""
    return np.array([float(top[row, 0] in targets.items) for row in range(len(top))])


def of_the_wrong_shape(top, targets, train_count):
    return top


def test_a_metric_of_the_team_is_found_and_measured(window):
    own = load_metrics((f"{__name__}:first_is_wanted",))
    top = np.zeros((2, 10), np.int64)
    top[0, 0] = 2
    assert score_lists(top, window, own)[0]["first_is_wanted"].tolist() == [1.0, 0.0]


def test_a_metric_of_the_team_that_does_not_fit_is_named(window):
    own = load_metrics((f"{__name__}:of_the_wrong_shape",))
    with pytest.raises(BadDataError, match=r"of_the_wrong_shape must give .* gave shape \(2, 10\)"):
        score_lists(np.zeros((2, 10), np.int64), window, own)
    for name in ("no.such:thing", f"{__name__}:nothing"):
        with pytest.raises(UsageError, match="cannot be loaded"):
            load_metrics((name,))
