"""Groups of shoppers, by hand."""

import numpy as np

from ci.evaluating.slices import by_activity, by_category, by_novelty, by_price


def test_novelty_and_activity_by_past_events():
    past = np.array([0, 1, 9, 10, 49, 50, 9_000])
    assert by_novelty(past).tolist() == ["new"] + ["returning"] * 6
    assert by_activity(past).tolist() == ["0", "1-9", "1-9", "10-49", "10-49", "50+", "50+"]


def test_category_is_that_of_most_wanted_items_and_the_earliest_wins_a_tie():
    category = [None, "tea", "coffee", "tea", None]
    offsets = np.array([0, 3, 5, 6, 7])
    items = np.array([2, 1, 3, 2, 1, 4, 0])
    assert by_category(offsets, items, category).tolist() == [
        "tea", "coffee", "unknown", "unknown",
    ]  # fmt: skip


def test_rare_categories_share_a_slice():
    category = [None, *(f"c{number:02}" for number in range(12))]
    # Items 1..12 once each, items 1..10 once more: c10 and c11 are the rare ones.
    items = np.array([*range(1, 13), *range(1, 11)])
    seen = by_category(np.arange(len(items) + 1), items, category)
    assert seen[10] == seen[11] == "other"
    assert len(set(seen.tolist())) == 11


def test_price_bands_are_thirds_of_the_shoppers():
    price = np.array([np.nan, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    offsets = np.array([0, 1, 2, 3, 4, 5, 7, 8])
    items = np.array([1, 2, 3, 4, 5, 6, 0, 0])
    assert by_price(offsets, items, price).tolist() == [
        "low", "low", "middle", "middle", "high", "high", "unknown",
    ]  # fmt: skip


def test_a_shop_without_prices_has_no_bands():
    seen = by_price(np.array([0, 1]), np.array([1]), np.array([np.nan, np.nan]))
    assert seen.tolist() == ["unknown"]
