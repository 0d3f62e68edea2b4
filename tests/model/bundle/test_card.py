"""The card: what is written of golden requests is what was asked."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.bundle.card import golden, golden_requests
from model.schema import INPUTS, Input, Output

AGES = st.floats(0, 2e9, width=32)


@given(st.lists(AGES, min_size=3, max_size=3))
def test_a_golden_request_reads_back_exactly(ages):
    """A rounded age of months would move events between sessions, and with them the scores."""
    row = {name: np.array([["a", "b", "c"]], dtype=object) for name in INPUTS}
    row[Input.HISTORY_AGE_SECONDS] = np.array([ages], np.float32)
    row[Input.FREQUENT_COUNTS] = np.array([[0, 1, 2]], np.float32)
    answers = {
        Output.ITEM_IDS: np.array([["a"]], dtype=object),
        Output.SCORES: np.array([[-1.2959799766540527]], np.float32),
    }
    back = golden_requests({"golden": golden(row, answers)})
    for name in INPUTS:
        assert np.array_equal(back[name], row[name])
