"""How good the models are: metrics with intervals, the difference, slices, the learning curve."""

from dataclasses import dataclass
from typing import Any

from ci.reporting.charts import IntervalPlot, LinePlot, Mark, Rule, interval_plot, line_plot
from ci.reporting.figures import interval, is_number, number, seconds
from ci.reporting.gathered import Gathered, Json
from ci.reporting.verdict import is_slice, row_of

METRIC_NAMES = {
    "ndcg_at_10": "NDCG@10",
    "hit_rate_at_10": "Hit rate@10",
    "revenue_at_10": "Revenue@10",
    "debiased_ndcg_at_10": "NDCG@10, popularity-debiased",
    "coverage_at_10": "Catalogue coverage@10",
    "popularity_at_10": "Popularity of the items@10",
    "miscalibration_at_10": "Miscalibration@10",
}
SLICES_SHOWN = 8  # the rest is folded away


@dataclass(frozen=True)
class MetricRow:
    """One metric of challenger and live."""

    name: str
    challenger: str
    live: str


@dataclass(frozen=True)
class RungRow:
    """One fitted model: its score on the validation window and what it cost to fit."""

    name: str
    score: str
    cpu_time: str


@dataclass(frozen=True)
class Quality:
    """What the section on quality shows; None where there is nothing to draw."""

    difference: IntervalPlot | None
    ladder: IntervalPlot | None
    table: tuple[MetricRow, ...]
    others: tuple[IntervalPlot, ...]
    slices: IntervalPlot | None
    more_slices: IntervalPlot | None
    small_slices: tuple[str, ...]
    learning: tuple[LinePlot, ...]
    rungs: tuple[RungRow, ...]
    effort: str


def quality_of(gathered: Gathered) -> Quality:
    """Draw what evaluation, gate and training left."""
    slices, more, small = _slices(gathered)
    models = gathered.evaluation.get("models", {})
    names = list(dict.fromkeys(name for m in models.values() for name in _metrics(m)))
    plots = {name: _ladder(name, gathered) for name in names}
    return Quality(
        difference=_difference(gathered),
        ladder=plots.get(gathered.metric),
        table=tuple(_row(name, models) for name in names),
        others=tuple(p for name, p in plots.items() if name != gathered.metric and p),
        slices=slices,
        more_slices=more,
        small_slices=small,
        learning=_learning(gathered.training),
        rungs=_rungs(gathered.training),
        effort=_effort(gathered.training),
    )


def metric_name(name: str) -> str:
    """A metric as it is written in text: `ndcg_at_10` → `NDCG@10`."""
    return METRIC_NAMES.get(name, name.replace("_at_", "@").replace("_", " "))


def _metrics(model: Json | None) -> Json:
    metrics: Json = (model or {}).get("metrics", {})
    return metrics


def _row(name: str, models: Json) -> MetricRow:
    return MetricRow(
        metric_name(name), _seen(models.get("challenger"), name), _seen(models.get("live"), name)
    )


def _seen(model: Json | None, name: str) -> str:
    figure = _metrics(model).get(name) or {}
    return interval(figure.get("value"), figure.get("lower"), figure.get("upper"))


def _difference(gathered: Gathered) -> IntervalPlot | None:
    """Challenger − live on the deciding metric, with zero and the margin."""
    clause = _clause(gathered, "non_inferiority")
    live = _metrics(gathered.evaluation.get("models", {}).get("live")).get(gathered.metric, {})
    if clause is None or not is_number(clause.get("value")):
        return None
    rules, harm = [Rule("equal", 0.0)], None
    if is_number(live.get("value")):
        harm = -gathered.margin * live["value"]
        rules.insert(0, Rule(f"margin {number(harm, 3)}", harm))
    title = f"{metric_name(gathered.metric)}: challenger minus live"
    return interval_plot(title, [_mark("difference", clause, "challenger")], rules, harm)


def _ladder(name: str, gathered: Gathered) -> IntervalPlot | None:
    """Every model on one metric, best first below challenger and live; the oracle as a line."""
    models = gathered.evaluation.get("models", {})
    marks = []
    for model, content in models.items():
        figure = _metrics(content).get(name) or {}
        if is_number(figure.get("value")):
            role = model if model in {"challenger", "live"} else "rung"
            marks.append(_mark(_model_label(model, content), figure, role))
    rank = {"challenger": 0, "live": 1, "rung": 2}
    marks.sort(key=lambda mark: (rank[mark.role], -mark.value))
    oracle = _oracle(gathered, name)
    rules = [Rule("best reachable", oracle)] if oracle is not None else []
    return interval_plot(metric_name(name), marks, rules)


def _model_label(model: str, content: Json) -> str:
    version = content.get("model_version")
    return f"{model} v{version}" if version else model


def _oracle(gathered: Gathered, metric: str) -> float | None:
    for source in (gathered.evaluation.get("oracle"), gathered.meta.get("oracle")):
        value = (source or {}).get(metric)
        value = value.get("value") if isinstance(value, dict) else value
        if value is not None and is_number(value):
            return float(value)
    return None


def _mark(label: str, figure: Json, role: str) -> Mark:
    value, lower, upper = (figure.get(key) for key in ("value", "lower", "upper"))
    ends = (lower, upper) if is_number(lower) and is_number(upper) else (None, None)
    return Mark(label, interval(value, *ends), role, float(value or 0.0), *ends)


def _clause(gathered: Gathered, name: str) -> Json | None:
    clauses = gathered.gate.get("clauses", [])
    return next((clause for clause in clauses if clause.get("name") == name), None)


def _slices(
    gathered: Gathered,
) -> tuple[IntervalPlot | None, IntervalPlot | None, tuple[str, ...]]:
    """The judged slices, most harmed first, the rest of them, and those too small to judge."""
    clauses = [
        clause
        for clause in gathered.gate.get("clauses", [])
        if is_slice(clause) and is_number(clause.get("value"))
    ]
    judged = [clause for clause in clauses if clause.get("outcome") != "info"]
    judged.sort(key=lambda clause: (clause.get("outcome") == "pass", clause["value"]))
    marks = [_slice_mark(clause) for clause in judged]
    small = tuple(f"{_slice_label(c)} ({_slice_text(c)})" for c in clauses if c not in judged)
    title = f"{metric_name(gathered.metric)}: challenger minus live, by part of the shoppers"
    rules = [Rule("equal", 0.0)]
    return (
        interval_plot(title, marks[:SLICES_SHOWN], rules),
        interval_plot(f"{title} (the rest)", marks[SLICES_SHOWN:], rules),
        small,
    )


def _slice_mark(clause: Json) -> Mark:
    role = "harm" if clause.get("outcome") == "hold" else "challenger"
    mark = _mark(_slice_label(clause), clause, role)
    return Mark(mark.label, _slice_text(clause), role, mark.value, mark.lower, mark.upper)


def _slice_label(clause: Json) -> str:
    return row_of(clause).name.lower()


def _slice_text(clause: Json) -> str:
    row = row_of(clause)
    return f"{row.seen}, n\u00a0=\u00a0{row.users}" if row.users else row.seen


def _learning(training: Json) -> tuple[LinePlot, ...]:
    curve: list[Any] = training.get("learning_curve") or []
    points = [point for point in curve if isinstance(point, dict)]
    plots = (
        line_plot("training loss", "CPU-seconds", _series(points, "loss"), False),
        line_plot(
            "validation NDCG@10", "CPU-seconds", _series(points, "validation_ndcg_at_10"), True
        ),
    )
    return tuple(plot for plot in plots if plot)


def _series(points: list[Json], key: str) -> list[tuple[Any, Any]]:
    return [(point.get("cpu_seconds"), point.get(key)) for point in points]


def _rungs(training: Json) -> tuple[RungRow, ...]:
    """The challenger and the rungs below it, best first."""
    fitted = {**training.get("ladder", {}), str(training.get("model", "")): training}
    scores = {name: _validation(rung) for name, rung in fitted.items()}
    ranked = sorted(scores, key=lambda name: (-(scores[name] or 0.0), name))
    return tuple(
        RungRow(name, number(scores[name]), seconds(fitted[name].get("cpu_seconds")))
        for name in ranked
        if scores[name] is not None
    )


def _validation(rung: Json) -> float | None:
    value = (rung.get("validation") or {}).get("ndcg_at_10")
    return float(value) if value is not None and is_number(value) else None


def _effort(training: Json) -> str:
    """What training took, in one line."""
    parts = [
        ("{} CPU-seconds", training.get("cpu_seconds")),
        ("{} MB of memory at most", training.get("peak_memory_mb")),
        ("{} examples a second", training.get("examples_per_second")),
        ("seed {}", training.get("seed")),
    ]
    return ", ".join(text.format(number(value, 3)) for text, value in parts if is_number(value))
