"""What a simulated shop knows of itself, by hand."""

import numpy as np
import pytest

from model.simulation.truth import ndcg


def test_ndcg_by_hand():
    # Hits at places 1 and 3 of two wanted: (1 + 1/2) / (1 + 1/log2(3)).
    assert ndcg([4, 9, 5], [5, 4]) == pytest.approx(1.5 / (1 + 1 / np.log2(3)))
    assert ndcg([5, 4], [4, 5]) == 1.0
    assert ndcg([1, 2], [3]) == 0.0
    assert ndcg([], [3]) == 0.0


def test_an_item_outside_the_vocabulary_cannot_be_hit_but_counts_in_the_ideal():
    assert ndcg([0, 4], [0]) == 0.0
    assert ndcg([4, 0], [4, 0]) == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_only_ten_places_count():
    assert ndcg([*range(1, 11), 11], [11]) == 0.0
    assert ndcg(list(range(1, 11)), list(range(1, 21))) == pytest.approx(1.0)
