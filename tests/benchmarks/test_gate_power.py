"""The gate's promised error rates, on a small seeded version of the benchmark."""

import math

import numpy as np
import pytest

from benchmarks.gate_power import METRIC, draw, generate, measure, table_of
from ci.evaluating.per_user import CHALLENGER, LIVE
from ci.settings import GateSettings

GATE = GateSettings(resamples=400)
REPETITIONS = 100
USERS = 1_000


@pytest.fixture(scope="module")
def population():
    """Two models as alike as two seeds of the default."""
    return generate(users=20_000)


def test_equal_models_are_promoted_and_no_slice_or_guard_cries_wolf(population):
    rates = measure([population], USERS, 0.0, repetitions=REPETITIONS, settings=GATE)
    assert rates.promote >= 0.8
    assert rates.hold_by_guards <= 0.05


def test_harm_at_the_margin_is_promoted_at_most_as_often_as_promised(population):
    rates = measure([population], USERS, 1.0, repetitions=REPETITIONS, settings=GATE)
    error = 3 * math.sqrt(0.025 * 0.975 / REPETITIONS)
    assert rates.promote <= 0.025 + error


def test_harm_of_two_margins_is_never_promoted(population):
    rates = measure([population], USERS, 2.0, repetitions=REPETITIONS, settings=GATE)
    assert rates.promote == 0
    assert rates.hold > 0.5


def test_a_planted_harm_is_as_large_as_it_is_called(population):
    scores = draw(population, 400_000, -0.01, np.random.default_rng(1))
    seen = scores.difference(CHALLENGER, LIVE, METRIC).mean()
    assert seen == pytest.approx(-0.01, abs=0.0008)  # standard error 0.0002


def test_the_table_says_what_was_measured(population):
    rates = measure([population], 300, 1.5, repetitions=4, settings=GATE)
    row = table_of([rates]).splitlines()[-1]
    assert row.startswith("| 300 | −1.5 margins | ")
