"""`gate.md` as a person reads it."""

import numpy as np

from ci.judging.admission import Beginning
from ci.judging.judge import judge
from ci.judging.verdict import write_verdict
from ci.settings import GateSettings
from tests.ci.gate_workspace import live_scores, make_evaluation, make_scores

GATE = GateSettings(resamples=400)
LIVE = live_scores(1_500)


def text_of(scores, target="process", change=None):
    evaluation = make_evaluation(scores)
    if change:
        change(evaluation)
    beginning = Beginning(target, 0, 0, allowed=False)
    return write_verdict(judge(evaluation, scores, GATE, beginning), evaluation, GATE)


def test_a_promotion_says_how_much_better_on_whom_and_when():
    text = text_of(make_scores(LIVE, 0.1 * LIVE))
    live, gain = LIVE.mean(), 0.1 * LIVE.mean()
    assert text.startswith("# PROMOTE: model version 1 may replace version 2\n")
    assert "Judged on 1,500 users active from 2026-03-01T00:00:00Z" in text
    assert "to 2026-03-15T00:00:00Z, 3 of them new." in text
    assert f"Live: {live:.4f}. Difference {gain:.5f}, 95% interval" in text
    assert "The challenger is better than the live model." in text
    assert "## What blocks" not in text


def test_a_hold_puts_what_blocks_before_the_table():
    text = text_of(make_scores(LIVE, -0.3 * LIVE))
    assert text.startswith("# HOLD: model version 1 does not replace version 2")
    assert "The live model stays. Change what the first blocking rule names" in text
    assert text.index("- **HOLD** non_inferiority = -0.05") < text.index("## Every rule")
    assert "the build is not broken" in text


def test_a_first_release_that_may_not_start_releases_nothing():
    text = text_of(make_scores(LIVE, np.zeros(1_500), with_live=False), target="hosts")
    assert text.startswith("# HOLD: model version 1 may not start")
    assert "Nothing is released." in text
    assert "live model stays" not in text


def test_the_table_has_one_whole_row_a_rule():
    def strange(evaluation):
        evaluation["parity"]["engines"]["a|b"] = {"passed": False, "rows": 2, "rows_equal": 0}

    text = text_of(make_scores(LIVE, np.zeros(1_500)), change=strange)
    rows = text.partition("## Every rule\n\n")[2].splitlines()
    assert rows[1].startswith("|---")
    assert {row.replace("\\|", "").count("|") for row in rows} == {7}
    assert any(row.startswith("| parity:a\\|b | hold |") for row in rows)
