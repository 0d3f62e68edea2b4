"""An evaluation in figures."""

import numpy as np
import pytest

from ci.evaluating.figures import describe_evaluation, summarise
from ci.evaluating.per_user import Scores
from ci.settings import GateSettings
from tests.ci.gate_workspace import live_scores, make_evaluation, make_scores


def test_each_metric_has_its_interval_and_coverage_has_none():
    scores = Scores(
        np.array(["a", "b", "c"]),
        {
            "challenger": {"ndcg_at_10": np.array([0.0, 0.0, 3.0]), "own": np.full(3, np.nan)},
            "live": {"ndcg_at_10": np.full(3, 0.25)},
        },
    )
    settings = GateSettings(resamples=4_000)
    seen = summarise(scores, {"challenger": 0.5, "live": 0.75}, settings)
    # By enumeration (tests/ci/judging/test_statistics.py) the interval of (0, 0, 3) is [0, 3].
    assert seen["challenger"]["ndcg_at_10"] == {"value": 1.0, "lower": 0.0, "upper": 3.0}
    assert seen["challenger"]["own"] == dict.fromkeys(("value", "lower", "upper"))
    assert seen["live"]["ndcg_at_10"] == dict.fromkeys(("value", "lower", "upper"), 0.25)
    assert seen["live"]["coverage_at_10"] == {"value": 0.75, "lower": None, "upper": None}


def test_the_line_ranks_the_models_and_shows_the_oracle():
    live = live_scores(400)
    evaluation = make_evaluation(make_scores(live, 0.1 * live, rung=-0.1 * live))
    line = describe_evaluation(evaluation, "ndcg_at_10")
    assert line.startswith("400 users, ndcg_at_10: challenger 0.")
    places = [line.index(name) for name in ("challenger", "live", "linear", "oracle 0.3100")]
    assert places == sorted(places)
    assert line.endswith("parity 2 of 2; CPU 1.01 times live")


def test_a_model_without_the_metric_is_left_out_of_the_line():
    evaluation = make_evaluation(make_scores(live_scores(400), np.zeros(400), with_live=False))
    evaluation["models"]["challenger"]["metrics"]["ndcg_at_10"]["value"] = None
    evaluation["oracle"] = None
    line = describe_evaluation(evaluation, "ndcg_at_10")
    assert line == "400 users, ndcg_at_10: ; parity 2 of 2"


@pytest.mark.parametrize("name", ["challenger", "live"])
def test_intervals_follow_the_seed(name):
    live = live_scores(500)
    scores = make_scores(live, 0.1 * live)
    coverage = {"challenger": 0.1, "live": 0.1}
    first, again, other = (
        summarise(scores, coverage, GateSettings(resamples=300, seed=seed))[name]
        for seed in (1, 1, 2)
    )
    assert first == again != other
