"""Parity of answers: which differences are a swap of near-ties, and which are another model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.evaluating.parity import Answers, parity


def answers(*rows: list[tuple[str, float]]) -> Answers:
    return Answers(
        np.array([[item for item, _ in row] for row in rows], dtype=object),
        np.array([[score for _, score in row] for row in rows], dtype=np.float32),
    )


REFERENCE = [("a", 0.9), ("b", 0.5), ("c", 0.1)]


@pytest.mark.parametrize(
    "other",
    [
        [("a", 0.9), ("b", 0.5), ("c", 0.1)],
        [("a", 0.9005), ("b", 0.4995), ("c", 0.1)],
    ],
)
def test_scores_within_the_tolerance_are_equal(other):
    result = parity(answers(REFERENCE), answers(other), 1e-3)
    assert result.passed
    assert (result.rows_equal, result.rows, result.first_difference) == (1, 1, "")


def test_near_ties_may_change_places():
    a = answers([("a", 0.9), ("b", 0.5004), ("c", 0.5)])
    b = answers([("a", 0.9), ("c", 0.5003), ("b", 0.5001)])
    result = parity(a, b, 1e-3)
    assert result.passed
    assert result.max_difference == pytest.approx(3e-4, rel=1e-3)


def test_items_apart_may_not_change_places():
    result = parity(answers(REFERENCE), answers([("b", 0.9), ("a", 0.5), ("c", 0.1)]), 1e-3)
    assert not result.passed
    assert result.max_difference == pytest.approx(0.4)
    assert "row 0: item 'b' scores" in result.first_difference


def test_a_near_tie_at_the_cut_may_fall_out():
    other = [("a", 0.9), ("b", 0.5), ("d", 0.1005)]
    assert parity(answers(REFERENCE), answers(other), 1e-3).passed


def test_an_item_that_belongs_at_the_top_may_not_fall_out():
    other = [("a", 0.9), ("c", 0.1), ("d", 0.1)]
    result = parity(answers(REFERENCE), answers(other), 1e-3)
    assert not result.passed
    assert "item 'b' scores 0.5 against absent" in result.first_difference


def test_large_scores_are_compared_relatively():
    a, b = answers([("a", -1000.0)]), answers([("a", -1000.5)])
    assert parity(a, b, 1e-3).passed
    assert not parity(a, b, 1e-4).passed


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ([("a", 0.9), ("a", 0.9), ("c", 0.1)], "twice"),
        ([("a", float("nan")), ("b", 0.5), ("c", 0.1)], "not a finite number"),
        ([("b", 0.5), ("a", 0.9), ("c", 0.1)], "not in order"),
    ],
)
def test_what_is_no_ranking_is_refused(other, reason):
    result = parity(answers(REFERENCE), answers(other), 1e-3)
    assert not result.passed
    assert reason in result.first_difference


def test_every_row_counts():
    wrong = [("a", 0.8), ("b", 0.5), ("c", 0.1)]
    result = parity(
        answers(REFERENCE, REFERENCE, REFERENCE), answers(REFERENCE, wrong, REFERENCE), 1e-3
    )
    assert (result.rows_equal, result.rows, result.passed) == (2, 3, False)
    assert result.first_difference.startswith("row 1: ")


def test_different_shapes_and_no_rows_do_not_pass():
    assert not parity(answers(REFERENCE), answers(REFERENCE[:2]), 1e-3).passed
    empty = Answers(np.empty((0, 3), dtype=object), np.empty((0, 3), dtype=np.float32))
    assert not parity(empty, empty, 1e-3).passed


@given(
    scores=st.lists(st.floats(-20, 0, width=32), min_size=1, max_size=8),
    noise=st.lists(st.floats(-4e-4, 4e-4), min_size=8, max_size=8),
    cut=st.integers(1, 8),
)
def test_noise_below_the_tolerance_never_fails(scores, noise, cut):
    """Whatever the ties, re-ranking slightly disturbed scores is the same answer."""

    def ranked(values: list[float]) -> Answers:
        order = sorted(range(len(values)), key=lambda place: -values[place])[:cut]
        return answers([(str(place), values[place]) for place in order])

    disturbed = [score + shift for score, shift in zip(scores, noise, strict=False)]
    assert parity(ranked(scores), ranked(disturbed), 1e-3).passed
