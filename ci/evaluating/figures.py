"""An evaluation in figures: each metric with its interval, and the line that is printed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ci.evaluating.per_user import Scores
from ci.judging.clause import figure, number
from ci.judging.comparison import Column, Comparison
from ci.judging.judge import COVERAGE
from ci.settings import GateSettings

Figures = dict[str, dict[str, float | None]]


def summarise(
    scores: Scores, coverage: Mapping[str, float], settings: GateSettings
) -> dict[str, Figures]:
    """Each model's metrics with their intervals over the users; null where one is not a number.

    Args:
        scores: The per-user table.
        coverage: Model → share of the catalogue that it recommends to anyone.
        settings: `[gate]`: confidence, resamples, seed.

    Returns:
        Model → metric → `{"value", "lower", "upper"}`.
    """
    columns = {
        f"{model}:{name}": Column(values)
        for model, own in scores.metrics.items()
        for name, values in own.items()
        if np.isfinite(values).all()
    }
    comparison = Comparison(columns, settings)
    found: dict[str, Figures] = {}
    for model, own in scores.metrics.items():
        found[model] = {name: _figure(comparison, columns, f"{model}:{name}") for name in own}
        found[model][COVERAGE] = {"value": coverage[model], "lower": None, "upper": None}
    return found


def _figure(
    comparison: Comparison, columns: Mapping[str, Column], name: str
) -> dict[str, float | None]:
    if name not in columns:
        return {"value": None, "lower": None, "upper": None}
    interval = comparison.interval(name)
    return {"value": interval.value, "lower": interval.lower, "upper": interval.upper}


def describe_evaluation(evaluation: Mapping[str, Any], metric: str) -> str:
    """The line that is printed: users, the models from best to worst, oracle, parity, cost."""
    models = evaluation["models"]
    values = {name: figure(models, name, "metrics", metric, "value") for name in models}
    ranked = sorted(
        (name for name, value in values.items() if value is not None),
        key=lambda name: -(values[name] or 0.0),
    )
    shown = [f"{name} {number(values[name] or 0.0)}" for name in ranked]
    best = figure(evaluation, "oracle", metric)
    if best is not None:
        shown.append(f"oracle {number(best)}")
    engines = evaluation["parity"]["engines"]
    passed = sum(bool(engine["passed"]) for engine in engines.values())
    parts = [
        f"{evaluation['window']['users']:,} users, {metric}: {', '.join(shown)}",
        f"parity {passed} of {len(engines)}",
    ]
    ratio = figure(evaluation, "cost", "cpu_ratio", "median")
    if ratio is not None:
        parts.append(f"CPU {ratio:.2f} times live")
    return "; ".join(parts)
