"""What must hold before figures are compared: unseen rows, complete figures, a right to start."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ci.errors import BadDataError
from ci.evaluating.per_user import CHALLENGER, LIVE, Scores
from ci.judging.clause import Clause, Outcome, figure, missing


@dataclass(frozen=True)
class Beginning:
    """What is known about earlier releases where there is no live model to compare with.

    Attributes:
        target: Target of the baseline's environment: process, compose, hosts, kubernetes.
        promoted: How many aliases of the registry name a release, in any environment.
        deployed: How many releases the environment's own record says were once healthy.
        allowed: Whether `--first-release` was given.
    """

    target: str
    promoted: int
    deployed: int
    allowed: bool


UNKNOWN_BEGINNING = Beginning("unknown", 0, 0, allowed=False)


def judge_first_release(beginning: Beginning) -> Clause:
    """Without a live model there is nothing to compare with; may the challenger start anyway?

    By itself only on one machine (target `process`) that never had a release; anywhere else a
    missing baseline may be an accident, and a person has to say that it is not.
    """
    rule = "a first release is automatic only on target `process` without any earlier release"
    seen = (
        f"target {beginning.target}, {beginning.promoted} aliases in the registry, "
        f"{beginning.deployed} healthy releases in the environment's record"
    )
    fresh = beginning.promoted == 0 and beginning.deployed == 0
    if beginning.allowed:
        return _first_release(rule, True, f"Allowed by `--first-release`, recorded ({seen}).")
    if beginning.target == "process" and fresh:
        return _first_release(rule, True, f"Nothing was ever released here ({seen}).")
    advice = (
        f"There is no live model to compare with ({seen}). If this is the first release, run "
        "`bin/ci run --first-release`; if not, restore the registry and run `bin/ci evaluate`."
    )
    return _first_release(rule, False, advice)


def _first_release(rule: str, passed: bool, advice: str) -> Clause:
    outcome: Outcome = "pass" if passed else "hold"
    return Clause("first_release", rule, None, None, None, None, outcome, advice)


def require_unseen(
    window: dict[str, Any], trained_until: dict[str, str], rows: dict[str, int] | None = None
) -> None:
    """Refuse to judge on rows that a model may have been trained on.

    Args:
        window: `{"start", "end", "users"}`, times in ISO 8601.
        trained_until: Model → end of its training data, exclusive, ISO 8601.
        rows: Model → judged events before that time, where they were counted.

    Raises:
        BadDataError: A model was trained past the start of the window.
    """
    start = _time(window.get("start"), "window.start")
    for model, until in trained_until.items():
        end = _time(until, f"models.{model}.trained_until")
        if end <= start:
            continue
        counted = (rows or {}).get(model)
        seen = "" if counted is None else f"{counted:,} of its events and up to "
        remedy = (
            "Judge on a later window (smaller `data.test_days`, or newer events)"
            if model == LIVE
            else "Run `bin/ci prepare` and `bin/ci train` again"
        )
        raise BadDataError(
            f"The {model} model was trained until {until}, past the start of the judged window "
            f"{window.get('start')}: {seen}{window.get('users', '?')} users of the window may be "
            f"known to it by heart, and the comparison would be unfair. {remedy}."
        )


def _time(text: Any, name: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise BadDataError(
            f"evaluation.json: {name} is {text!r}, not a time; without it nobody knows which rows "
            "the model has seen. Run `bin/ci evaluate --force`."
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def missing_metrics(
    evaluation: dict[str, Any], scores: Scores, required: Iterable[str]
) -> list[Clause]:
    """One blocking clause for each figure of challenger or live that is missing or NaN.

    Args:
        evaluation: `evaluation.json`.
        scores: The per-user table.
        required: Metrics that must be there per user, e.g. the gate's metric.
    """
    models = evaluation.get("models", {})
    judged = [CHALLENGER] + ([LIVE] if models.get(LIVE) else [])
    names = list(required)
    for model in judged:
        names += list((models.get(model) or {}).get("metrics", {}))
    clauses = []
    for model in judged:
        for name in dict.fromkeys(names):
            what = _gap(evaluation, scores, model, name, name in required)
            if what:
                clauses.append(missing(f"metric:{model}.{name}", what))
    return clauses


def _gap(
    evaluation: dict[str, Any], scores: Scores, model: str, name: str, per_user: bool
) -> str | None:
    """What is missing of a model's metric, or None where all is there."""
    if figure(evaluation, "models", model, "metrics", name, "value") is None:
        return f"The {model} model's {name} in evaluation.json"
    values = scores.metrics.get(model, {}).get(name)
    if values is None:
        return f"The {model} model's {name} in per_user.parquet" if per_user else None
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        return f"The {model} model's {name} of {bad:,} of {len(values):,} users"
    return None
