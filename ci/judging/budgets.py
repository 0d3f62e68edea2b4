"""What the challenger costs to serve, and whether what is served is what was trained."""

from typing import Any

from ci.judging.clause import Clause, Outcome, figure, missing, number
from ci.settings import GateSettings

MEGABYTE = 1_000_000


def judge_costs(cost: dict[str, Any], has_live: bool, settings: GateSettings) -> list[Clause]:
    """Judge size, memory, cold start, and CPU per request against the live bundle.

    Args:
        cost: The `cost` object of `evaluation.json`.
        has_live: Whether there is a live bundle to compare with.
        settings: `[gate]`.
    """
    clauses = [
        _limit(
            cost,
            "bundle_bytes",
            float(settings.max_bundle_megabytes * MEGABYTE),
            "bytes on disk",
            "Lower `model.linear_megabytes` or `model.embedding_dim`.",
        ),
        _limit(
            cost,
            "memory_mb",
            float(settings.max_memory_megabytes),
            "MB of memory when serving",
            "Lower `model.linear_megabytes` or `model.embedding_dim`.",
        ),
        _limit(
            cost,
            "cold_start_seconds",
            float(settings.max_cold_start_seconds),
            "seconds from start to the first answer",
            "Look at the size of the graph and its warm-up requests.",
        ),
    ]
    if has_live:
        clauses.append(_judge_cpu(cost, settings))
    elif figure(cost, "challenger", "cpu_ms_per_request") is None:
        clauses.append(missing("cost:cpu", "cost.challenger.cpu_ms_per_request"))
    return clauses


def _limit(cost: dict[str, Any], key: str, limit: float, unit: str, remedy: str) -> Clause:
    name = f"cost:{key}"
    value = figure(cost, "challenger", key)
    if value is None:
        return missing(name, f"cost.challenger.{key}")
    live = figure(cost, "live", key)
    beside = "" if live is None else f" Live: {number(live)}."
    rule = f"at most {limit:,.10g} {unit}"
    if value > limit:
        advice = f"{remedy}{beside}"
        return Clause(name, rule, value, None, None, None, "hold", advice)
    return Clause(name, rule, value, None, None, None, "pass", f"Within the budget.{beside}")


def _judge_cpu(cost: dict[str, Any], settings: GateSettings) -> Clause:
    """CPU ms per request as the interleaved ratio challenger / live, with its interval."""
    ends = [figure(cost, "cpu_ratio", key) for key in ("median", "lower", "upper")]
    median, lower, upper = ends
    if median is None or lower is None or upper is None:
        return missing("cost:cpu", "cost.cpu_ratio (median, lower, upper)")
    limit = settings.max_cpu_ratio
    rule = f"CPU ms per request at most {limit:g} times the live bundle's, measured in turns"
    ms = figure(cost, "challenger", "cpu_ms_per_request")
    shown = "" if ms is None else f" {ms:.3g} ms a request."
    if lower > limit:
        advice = f"The challenger is slower to serve.{shown} Fewer blocks or a smaller linear part?"
        return Clause("cost:cpu", rule, median, lower, upper, None, "hold", advice)
    if median > limit:
        advice = f"The timing is too noisy.{shown} Run `bin/ci evaluate` on a quiet machine."
        return Clause("cost:cpu", rule, median, lower, upper, None, "inconclusive", advice)
    return Clause("cost:cpu", rule, median, lower, upper, None, "pass", f"Fast enough.{shown}")


def judge_parity(parity: dict[str, Any]) -> list[Clause]:
    """Each engine must answer row by row as the trained model does.

    Args:
        parity: The `parity` object of `evaluation.json`.
    """
    engines = parity.get("engines") if isinstance(parity, dict) else None
    if not isinstance(engines, dict) or not engines:
        return [missing("parity", "parity.engines")]
    return [_judge_engine(name, seen) for name, seen in sorted(engines.items())]


def _judge_engine(engine: str, seen: dict[str, Any]) -> Clause:
    name = f"parity:{engine}"
    rows, equal = figure(seen, "rows"), figure(seen, "rows_equal")
    difference, passed = figure(seen, "max_difference"), seen.get("passed")
    if not rows or equal is None or not isinstance(passed, bool) or (passed and difference is None):
        return missing(name, f"parity.engines.{engine} (rows, rows_equal, max_difference, passed)")
    rule = "every row answers as the trained model does, within the engine's tolerance"
    shown = f"{int(equal):,} of {int(rows):,} rows equal."
    first = seen.get("first_difference") or "no reason given"
    advice = shown if passed else f"{shown} What would be served is not what was trained: {first}."
    outcome: Outcome = "pass" if passed else "hold"
    return Clause(name, rule, difference, None, None, int(rows), outcome, advice)
