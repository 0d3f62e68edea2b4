"""Every verdict through the command line, with its exit code and what it leaves behind."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ci import registry
from ci.__main__ import main
from ci.config import load_config
from serving.host import record
from tests.ci.gate_workspace import live_scores, make_evaluation, make_scores, write_workspace
from tests.receivers import Robot

ROOT = Path(__file__).resolve().parents[2]
LIVE = live_scores(1_500)
EQUAL = make_scores(LIVE, np.zeros(1_500))
FIRST = make_scores(LIVE, np.zeros(1_500), with_live=False)
HOSTS = """
[environments.local]
[environments.live]
target = "hosts"
[gate]
baseline_environment = "live"
"""


def gate(folder, scores, change=None, settings="", flags=()):
    """Run `gate` on a workspace; returns exit code, gate.json, gate.md (None where not left)."""
    evaluation = make_evaluation(scores)
    if change:
        change(evaluation)
    path = write_workspace(folder, scores, evaluation, settings)
    code = main(["--config", str(path), "gate", *flags])
    task = folder / "build" / "tea" / "next_item"
    record, text = task / "gate.json", task / "gate.md"
    return (
        code,
        json.loads(record.read_text()) if record.exists() else None,
        text.read_text() if text.exists() else None,
    )


def test_promote(tmp_path, capsys):
    code, decided, text = gate(tmp_path, EQUAL)
    assert code == 0
    assert decided["decision"] == "PROMOTE"
    assert decided["challenger"] == {"model_version": 1, "digest": "sha256:challenger"}
    assert decided["baseline"] == {"model_version": 2, "digest": "sha256:live"}
    assert text.startswith("# PROMOTE: model version 1 may replace version 2\n")
    assert "Best reachable in this simulated shop: 0.3100." in text
    assert "PROMOTE: All" in capsys.readouterr().out


def test_the_command_itself_exits_with_the_verdict(tmp_path):
    scores = make_scores(LIVE, -0.3 * LIVE)
    path = write_workspace(tmp_path, scores, make_evaluation(scores))
    done = subprocess.run(
        [sys.executable, "-m", "ci", "--config", str(path), "gate"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 10
    assert "HOLD: non_inferiority" in done.stderr
    assert "Traceback" not in done.stderr


def test_hold_says_rule_value_interval_users_and_what_to_do(tmp_path, capsys):
    code, decided, text = gate(tmp_path, make_scores(LIVE, -0.3 * LIVE))
    assert code == 10
    assert decided["decision"] == "HOLD"
    message = capsys.readouterr().err
    for words in ("non_inferiority = -0.05", "n = 1,500", "3.0% of the live", "Keep the live"):
        assert words in message
        assert words in text
    assert "gate.md" in message


def test_hold_is_hold_again_when_nothing_changed(tmp_path, capsys):
    scores = make_scores(LIVE, -0.3 * LIVE)
    assert gate(tmp_path, scores)[0] == 10
    capsys.readouterr()
    assert main(["--config", str(tmp_path / "pipeline.toml"), "gate"]) == 10
    printed = capsys.readouterr()
    assert "reused" in printed.out
    assert "HOLD: non_inferiority" in printed.err


def test_inconclusive_names_users_and_margin(tmp_path, capsys):
    generator = np.random.default_rng(4)
    scores = make_scores(LIVE[:600], generator.normal(0, 0.2, 600))
    code, decided, _ = gate(tmp_path, scores)
    assert code == 11
    assert decided["decision"] == "INCONCLUSIVE"
    message = capsys.readouterr().err
    assert "users instead of 600 would decide" in message
    assert "would do" in message


@pytest.mark.parametrize(
    ("settings", "flags", "code"),
    [("", (), 0), (HOSTS, (), 10), (HOSTS, ("--first-release",), 0)],
)
def test_first_release(tmp_path, settings, flags, code):
    seen, decided, _ = gate(tmp_path, FIRST, settings=settings, flags=flags)
    assert seen == code
    assert decided["first_release"] is True
    assert decided["first_release_flag"] is bool(flags)
    assert decided["baseline"] is None


def release(state):
    return record.Release(
        number=1, kind="deploy", model_version=1, digest="sha256:x", engine="litert", state=state,
        who="", commit="", started_at="2026-03-01T00:00:00Z",
    )  # fmt: skip


def test_a_deployment_record_ends_the_automatic_first_release(tmp_path, capsys):
    home = tmp_path / "var/tea/environments/local"
    home.mkdir(parents=True)
    # A rollout that never was healthy is no release.
    record.save(record.Record("tea", "local", history=[release("failed")]), home)
    assert gate(tmp_path, FIRST)[0] == 0
    seen = [release("failed"), release("withdrawn")]
    record.save(record.Record("tea", "local", history=seen), home)
    assert gate(tmp_path, FIRST)[0] == 10
    assert "1 healthy releases in the environment's record" in capsys.readouterr().err
    (home / record.FILE).write_text("{")
    assert gate(tmp_path, FIRST)[0] == 3
    assert "it says what was released here" in capsys.readouterr().err.lower()


def test_an_alias_in_the_registry_ends_the_automatic_first_release(tmp_path, capsys):
    assert gate(tmp_path, FIRST)[0] == 0
    config = load_config(tmp_path / "pipeline.toml")
    registry.register(config, "sha256:other", tmp_path / "x", {"validation": {}})
    assert main(["--config", str(config.path), "gate"]) == 0  # registered, never released
    registry.promote(config, "local", 1)
    assert main(["--config", str(config.path), "gate"]) == 10
    assert "1 aliases in the registry" in capsys.readouterr().err


def test_a_missing_metric_blocks_by_name(tmp_path, capsys):
    def spoil(evaluation):
        evaluation["models"]["challenger"]["metrics"]["revenue_at_10"]["value"] = None

    code, decided, _ = gate(tmp_path, EQUAL, spoil)
    assert code == 10
    assert "The challenger model's revenue_at_10" in capsys.readouterr().err
    assert decided["decision"] == "HOLD"


def test_a_leaked_baseline_is_refused_and_leaves_no_verdict(tmp_path, capsys):
    assert gate(tmp_path, EQUAL)[0] == 0

    def leak(evaluation):
        evaluation["models"]["live"] |= {"trained_until": "2026-03-09T00:00:00Z", "rows_seen": 412}

    code, decided, text = gate(tmp_path, EQUAL, leak)
    assert (code, decided, text) == (3, None, None)
    message = capsys.readouterr().err
    assert "trained until 2026-03-09T00:00:00Z" in message
    assert "412 of its events and up to 1500 users" in message


def test_a_slowed_bundle_is_held(tmp_path, capsys):
    def slow(evaluation):
        evaluation["cost"]["cpu_ratio"] = {"median": 1.5, "lower": 1.41, "upper": 1.6}

    assert gate(tmp_path, EQUAL, slow)[0] == 10
    assert "cost:cpu = 1.500 [1.410, 1.600]" in capsys.readouterr().err


def test_figures_of_another_bundle_are_refused(tmp_path, capsys):
    def swap(evaluation):
        evaluation["models"]["challenger"]["digest"] = "sha256:other"

    assert gate(tmp_path, EQUAL, swap)[0] == 3
    assert "Run `bin/ci evaluate`" in capsys.readouterr().err


def test_without_an_evaluation_the_stage_to_run_is_named(tmp_path, capsys):
    path = tmp_path / "pipeline.toml"
    path.write_text(f'[storage]\nbuild = "{tmp_path}/build"\nstate = "{tmp_path}/var"\n')
    assert main(["--config", str(path), "gate"]) == 2
    assert "Run `bin/ci evaluate` first" in capsys.readouterr().err


def test_a_metric_that_nobody_measures_is_refused_before_any_work(tmp_path, capsys):
    path = write_workspace(tmp_path, EQUAL, make_evaluation(EQUAL))
    assert main(["--config", str(path), "--set", "gate.metric=auc", "gate"]) == 2
    message = capsys.readouterr().err
    assert "gate] metric = 'auc' is not measured; allowed: ndcg_at_10, hit_rate_at_10" in message
    own = ("--set", 'model.metrics=["shop.metrics:auc"]')
    assert main(["--config", str(path), *own, "--set", "gate.metric=auc", "gate"]) == 10
    assert "The challenger model's auc" in capsys.readouterr().err


def test_a_verdict_is_posted_when_it_is_made_and_not_when_it_is_reused(tmp_path, monkeypatch):
    settings = '[notify.webhooks.team]\nkind = "json"\nurl_env = "TEAM"\n'
    scores = make_scores(LIVE, -0.3 * LIVE)
    with Robot() as robot:
        monkeypatch.setenv("TEAM", robot.url)
        code, decided, _ = gate(tmp_path, scores, settings=settings)
        assert code == 10
        (post,) = robot.posts
        assert main(["--config", str(tmp_path / "pipeline.toml"), "gate"]) == 10
        assert len(robot.posts) == 1
    assert (post.body["event"], post.body["decision"]) == ("verdict", "HOLD")
    assert post.body["reason"] == decided["reason"]
    assert (post.body["model_version"], post.body["environment"]) == (1, "local")


def test_an_evaluation_that_cannot_be_judged_is_posted_as_a_failure(tmp_path, monkeypatch):
    settings = '[notify.webhooks.team]\nkind = "json"\nurl_env = "TEAM"\n'
    with Robot() as robot:
        monkeypatch.setenv("TEAM", robot.url)

        def change(evaluation):
            evaluation["models"]["challenger"]["digest"] = "sha256:another"

        assert gate(tmp_path, EQUAL, change, settings)[0] == 3
    (post,) = robot.posts
    assert (post.body["event"], post.body["exit_code"]) == ("failure", 3)
    assert "is about the bundle sha256:another" in post.body["reason"]
