"""The statistics of the gate against distributions worked out by hand and by other methods."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ci.judging.statistics import (
    CELLS_AT_ONCE,
    Interval,
    deciding_users,
    guarded_lower,
    harm_p_value,
    holm,
    interval_of,
    paired_interval,
    promotion_power,
    resampled_means,
)


def test_resampled_means_of_two_users_have_the_binomial_distribution():
    means = resampled_means(np.array([[0.0], [1.0]]), 20_000, seed=1)[:, 0]
    # Both users twice: 1/4 each; one of each: 1/2.
    assert set(np.unique(means)) == {0.0, 0.5, 1.0}
    assert np.mean(means == 0.5) == pytest.approx(0.5, abs=0.015)
    assert np.mean(means == 1.0) == pytest.approx(0.25, abs=0.015)


def test_interval_of_three_users_by_enumeration():
    values = np.array([0.0, 0.0, 3.0])
    every = [np.mean(draw) for draw in itertools.product(values, repeat=3)]
    # All 27 draws: 8 have mean 0, 12 mean 1, 6 mean 2, 1 mean 3.
    assert [every.count(mean) for mean in (0.0, 1.0, 2.0, 3.0)] == [8, 12, 6, 1]
    # P(mean >= 3) = 1/27 > 2.5 %, so the 95 % interval is [0, 3]; at 80 % the tails of 10 %
    # cut the 3 (1/27) and keep the 2 (7/27).
    wide, narrow = (paired_interval(values, confidence, 20_000) for confidence in (0.95, 0.8))
    assert (wide.value, wide.lower, wide.upper, wide.users, wide.error) == (1.0, 0.0, 3.0, 3, 1.0)
    assert (narrow.lower, narrow.upper) == (0.0, 2.0)
    # Deviations -1, -1, 2: their cubes have mean 2, their squares mean 2.
    assert wide.skewness == pytest.approx(2 / 2**1.5)


def test_interval_agrees_with_scipys_percentile_bootstrap():
    generator = np.random.default_rng(3)
    values = generator.choice([0.0, -0.4, 0.3, 1.0], p=[0.7, 0.1, 0.15, 0.05], size=800)
    ours = paired_interval(values, 0.95, 8_000, seed=5)
    other = stats.bootstrap(
        (values,), np.mean, n_resamples=8_000, method="percentile", rng=generator
    ).confidence_interval
    assert ours.lower == pytest.approx(other.low, abs=0.05 * (other.high - other.low))
    assert ours.upper == pytest.approx(other.high, abs=0.05 * (other.high - other.low))
    assert ours.error == pytest.approx(stats.sem(values))


@given(
    value=st.floats(-1, 1, allow_subnormal=False),
    users=st.integers(1, 50),
    seed=st.integers(0, 2**32 - 1),
)
def test_equal_differences_give_a_degenerate_interval_at_the_mean(value, users, seed):
    interval = paired_interval(np.full(users, value), 0.95, 200, seed)
    assert interval == Interval(value, value, value, users, 0.0)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=40), st.integers(0, 2**32 - 1))
def test_interval_holds_the_rules_of_any_sample(values, seed):
    difference = np.array(values)
    interval = paired_interval(difference, 0.95, 200, seed)
    assert interval == paired_interval(difference, 0.95, 200, seed)
    assert difference.min() - 1e-12 <= interval.lower <= interval.upper <= difference.max() + 1e-12
    wider = paired_interval(difference, 0.99, 200, seed)
    assert wider.lower <= interval.lower
    assert interval.upper <= wider.upper


def test_columns_stay_paired_and_slices_average_their_members():
    generator = np.random.default_rng(0)
    live = generator.random(300)
    values = np.column_stack([live, live + 0.25, live])
    members = np.ones_like(values, dtype=bool)
    members[:, 2] = np.arange(300) < 100
    means = resampled_means(values, 500, seed=2, members=members)
    # The same users are in each resample, so a constant lead survives every one of them.
    assert np.allclose(means[:, 1] - means[:, 0], 0.25)
    assert means[:, 2].mean() == pytest.approx(live[:100].mean(), abs=0.01)
    assert means[:, 2].std() == pytest.approx(stats.sem(live[:100]), rel=0.15)


def test_a_resample_without_members_is_left_out():
    values = np.array([[1.0], [2.0], [9.0]])
    members = np.array([[True], [True], [False]])
    means = resampled_means(values, 2_000, seed=4, members=members)[:, 0]
    assert np.isnan(means).any()  # (1/3)^3 of the resamples drew the outsider three times
    interval = interval_of(values[:2, 0], means, 0.95)
    assert (interval.lower, interval.upper, interval.users) == (1.0, 2.0, 2)


def test_memory_stays_bounded_for_many_users():
    values = np.random.default_rng(0).random((100_000, 2))
    tracemalloc.start()
    resampled_means(values, 120, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Draws, counts and their float copy: three arrays of the bound, whatever the resamples.
    assert peak < 4 * CELLS_AT_ONCE * 8 < 120 * 100_000 * 8 * 2


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.04 -> running maximum.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_and_keeps_order(p_values):
    adjusted = holm(p_values)
    assert all(after >= before for before, after in zip(p_values, adjusted, strict=True))
    assert all(value <= 1.0 for value in adjusted)
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    assert sorted(adjusted) == [adjusted[index] for index in order]


def test_harm_p_value_by_table():
    # The mean lies 1.96 standard errors below -margin: 2.5 % of the normal curve.
    assert harm_p_value(-0.0396, 0.01, 0.02) == pytest.approx(0.025, abs=1e-4)
    assert harm_p_value(-0.02, 0.01, 0.02) == pytest.approx(0.5)
    assert harm_p_value(-0.03, 0.0, 0.02) == 0.0
    assert harm_p_value(-0.02, 0.0, 0.02) == 1.0


def test_promotion_power_by_table():
    # Margin at 1.96 + 0.8416 standard errors: the textbook's 80 %.
    assert promotion_power(2.8016, 1.0, 0.95) == pytest.approx(0.8, abs=1e-3)
    assert promotion_power(0.0, 1.0, 0.95) == pytest.approx(0.025, abs=1e-6)
    assert promotion_power(0.01, 0.0, 0.95) == 1.0
    assert promotion_power(0.0, 0.0, 0.95) == 0.0


def test_rare_losses_move_the_lower_end_out():
    # z = 1.96: (2 * 3.8415 + 1) / 6 = 1.447; skewness -4 over sqrt(400) = -0.2: 1.96 + 0.289.
    skewed = Interval(-0.001, -0.0205, 0.02, 400, 0.01, skewness=-4.0)
    assert guarded_lower(skewed, 0.95) == pytest.approx(-0.001 - 0.01 * 2.2494, abs=1e-5)
    # Rare gains never bring it in, and a lower percentile end stays.
    assert guarded_lower(Interval(-0.001, -0.0205, 0.02, 400, 0.01, 4.0), 0.95) == -0.0205
    assert guarded_lower(Interval(-0.001, -0.03, 0.02, 400, 0.01, -4.0), 0.95) == -0.03


def test_deciding_users_shrinks_the_half_width_to_the_distance():
    interval = Interval(value=-0.004, lower=-0.0138, upper=0.0058, users=1_000, error=0.005)
    users = deciding_users(interval, margin=0.006, confidence=0.95)
    # 1.96 * 0.005 * sqrt(1000 / n) < 0.002  =>  n > 1000 * 4.9^2 = 24,009.
    assert users == pytest.approx(24_010, abs=2)
    assert 1.96 * 0.005 * math.sqrt(1_000 / users) < 0.002
    assert deciding_users(Interval(-0.006, -1, 1, 1_000, 0.005), 0.006, 0.95) is None
