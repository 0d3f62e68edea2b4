"""Metrics against values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.targets import Targets
from model.rungs import metrics

# Shopper 0 wants items 1 and 3; shopper 1 wants 2 and one outside the vocabulary.
WANTED = Targets(
    np.array([0, 1], np.int32),
    np.array([0, 2, 4]),
    np.array([1, 3, 2, 0], np.int32),
    np.array([5.0, 7.0, 2.0, 9.0], np.float32),
)
TOP = np.array([[4, 1, 5], [2, 4, 5]])


def test_ndcg_by_hand():
    second = 1 / math.log2(3)  # the discount of rank 2
    expected = [second / (1 + second), 1 / (1 + second)]
    assert metrics.ndcg(TOP, WANTED) == pytest.approx(expected)


def test_ideal_is_capped_at_k():
    wanted = Targets(np.zeros(1, np.int32), np.array([0, 3]), np.array([1, 2, 3]), np.zeros(3))
    assert metrics.ndcg(np.array([[3, 1]]), wanted) == pytest.approx([1.0])


def test_an_item_outside_the_vocabulary_is_never_hit_by_padding():
    assert metrics.hit_rate(np.array([[0, 0], [0, 0]]), WANTED).tolist() == [0.0, 0.0]


def test_hit_rate_and_revenue_by_hand():
    assert metrics.hit_rate(TOP, WANTED).tolist() == [1.0, 1.0]
    assert metrics.revenue(TOP, WANTED).tolist() == [5.0, 2.0]


def test_debiased_ndcg_weighs_rare_items_more():
    # Counts 4 and 16: gains 1/2 and 1/4. The list has item 1 at rank 2 only.
    count = np.array([0, 4, 1, 16, 1, 1])
    second = 1 / math.log2(3)
    ideal = 0.5 + 0.25 * second
    assert metrics.debiased_ndcg(TOP, WANTED, count)[0] == pytest.approx(0.5 * second / ideal)


def test_coverage_counts_items_and_not_padding():
    assert metrics.coverage(np.array([[1, 2], [2, 0]]), items=8) == pytest.approx(0.25)


def test_who_wants_nothing_has_no_value():
    wanted = Targets(np.zeros(1, np.int32), np.array([0, 0]), np.zeros(0, np.int32), np.zeros(0))
    assert np.isnan(metrics.ndcg(np.array([[1]]), wanted)).all()
    assert np.isnan(metrics.hit_rate(np.array([[1]]), wanted)).all()


def test_nobody_gives_zeros_not_a_warning():
    nobody = Targets(np.zeros(0, np.int32), np.array([0]), np.zeros(0, np.int32), np.zeros(0))
    assert metrics.summary(np.zeros((0, 10), int), nobody, np.zeros(5))["ndcg_at_10"] == 0.0


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12, unique=True),
    st.permutations(range(1, 31)),
)
def test_ndcg_equals_its_definition(wanted_items, order):
    top = np.array([order[:10]])
    size = len(wanted_items)
    wanted = Targets(
        np.zeros(1, np.int32), np.array([0, size]), np.array(wanted_items), np.zeros(size)
    )
    gain = sum(1 / math.log2(rank + 2) for rank in range(10) if order[rank] in wanted_items)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(size, 10)))
    assert metrics.ndcg(top, wanted)[0] == pytest.approx(gain / ideal)
