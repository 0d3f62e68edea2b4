"""Popularity and category calibration of lists, by hand."""

import math

import numpy as np
import pytest

from ci.evaluating import calibration
from ci.evaluating.calibration import miscalibration, popularity

COUNTS = np.array([0, 10, 4, 1])
CATEGORY = np.array([-1, 0, 1, -1])  # item 1 tea, item 2 coffee, item 3 of no category


def test_popularity_is_the_mean_count_of_what_is_shown():
    top = np.array([[1, 2], [3, 0], [0, 0]])
    assert popularity(top, COUNTS).tolist() == [7.0, 1.0, 0.0]


def distances(top, owner, taken):
    return miscalibration(
        np.array(top), CATEGORY, np.array(owner, int), np.array(taken, int), categories=2
    )


def test_a_list_like_the_history_is_calibrated():
    assert distances([[1, 2]], [0, 0], [1, 2]) == pytest.approx([0.0])


def test_a_list_without_the_shoppers_category_by_hand():
    # p = (1, 0), q = (0, 1): q~(tea) = 0.01, so KL = 1 * ln(1 / 0.01).
    assert distances([[2, 2]], [0], [1]) == pytest.approx([math.log(100)])
    # p = (1/2, 1/2), q = (1, 0): q~ = (0.995, 0.005).
    expected = 0.5 * math.log(0.5 / 0.995) + 0.5 * math.log(0.5 / 0.005)
    assert distances([[1, 1]], [0, 0], [1, 2]) == pytest.approx([expected])


def test_a_shopper_without_a_known_category_has_no_distance():
    assert distances([[1, 2], [1, 2]], [1], [3]).tolist() == [0.0, 0.0]


def test_an_empty_list_is_as_far_as_can_be():
    assert distances([[0, 0]], [0], [1]) == pytest.approx([math.log(100)])


def test_chunks_change_nothing(monkeypatch):
    generator = np.random.default_rng(0)
    top = generator.integers(0, 4, (50, 3))
    owner = np.sort(generator.integers(0, 50, 400))
    taken = generator.integers(1, 4, 400)
    whole = miscalibration(top, CATEGORY, owner, taken, 2)
    monkeypatch.setattr(calibration, "CELLS_AT_ONCE", 14)
    assert np.array_equal(miscalibration(top, CATEGORY, owner, taken, 2), whole)
