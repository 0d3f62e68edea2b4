"""One rule of the gate with what was seen, and the decision that a list of them makes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["pass", "hold", "inconclusive", "info"]
Decision = Literal["PROMOTE", "HOLD", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Clause:
    """A rule, the figures it was applied to, and what follows.

    Attributes:
        name: Stable name, e.g. `non_inferiority` or `slice:category=tea`.
        rule: The rule in words, with its threshold.
        value: The figure judged; None where the rule has none.
        lower: Lower end of its interval.
        upper: Upper end of its interval.
        n: Users, requests or rows behind it.
        outcome: `info` is shown and never blocks.
        advice: What it means or what to do next, one or two sentences.
    """

    name: str
    rule: str
    value: float | None
    lower: float | None
    upper: float | None
    n: int | None
    outcome: Outcome
    advice: str


def decide(clauses: Sequence[Clause]) -> tuple[Decision, str]:
    """The decision and its reason: any hold holds, else any doubt is INCONCLUSIVE.

    A gate without a single passed rule promotes nothing.
    """
    held = [clause for clause in clauses if clause.outcome == "hold"]
    doubtful = [clause for clause in clauses if clause.outcome == "inconclusive"]
    if held:
        return "HOLD", _reason(held)
    if doubtful:
        return "INCONCLUSIVE", _reason(doubtful)
    passed = sum(clause.outcome == "pass" for clause in clauses)
    if not passed:
        return "HOLD", "No rule was applied, so nothing speaks for the challenger."
    return "PROMOTE", f"All {passed} rules hold."


def _reason(blocking: Sequence[Clause]) -> str:
    others = len(blocking) - 1
    more = f" ({others} more rule{'s' * (others > 1)} with the same outcome)" if others else ""
    return f"{describe(blocking[0])}{more}"


def describe(clause: Clause) -> str:
    """One sentence with the clause's name, figures, users and rule."""
    seen = clause.name
    if clause.value is not None:
        seen += f" = {number(clause.value)}"
    if clause.lower is not None and clause.upper is not None:
        seen += f" [{number(clause.lower)}, {number(clause.upper)}]"
    if clause.n is not None:
        seen += f", n = {clause.n:,}"
    return f"{seen}; rule: {clause.rule}. {clause.advice}".strip()


def number(value: float) -> str:
    """A figure with up to four significant digits, without an exponent where it can be read."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    decimals = 3 - math.floor(math.log10(abs(value)))
    return f"{value:.{min(decimals, 5)}f}"


def figure(content: Any, *keys: str) -> float | None:
    """The finite number at a path of a JSON object; None where it is missing, null or NaN."""
    for key in keys:
        if not isinstance(content, dict):
            return None
        content = content.get(key)
    if isinstance(content, bool) or not isinstance(content, (int, float)):
        return None
    return float(content) if math.isfinite(content) else None


def missing(name: str, what: str, made_by: str = "evaluate") -> Clause:
    """The clause that blocks because a figure is missing or not a number."""
    return Clause(
        name=name,
        rule="every figure that a rule reads is there and is a number",
        value=None,
        lower=None,
        upper=None,
        n=None,
        outcome="hold",
        advice=f"{what} is missing or not a number. Run `bin/ci {made_by}` again and look at it.",
    )
