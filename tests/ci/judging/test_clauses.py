"""Every clause of the gate at, above and below its threshold, with figures worked out by hand."""

import pytest

from ci.errors import BadDataError
from ci.judging.admission import Beginning, judge_first_release, require_unseen
from ci.judging.budgets import judge_costs, judge_parity
from ci.judging.clause import Clause, decide, describe, figure, number
from ci.judging.guards import judge_coverage, judge_must_beat, judge_ratio
from ci.judging.noninferiority import judge_non_inferiority, report_power, report_superiority
from ci.judging.slice_harm import SliceFigures, judge_slices
from ci.judging.statistics import Interval
from ci.settings import GateSettings

GATE = GateSettings()  # margin 3 %, slice margin 10 %, slices from 100 users on
LIVE = 0.2  # so the margin is 0.006


def interval(value, lower, upper, users=1_000, error=0.002):
    return Interval(value, lower, upper, users, error)


@pytest.mark.parametrize(
    ("lower", "upper", "outcome"),
    [
        (-0.0059, 0.004, "pass"),
        (-0.0060, 0.004, "inconclusive"),  # on the margin: not above it
        (-0.0100, 0.004, "inconclusive"),
        (-0.0100, -0.0060, "inconclusive"),  # on the margin: not below it
        (-0.0100, -0.0061, "hold"),
        (0.001, 0.005, "pass"),
    ],
)
def test_non_inferiority_compares_the_interval_with_the_margin(lower, upper, outcome):
    clause = judge_non_inferiority(interval((lower + upper) / 2, lower, upper), LIVE, GATE)
    assert clause.outcome == outcome
    assert "−0.00600 (3.0% of the live 0.2000)" in clause.rule


def test_inconclusive_names_the_users_and_the_margin_that_would_decide():
    seen = interval(-0.004, -0.0138, 0.0058, users=1_000, error=0.005)
    advice = judge_non_inferiority(seen, LIVE, GATE).advice
    # 1.96 * 0.005 / (0.006 - 0.004) = 4.9; more than 1000 * 4.9^2 = 24,010 users.
    # Margin: 0.0138 / 0.2 = 6.9 %.
    assert "About 24,011 users instead of 1,000 would decide for the challenger" in advice
    assert "a margin above 6.9% would do" in advice
    against = judge_non_inferiority(interval(-0.008, -0.018, 0.002, error=0.005), LIVE, GATE)
    assert "would decide against the challenger" in against.advice


def test_no_number_of_users_decides_on_the_margin_itself():
    clause = judge_non_inferiority(interval(-0.006, -0.01, 0.002), LIVE, GATE)
    assert "no number of users would decide" in clause.advice


def test_rare_large_losses_must_leave_room_to_the_margin():
    seen = Interval(-0.001, -0.0055, 0.003, 900, 0.0022, skewness=-8.0)
    clause = judge_non_inferiority(seen, LIVE, GATE)
    # -0.001 - 0.0022 * (1.96 + 8 * 1.447 / 30) = -0.00616, below the margin's -0.006.
    assert clause.outcome == "inconclusive"
    assert "A few shoppers lose much (skewness -8.0)" in clause.advice
    assert "lower end to -0.00616" in clause.advice
    assert "a margin above 3.1% would do" in clause.advice


def test_too_few_users_decide_nothing_however_equal_they_are():
    few = Interval(0.0, 0.0, 0.0, GATE.min_users - 1, 0.0)
    assert judge_non_inferiority(few, LIVE, GATE).outcome == "inconclusive"
    enough = Interval(0.0, 0.0, 0.0, GATE.min_users, 0.0)
    assert judge_non_inferiority(enough, LIVE, GATE).outcome == "pass"


def test_a_live_score_of_zero_leaves_no_margin():
    equal = judge_non_inferiority(Interval(0.0, 0.0, 0.0, 1_000, 0.0), 0.0, GATE)
    assert equal.outcome == "inconclusive"
    assert "no relative margin helps" in equal.advice
    assert judge_non_inferiority(interval(0.01, 0.001, 0.02), 0.0, GATE).outcome == "pass"


@pytest.mark.parametrize(
    ("value", "lower", "words"),
    [
        (0.003, 0.0001, "is better than the live model"),
        (0.003, 0.0, "chance alone"),
        (-0.001, -0.004, "not shown to be better"),
    ],
)
def test_superiority_is_told_and_never_blocks(value, lower, words):
    clause = report_superiority(interval(value, lower, 0.006), GATE)
    assert clause.outcome == "info"
    assert words in clause.advice


def test_power_is_that_of_an_equal_challenger():
    # Margin 0.006 = 3 standard errors: P(z < 3 - 1.96) = 85.1 %.
    clause = report_power(interval(-0.001, -0.005, 0.003, error=0.002), LIVE, GATE)
    assert clause.value == pytest.approx(0.851, abs=0.001)
    assert "promotes an equally good challenger 85% of the time" in clause.advice


def part(group, value, error, *, users=400, live=0.2, dimension="category"):
    return SliceFigures(
        dimension, group, Interval(value, value - 2 * error, value + 2 * error, users, error), live
    )


def test_a_slice_holds_only_beyond_its_margin_and_beyond_chance():
    # The slice may lose 10 % of 0.2 = 0.02. Alone, p must fall below 2.5 %: 1.96 errors below.
    harmed = judge_slices([part("tea", -0.0400, 0.01)], LIVE, GATE)[0]
    assert (harmed.name, harmed.outcome) == ("slice:category=tea", "hold")
    assert "(adjusted p = 0.023; live score there 0.2000)" in harmed.advice
    grave = judge_slices([part("tea", -0.1000, 0.01)], LIVE, GATE)[0]
    assert "(adjusted p < 0.0001;" in grave.advice
    assert judge_slices([part("tea", -0.0390, 0.01)], LIVE, GATE)[0].outcome == "pass"
    assert judge_slices([part("tea", -0.0190, 0.0001)], LIVE, GATE)[0].outcome == "pass"


def test_holm_runs_over_all_slices_of_all_dimensions():
    # z = -2.2 has p = 1.4 %: harmful alone, not among ten slices (10 * 1.4 % = 14 %).
    suspect = part("tea", -0.042, 0.01)
    fine = [part(str(number), 0.0, 0.01, dimension="activity") for number in range(9)]
    assert judge_slices([suspect], LIVE, GATE)[0].outcome == "hold"
    together = judge_slices([suspect, *fine], LIVE, GATE)
    assert [clause.outcome for clause in together] == ["pass"] * 10
    # z = -3.1 has p = 0.1 %: 10 * 0.1 % = 1 % is still below 2.5 %.
    grave = judge_slices([part("tea", -0.051, 0.01), *fine], LIVE, GATE)
    assert [clause.outcome for clause in grave] == ["hold"] + ["pass"] * 9


def test_a_small_slice_is_shown_and_does_not_weaken_the_others():
    small = [part(str(number), -0.2, 0.01, users=99) for number in range(50)]
    clauses = judge_slices([part("tea", -0.042, 0.01), *small], LIVE, GATE)
    assert [clause.outcome for clause in clauses] == ["hold"] + ["info"] * 50


def test_a_slice_with_a_low_score_is_granted_the_overall_margin():
    # 10 % of 0.01 would be 0.001; the overall margin 0.006 is the floor.
    assert judge_slices([part("new", -0.0055, 0.0001, live=0.01)], LIVE, GATE)[0].outcome == "pass"
    assert judge_slices([part("new", -0.0070, 0.0001, live=0.01)], LIVE, GATE)[0].outcome == "hold"


def test_must_beat_blocks_only_when_the_interval_lies_wholly_below_the_margin():
    assert judge_must_beat("linear", interval(-0.01, -0.02, -0.0061), LIVE, GATE).outcome == "hold"
    assert judge_must_beat("linear", interval(-0.01, -0.02, -0.0060), LIVE, GATE).outcome == "pass"
    assert judge_must_beat("linear", interval(0.01, 0.0, 0.02), LIVE, GATE).outcome == "pass"


def test_coverage_may_halve_and_not_more():
    assert judge_coverage(0.20, 0.40, 1_000, GATE).outcome == "pass"
    held = judge_coverage(0.19, 0.40, 1_000, GATE)
    assert held.outcome == "hold"
    assert "19.0% of the items are recommended, live 40.0%" in held.advice
    assert judge_coverage(0.0, 0.0, 1_000, GATE).outcome == "pass"


def test_a_ratio_blocks_when_its_whole_interval_is_above_the_limit():
    assert judge_ratio("popularity_bias", interval(1.6, 1.51, 1.7), 1.5, "").outcome == "hold"
    assert judge_ratio("popularity_bias", interval(1.6, 1.50, 1.7), 1.5, "").outcome == "pass"
    assert judge_ratio("popularity_bias", None, 1.5, "").outcome == "info"


COST = {
    "challenger": {
        "cpu_ms_per_request": 1.8,
        "bundle_bytes": 12_000_000,
        "memory_mb": 700.0,
        "cold_start_seconds": 4.0,
    },
    "live": {"bundle_bytes": 10_000_000},
    "cpu_ratio": {"median": 1.0, "lower": 0.95, "upper": 1.05},
}


def outcomes(clauses):
    return {clause.name: clause.outcome for clause in clauses}


@pytest.mark.parametrize(
    ("ratio", "outcome"),
    [
        ({"median": 1.0, "lower": 0.9, "upper": 1.1}, "pass"),
        ({"median": 1.2, "lower": 1.1, "upper": 1.3}, "pass"),
        ({"median": 1.21, "lower": 1.1, "upper": 1.3}, "inconclusive"),
        ({"median": 1.5, "lower": 1.42, "upper": 1.58}, "hold"),
        ({"median": None, "lower": 1.42, "upper": 1.58}, "hold"),
        (None, "hold"),
    ],
)
def test_cpu_is_the_ratio_to_the_live_bundle(ratio, outcome):
    clauses = judge_costs({**COST, "cpu_ratio": ratio}, has_live=True, settings=GATE)
    assert outcomes(clauses) == {
        "cost:bundle_bytes": "pass",
        "cost:memory_mb": "pass",
        "cost:cold_start_seconds": "pass",
        "cost:cpu": outcome,
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [("bundle_bytes", 500_000_001), ("memory_mb", 4_001.0), ("cold_start_seconds", 60.5)],
)
def test_a_budget_holds_also_a_first_release(key, value):
    cost = {"challenger": {**COST["challenger"], key: value}, "live": None, "cpu_ratio": None}
    seen = outcomes(judge_costs(cost, has_live=False, settings=GATE))
    assert seen.pop(f"cost:{key}") == "hold"
    assert set(seen.values()) == {"pass"}


@pytest.mark.parametrize("key", list(COST["challenger"]))
@pytest.mark.parametrize("value", [None, float("nan"), "12", True])
def test_a_missing_cost_blocks_by_name(key, value):
    cost = {"challenger": {**COST["challenger"], key: value}}
    held = [c for c in judge_costs(cost, has_live=False, settings=GATE) if c.outcome == "hold"]
    assert len(held) == 1
    assert f"cost.challenger.{key} is missing or not a number" in held[0].advice


def engine(**changes):
    return {"max_difference": 1e-6, "rows_equal": 32, "rows": 32, "passed": True, **changes}


def test_parity_is_judged_engine_by_engine():
    parity = {"rows": 32, "engines": {"savedmodel": engine(), "litert": engine(passed=False)}}
    assert outcomes(judge_parity(parity)) == {"parity:savedmodel": "pass", "parity:litert": "hold"}


@pytest.mark.parametrize(
    "parity",
    [
        {},
        {"engines": {}},
        {"engines": {"savedmodel": engine(rows=0)}},
        {"engines": {"savedmodel": engine(max_difference=None)}},
        {"engines": {"savedmodel": engine(passed="yes")}},
    ],
)
def test_parity_that_was_not_measured_blocks(parity):
    assert [clause.outcome for clause in judge_parity(parity)] == ["hold"]


def test_an_engine_that_answers_otherwise_says_how():
    seen = engine(passed=False, max_difference=None, rows_equal=0, first_difference="row 0: nan")
    clause = judge_parity({"engines": {"litert": seen}})[0]
    assert clause.outcome == "hold"
    assert "0 of 32 rows equal" in clause.advice
    assert "row 0: nan" in clause.advice


@pytest.mark.parametrize(
    ("beginning", "outcome"),
    [
        (Beginning("process", 0, 0, allowed=False), "pass"),
        (Beginning("process", 1, 0, allowed=False), "hold"),
        (Beginning("process", 0, 1, allowed=False), "hold"),
        (Beginning("hosts", 0, 0, allowed=False), "hold"),
        (Beginning("compose", 0, 0, allowed=False), "hold"),
        (Beginning("hosts", 0, 0, allowed=True), "pass"),
        (Beginning("process", 2, 1, allowed=True), "pass"),
    ],
)
def test_a_first_release_is_automatic_on_one_untouched_machine_only(beginning, outcome):
    clause = judge_first_release(beginning)
    assert clause.outcome == outcome
    assert ("--first-release" in clause.advice) == (beginning.allowed or outcome == "hold")


WINDOW = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-15T00:00:00Z", "users": 812}


def test_models_trained_up_to_the_window_have_not_seen_it():
    require_unseen(
        WINDOW, {"challenger": "2026-03-01T00:00:00+00:00", "live": "2026-02-01T00:00:00Z"}
    )


def test_a_model_trained_into_the_window_is_refused_with_counts():
    with pytest.raises(BadDataError, match="812 users") as refused:
        require_unseen(WINDOW, {"live": "2026-03-01T00:00:01Z"}, {"live": 17})
    assert "The live model was trained until 2026-03-01T00:00:01Z" in str(refused.value)
    assert "17 of its events" in str(refused.value)


@pytest.mark.parametrize("until", ["", "yesterday", None])
def test_a_model_that_does_not_say_what_it_saw_is_refused(until):
    with pytest.raises(BadDataError, match=r"models\.live\.trained_until"):
        require_unseen(WINDOW, {"live": until})


def test_times_are_compared_as_times():
    # 01:00 in Berlin is midnight in UTC: not past the start, though its text sorts after it.
    require_unseen(WINDOW, {"live": "2026-03-01T01:00:00+01:00"})


def clause(outcome, name="x"):
    return Clause(name, "a rule", 0.5, 0.25, 0.75, 1_000, outcome, "Do this.")


@pytest.mark.parametrize(
    ("kinds", "decision"),
    [
        (["pass", "info"], "PROMOTE"),
        (["pass", "inconclusive"], "INCONCLUSIVE"),
        (["inconclusive", "hold", "pass"], "HOLD"),
        (["info"], "HOLD"),
        ([], "HOLD"),
    ],
)
def test_the_gravest_outcome_decides(kinds, decision):
    assert decide([clause(outcome) for outcome in kinds])[0] == decision


def test_the_reason_shows_rule_figures_and_users():
    assert describe(clause("hold")) == (
        "x = 0.5000 [0.2500, 0.7500], n = 1,000; rule: a rule. Do this."
    )
    reason = decide([clause("hold"), clause("hold", "y")])[1]
    assert reason.endswith("(1 more rule with the same outcome)")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.21344, "0.2134"), (-0.00123456, "-0.00123"), (1.5, "1.500"), (0.0, "0"),
     (31.25, "31.25"), (12_345_678.0, "12,345,678"), (1e-9, "1.0e-09")],
)  # fmt: skip
def test_numbers_are_written_for_people(value, text):
    assert number(value) == text


def test_a_figure_is_finite_or_none():
    content = {"a": {"b": 1, "c": float("nan"), "d": "1", "e": True}}
    assert figure(content, "a", "b") == 1.0
    assert [figure(content, "a", key) for key in "cdez"] == [None] * 4
    assert figure(content, "a", "b", "c") is None
