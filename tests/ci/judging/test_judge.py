"""The whole judgement on tables of per-user scores: what blocks, and that nothing slips through."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci.judging.admission import Beginning
from ci.judging.judge import judge
from ci.settings import GateSettings
from tests.ci.gate_workspace import live_scores, make_evaluation, make_scores

GATE = GateSettings(resamples=400, min_users=100)
FRESH = Beginning("process", 0, 0, allowed=False)
LIVE = live_scores(1_500)


def verdict_of(scores, change=None, gate=GATE, beginning=FRESH):
    evaluation = make_evaluation(scores)
    if change:
        change(evaluation)
    return judge(evaluation, scores, gate, beginning)


def outcome(verdict, name):
    return next(clause.outcome for clause in verdict.clauses if clause.name == name)


def noise(users=1_500, spread=0.05):
    return np.random.default_rng(1).normal(0, spread, users)


def test_an_equal_challenger_is_promoted_with_every_rule_shown():
    verdict = verdict_of(make_scores(LIVE, noise() * (LIVE > 0), rung=-0.05 * (LIVE > 0)))
    assert (verdict.decision, verdict.superior, verdict.first_release) == ("PROMOTE", False, False)
    names = [clause.name for clause in verdict.clauses]
    assert names == [
        "non_inferiority", "superiority", "power", "slice:category=coffee",
        "slice:category=cups", "slice:category=tea", "coverage", "popularity_bias",
        "miscalibration", "must_beat:linear", "parity:litert", "parity:savedmodel",
        "cost:bundle_bytes", "cost:memory_mb", "cost:cold_start_seconds", "cost:cpu",
    ]  # fmt: skip


def test_the_same_figures_give_the_same_verdict():
    scores = make_scores(LIVE, noise())
    assert verdict_of(scores) == verdict_of(scores)


def test_a_better_challenger_is_superior():
    verdict = verdict_of(make_scores(LIVE, 0.1 * LIVE))
    assert (verdict.decision, verdict.superior) == ("PROMOTE", True)


def test_a_worse_challenger_is_held():
    verdict = verdict_of(make_scores(LIVE, -0.2 * LIVE))
    assert verdict.decision == "HOLD"
    assert verdict.reason.startswith("non_inferiority = -0.03")


def test_harm_to_one_slice_is_held_though_the_whole_gains():
    tea = np.arange(1_500) % 3 == 2
    verdict = verdict_of(make_scores(LIVE, np.where(tea, -0.5 * LIVE, 0.4 * LIVE)))
    assert outcome(verdict, "non_inferiority") == "pass"
    assert outcome(verdict, "slice:category=tea") == "hold"
    assert outcome(verdict, "slice:category=coffee") == "pass"
    assert verdict.decision == "HOLD"


def test_a_simpler_rung_that_does_better_holds():
    scores = make_scores(LIVE, np.zeros(1_500), rung=0.2 * LIVE)
    assert outcome(verdict_of(scores), "must_beat:linear") == "hold"
    lenient = GATE.model_copy(update={"must_beat": False})
    assert verdict_of(scores, gate=lenient).decision == "PROMOTE"


def test_popularity_bias_and_miscalibration_hold():
    for metric, name in (
        ("popularity_at_10", "popularity_bias"),
        ("miscalibration_at_10", "miscalibration"),
    ):
        scores = make_scores(LIVE, np.zeros(1_500))
        scores.metrics["challenger"][metric] = np.full(1_500, 0.76)  # 1.52 times the live 0.5
        assert outcome(verdict_of(scores), name) == "hold"


def test_a_guard_without_its_figures_blocks_unless_the_shop_has_none():
    scores = make_scores(LIVE, np.zeros(1_500))
    for metrics in scores.metrics.values():
        del metrics["miscalibration_at_10"]
    assert outcome(verdict_of(scores), "miscalibration") == "hold"

    def excuse(evaluation):
        evaluation["guards"] = {"not_applicable": {"miscalibration": "No categories."}}

    verdict = verdict_of(scores, excuse)
    assert outcome(verdict, "miscalibration") == "info"
    assert verdict.decision == "PROMOTE"


def test_collapsed_coverage_holds():
    def collapse(evaluation):
        evaluation["models"]["challenger"]["metrics"]["coverage_at_10"]["value"] = 0.1

    verdict = verdict_of(make_scores(LIVE, np.zeros(1_500)), collapse)
    assert outcome(verdict, "coverage") == "hold"


@pytest.mark.parametrize("model", ["challenger", "live"])
@pytest.mark.parametrize("metric", ["ndcg_at_10", "revenue_at_10", "coverage_at_10"])
@pytest.mark.parametrize("value", [None, float("nan"), "absent"])
def test_a_missing_metric_blocks_by_name(model, metric, value):
    def spoil(evaluation):
        if value == "absent":
            del evaluation["models"][model]["metrics"][metric]
        else:
            evaluation["models"][model]["metrics"][metric]["value"] = value

    verdict = verdict_of(make_scores(LIVE, np.zeros(1_500)), spoil)
    assert verdict.decision == "HOLD"
    assert f"metric:{model}.{metric}" in verdict.reason


def test_one_user_without_a_number_blocks_by_name():
    scores = make_scores(LIVE, np.zeros(1_500))
    scores.metrics["challenger"]["ndcg_at_10"][7] = np.nan
    verdict = verdict_of(
        scores,
        lambda e: e["models"]["challenger"]["metrics"]["ndcg_at_10"].update(value=0.1),
    )
    assert verdict.decision == "HOLD"
    assert "ndcg_at_10 of 1 of 1,500 users" in verdict.reason


def test_a_metric_of_the_team_is_judged_by_its_name():
    scores = make_scores(LIVE, np.zeros(1_500))
    for model, shift in (("challenger", 0.8), ("live", 1.0)):
        scores.metrics[model]["basket_share"] = LIVE * shift
    own = GATE.model_copy(update={"metric": "basket_share"})
    verdict = verdict_of(scores, gate=own)
    assert verdict.decision == "HOLD"
    assert "basket_share" in verdict.reason
    assert verdict_of(scores).decision == "PROMOTE"


def test_a_first_release_is_judged_without_a_live_model():
    scores = make_scores(LIVE, np.zeros(1_500), with_live=False, rung=-0.1 * LIVE)
    verdict = verdict_of(scores)
    assert (verdict.decision, verdict.first_release) == ("PROMOTE", True)
    elsewhere = Beginning("hosts", 0, 0, allowed=False)
    assert verdict_of(scores, beginning=elsewhere).decision == "HOLD"
    worse = make_scores(LIVE, np.zeros(1_500), with_live=False, rung=0.2 * LIVE)
    assert outcome(verdict_of(worse), "must_beat:linear") == "hold"


@settings(max_examples=30, deadline=None)
@given(
    shift=st.floats(-1, 1),
    spread=st.floats(0, 0.5),
    ratio=st.floats(0.5, 3),
    passed=st.booleans(),
    coverage=st.floats(0, 1),
)
def test_promote_means_that_nothing_blocked(shift, spread, ratio, passed, coverage):
    live = LIVE[:300]
    scores = make_scores(live, shift * live + noise(300, spread))

    def change(evaluation):
        evaluation["cost"]["cpu_ratio"] = dict.fromkeys(("median", "lower", "upper"), ratio)
        evaluation["parity"]["engines"]["savedmodel"] |= {"passed": passed}
        evaluation["models"]["challenger"]["metrics"]["coverage_at_10"]["value"] = coverage

    verdict = verdict_of(scores, change)
    blocked = {clause.outcome for clause in verdict.clauses} & {"hold", "inconclusive"}
    assert (verdict.decision == "PROMOTE") == (not blocked)
    if ratio > 1.2 or not passed or coverage < 0.2:
        assert verdict.decision == "HOLD"
