"""What counts as the same ranked list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.host.verification import Ranked, difference

EXPECTED = Ranked(["a", "b", "c"], [-0.1, -0.2, -0.3])


@pytest.mark.parametrize(
    ("item_ids", "scores"),
    [
        (["a", "b", "c"], [-0.1, -0.2, -0.3]),
        (["a", "b", "c"], [-0.1009, -0.1991, -0.3]),
    ],
)
def test_rounding_is_no_difference(item_ids, scores):
    assert difference(EXPECTED, Ranked(item_ids, scores), 1e-3) is None


def test_near_ties_may_swap():
    expected = Ranked(["a", "b", "c"], [-0.1, -0.2, -0.2004])
    assert difference(expected, Ranked(["a", "c", "b"], [-0.1, -0.2, -0.2]), 1e-3) is None


def test_near_ties_may_swap_across_the_end():
    """`d` scored -0.3001 beyond the end of the golden list."""
    assert difference(EXPECTED, Ranked(["a", "b", "d"], [-0.1, -0.2, -0.3001]), 1e-3) is None


@pytest.mark.parametrize(
    ("item_ids", "scores", "reason"),
    [
        (["a", "b"], [-0.1, -0.2], "2 items, expected 3"),
        (["a", "b", "c"], [-0.1, -0.2, -0.302], "score -0.302 at rank 3"),
        (["b", "a", "c"], [-0.1, -0.2, -0.3], "item a scores -0.2"),
        (["a", "d", "c"], [-0.1, -0.2, -0.3], "item b is missing"),
        (["a", "b", "c"], [float("nan"), -0.2, -0.3], "score nan at rank 1"),
    ],
)
def test_another_answer_is_told(item_ids, scores, reason):
    assert reason in difference(EXPECTED, Ranked(item_ids, scores), 1e-3)


def test_the_tolerance_is_relative_where_scores_are_large():
    expected = Ranked(["a"], [-50.0])
    assert difference(expected, Ranked(["a"], [-50.04]), 1e-3) is None
    assert difference(expected, Ranked(["a"], [-50.06]), 1e-3)


scores = st.lists(st.floats(-20, 0, width=32), min_size=1, max_size=12, unique=True)


@given(scores, st.randoms(use_true_random=False))
def test_any_noise_below_half_the_tolerance_passes(values, random):
    """A server whose scores differ that little may reorder as its own scores say."""
    ordered = sorted(values, reverse=True)
    names = [f"i{index}" for index in range(len(ordered))]
    noisy = [
        (score + random.uniform(-4e-4, 4e-4), name)
        for score, name in zip(ordered, names, strict=True)
    ]
    noisy.sort(reverse=True)
    seen = Ranked([name for _, name in noisy], [score for score, _ in noisy])
    assert difference(Ranked(names, ordered), seen, 1e-3) is None


@given(scores, st.integers(0, 11))
def test_one_changed_score_never_passes(values, place):
    ordered = sorted(values, reverse=True)
    place %= len(ordered)
    names = [f"i{index}" for index in range(len(ordered))]
    changed = list(ordered)
    changed[place] -= 0.05
    assert difference(Ranked(names, ordered), Ranked(names, changed), 1e-3)
