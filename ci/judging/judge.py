"""Applies every clause to one evaluation and comes to a decision."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ci.evaluating.per_user import CHALLENGER, LIVE, Scores
from ci.judging.admission import (
    UNKNOWN_BEGINNING,
    Beginning,
    judge_first_release,
    missing_metrics,
    require_unseen,
)
from ci.judging.budgets import judge_costs, judge_parity
from ci.judging.clause import Clause, Decision, decide, figure, missing
from ci.judging.comparison import Column, Comparison
from ci.judging.guards import judge_coverage, judge_must_beat, judge_ratio, not_measured
from ci.judging.noninferiority import judge_non_inferiority, report_power, report_superiority
from ci.judging.slice_harm import SliceFigures, judge_slices
from ci.settings import GateSettings

POPULARITY = "popularity_at_10"
MISCALIBRATION = "miscalibration_at_10"
COVERAGE = "coverage_at_10"


@dataclass(frozen=True)
class Verdict:
    """A decision with everything that led to it."""

    decision: Decision
    reason: str
    first_release: bool
    superior: bool
    clauses: tuple[Clause, ...]

    def as_json(self) -> dict[str, Any]:
        """The verdict's part of `gate.json`."""
        return asdict(self)


def judge(
    evaluation: dict[str, Any], scores: Scores, settings: GateSettings, beginning: Beginning | None
) -> Verdict:
    """Judge a challenger.

    Args:
        evaluation: `evaluation.json`.
        scores: The per-user table that belongs to it.
        settings: `[gate]`.
        beginning: What is known about earlier releases; needed where there is no live model.

    Raises:
        BadDataError: A judged row may have been seen in training.
    """
    models = evaluation["models"]
    _require_unseen(evaluation)
    live = bool(models.get(LIVE))
    clauses: list[Clause] = []
    if not live:
        clauses.append(judge_first_release(beginning or UNKNOWN_BEGINNING))
    gaps = missing_metrics(evaluation, scores, [settings.metric])
    clauses += gaps or _compare(evaluation, scores, settings)
    clauses += judge_parity(evaluation.get("parity") or {})
    clauses += judge_costs(evaluation.get("cost") or {}, live, settings)
    decision, reason = decide(clauses)
    superior = any(
        clause.name == "superiority" and clause.lower is not None and clause.lower > 0
        for clause in clauses
    )
    return Verdict(decision, reason, not live, superior, tuple(clauses))


def _require_unseen(evaluation: dict[str, Any]) -> None:
    models = {
        name: model
        for name, model in evaluation["models"].items()
        if name in (CHALLENGER, LIVE) and model
    }
    require_unseen(
        evaluation["window"],
        {name: model.get("trained_until", "") for name, model in models.items()},
        {name: model["rows_seen"] for name, model in models.items() if "rows_seen" in model},
    )


def _compare(evaluation: dict[str, Any], scores: Scores, settings: GateSettings) -> list[Clause]:
    """Every clause that compares per-user scores; one set of resamples serves them all."""
    rungs = [name for name in scores.metrics if name not in (CHALLENGER, LIVE)]
    live = LIVE in scores.metrics
    columns = _columns(scores, rungs, settings.metric)
    comparison = Comparison(columns, settings) if columns else None
    clauses: list[Clause] = []
    if live and comparison:
        clauses += _against_live(evaluation, scores, comparison, settings)
    if settings.must_beat and comparison:
        clauses += [_must_beat(rung, scores, comparison, settings) for rung in rungs]
    return clauses


def _columns(scores: Scores, rungs: list[str], metric: str) -> dict[str, Column]:
    """Every mean that a clause reads, by the name under which it is asked for."""
    columns = {
        f"over:{rung}": Column(scores.difference(CHALLENGER, rung, metric))
        for rung in rungs
        if np.isfinite(scores.metrics[rung][metric]).all()
    }
    if LIVE not in scores.metrics:
        return columns
    difference = scores.difference(CHALLENGER, LIVE, metric)
    columns["over:live"] = Column(difference)
    for name in (POPULARITY, MISCALIBRATION):
        for model in (CHALLENGER, LIVE):
            if name in scores.metrics[model]:
                columns[f"{name}:{model}"] = Column(scores.metrics[model][name])
    for dimension, groups in scores.slices.items():
        for group in np.unique(groups):
            columns[f"slice:{dimension}={group}"] = Column(difference, groups == group)
    return columns


def _against_live(
    evaluation: dict[str, Any], scores: Scores, comparison: Comparison, settings: GateSettings
) -> list[Clause]:
    difference = comparison.interval("over:live")
    live = float(scores.metrics[LIVE][settings.metric].mean())
    return [
        judge_non_inferiority(difference, live, settings),
        report_superiority(difference, settings),
        report_power(difference, live, settings),
        *judge_slices(_slices(scores, comparison, settings.metric), live, settings),
        _coverage(evaluation, settings),
        *_ratios(evaluation, comparison, scores, settings),
    ]


def _slices(scores: Scores, comparison: Comparison, metric: str) -> list[SliceFigures]:
    live = scores.metrics[LIVE][metric]
    return [
        SliceFigures(
            dimension,
            str(group),
            comparison.interval(f"slice:{dimension}={group}"),
            float(live[groups == group].mean()),
        )
        for dimension, groups in scores.slices.items()
        for group in np.unique(groups)
    ]


def _coverage(evaluation: dict[str, Any], settings: GateSettings) -> Clause:
    challenger = figure(evaluation, "models", CHALLENGER, "metrics", COVERAGE, "value")
    live = figure(evaluation, "models", LIVE, "metrics", COVERAGE, "value")
    if challenger is None or live is None:
        return missing("coverage", f"{COVERAGE} of the challenger or the live model")
    users = figure(evaluation, "window", "users")
    return judge_coverage(challenger, live, None if users is None else int(users), settings)


def _ratios(
    evaluation: dict[str, Any], comparison: Comparison, scores: Scores, settings: GateSettings
) -> list[Clause]:
    """The guards on per-user figures that may rise, but not without limit."""
    bestsellers = "The challenger pushes bestsellers at the cost of the rest of the catalogue."
    strays = "What shoppers are shown strays further from the categories they use."
    guards = (
        ("popularity_bias", POPULARITY, settings.max_popularity_ratio, bestsellers),
        ("miscalibration", MISCALIBRATION, settings.max_miscalibration_ratio, strays),
    )
    excused = evaluation.get("guards", {}).get("not_applicable", {})
    clauses = []
    for name, metric, limit, harm in guards:
        if name in excused:
            clauses.append(not_measured(name, excused[name]))
            continue
        absent = [model for model in (CHALLENGER, LIVE) if metric not in scores.metrics[model]]
        if absent:
            clauses.append(missing(name, f"The {absent[0]} model's {metric} in per_user.parquet"))
            continue
        ratio = comparison.ratio(f"{metric}:{CHALLENGER}", f"{metric}:{LIVE}")
        clauses.append(judge_ratio(name, ratio, limit, harm))
    return clauses


def _must_beat(rung: str, scores: Scores, comparison: Comparison, settings: GateSettings) -> Clause:
    values = scores.metrics[rung][settings.metric]
    if not np.isfinite(values).all():
        return missing(f"must_beat:{rung}", f"{settings.metric} of the rung {rung}")
    difference = comparison.interval(f"over:{rung}")
    return judge_must_beat(rung, difference, float(values.mean()), settings)
