"""The first screen of the report: what was decided, why, and what to do now."""

from dataclasses import dataclass
from typing import Any

from ci.judging.verdict import OF_A_PULL_REQUEST
from ci.reporting.figures import MINUS, interval, is_number, number, seconds, size
from ci.reporting.gathered import Gathered, Json
from ci.reporting.progress import Progress

TONES = {"PROMOTE": "good", "HOLD": "bad", "INCONCLUSIVE": "unsure"}
OUTCOMES = {
    "pass": "passed",
    "hold": "blocks",
    "inconclusive": "undecided",
    "info": "shown only",
}
NEXT_STEP = {
    "PROMOTE": "Nothing stands in the way: `bin/ci deploy` rolls this release out.",
    "HOLD": "The live model stays. Change what the blocking rule names, then run `bin/ci run`.",
    "INCONCLUSIVE": "The live model stays. Follow the advice above, then run `bin/ci run`.",
}
RULE_NAMES = {
    "non_inferiority": "Not worse than live",
    "superiority": "Better than live",
    "power": "Power at this number of users",
    "first_release": "First release",
    "coverage": "Catalogue coverage",
    "popularity_bias": "Popularity bias",
    "calibration": "Category calibration",
    "cost:cpu": "CPU per request",
    "cost:bundle_bytes": "Bundle size",
    "cost:memory_mb": "Memory",
    "cost:cold_start_seconds": "Cold start",
}
UNITS = {
    "cost:bundle_bytes": size,
    "cost:memory_mb": lambda value: size(1e6 * value),
    "cost:cold_start_seconds": seconds,
}


@dataclass(frozen=True)
class Row:
    """One rule of the gate as the report shows it."""

    name: str
    rule: str
    seen: str
    users: str
    outcome: str
    tone: str
    advice: str


@dataclass(frozen=True)
class Verdict:
    """The head of the page.

    Attributes:
        word: PROMOTE, HOLD, INCONCLUSIVE, or what stands in for a verdict.
        tone: good, bad, unsure or none.
        sentence: Why.
        facts: Short facts under the sentence.
        advice: What to do, most urgent first.
        rows: Every rule but the slices.
    """

    word: str
    tone: str
    sentence: str
    facts: tuple[str, ...]
    advice: tuple[str, ...]
    rows: tuple[Row, ...]


def verdict_of(gathered: Gathered) -> Verdict:
    """The verdict, or the failure that stands in its place."""
    failed = next((row for row in gathered.progress.values() if row.state == "failed"), None)
    gate = gathered.gate
    if failed and not (gate and failed.stage in {"check", "render", "image", "deploy"}):
        if failed.line.startswith("INCONCLUSIVE: "):  # a pull request without a reference
            return Verdict("INCONCLUSIVE", "unsure", failed.line[14:], (), (), ())
        return Verdict(f"Stopped at {failed.stage}", "bad", failed.line, (), (), ())
    if not gate:
        last = [row.stage for row in gathered.progress.values() if row.holds]
        done = f"The pipeline came as far as {last[-1]}." if last else "No stage has run yet."
        return Verdict("No verdict yet", "none", done, (), ("Run `bin/ci run`.",), ())
    clauses = gate.get("clauses", [])
    word = str(gate.get("decision", "No verdict yet"))
    return Verdict(
        word=word,
        tone=TONES.get(word, "none"),
        sentence=_sentence(gate),
        facts=_facts(gathered),
        advice=_advice(word, clauses, failed, gathered),
        rows=tuple(row_of(clause) for clause in _ranked(clauses) if not is_slice(clause)),
    )


def is_slice(clause: Json) -> bool:
    """Whether a clause is about a part of the users only."""
    return str(clause.get("name", "")).startswith("slice:")


def row_of(clause: Json) -> Row:
    """A clause in words and figures."""
    outcome = str(clause.get("outcome", "info"))
    name = str(clause.get("name", ""))
    users = clause.get("n")
    return Row(
        name=rule_name(name),
        rule=_capital(str(clause.get("rule", ""))),
        seen=_seen(clause),
        users=number(users) if is_number(users) else "",
        outcome=OUTCOMES.get(outcome, outcome),
        tone={"pass": "good", "hold": "bad", "inconclusive": "unsure"}.get(outcome, "none"),
        advice=str(clause.get("advice", "")).replace(" -", f" {MINUS}"),
    )


def rule_name(name: str) -> str:
    """A clause's name as a person says it: `must_beat:repeat` → `Beats repeat`."""
    if name in RULE_NAMES:
        return RULE_NAMES[name]
    kind, _, rest = name.partition(":")
    words = {
        "must_beat": "Stands up to",
        "parity": "Parity of",
        "cost": "Cost,",
        "metric": "Figure",
        "slice": "",
    }
    label = f"{words[kind]} {rest}" if kind in words else name
    return _capital(label.strip().replace("_", " ").replace("=", ": "))


def _seen(clause: Json) -> str:
    """The clause's figure with its interval, costs with their unit."""
    if not is_number(clause.get("value")):
        return ""
    write = UNITS.get(str(clause.get("name")))
    if write:
        return write(clause["value"])
    return interval(*(clause.get(key) for key in ("value", "lower", "upper")))


def _sentence(gate: Json) -> str:
    """The first blocking rule with its figures, else the recorded reason."""
    blocking = _blocking(gate.get("clauses", []))
    if not blocking:
        return str(gate.get("reason", ""))
    row = row_of(blocking[0])
    more = len(blocking) - 1
    others = f" {more} more rule{'s' * (more > 1)} did not pass." if more else ""
    figures = f" with {row.seen}" if row.seen else ""
    verb = "blocks" if blocking[0].get("outcome") == "hold" else "is undecided"
    return f"The rule “{row.name}” {verb}{figures}.{others}"


def _facts(gathered: Gathered) -> tuple[str, ...]:
    gate, window = gathered.gate, gathered.evaluation.get("window", {})
    challenger = f"challenger: version {_version(gate.get('challenger'))}"
    live, reference = gate.get("baseline"), gathered.evaluation.get("reference")
    against = f"live: version {_version(live)}" if live else "no live model: a first release"
    if reference:
        against = f"in the place of live: the main branch on the same rows, {_served(reference)}"
    facts = [challenger, against]
    if window:
        facts.append(f"{number(window.get('users'))} users")
        facts.append(f"{_day(window.get('start'))} to {_day(window.get('end'))}")
    if live and gate.get("superior"):
        facts.append("better beyond chance")
    if gathered.deployment:
        place = gathered.deployment.get("environment", "?")
        facts.append(f"serves {place} at {gathered.deployment.get('url', '?')}")
    return tuple(facts)


def _served(reference: Json) -> str:
    """What serves, of which the figures are shown and not judged."""
    live = reference.get("live", {})
    if "figure" not in live:
        return f"and of what serves no figures: {live.get('why_not', 'unknown')}"
    value = live["figure"]["value"]
    return f"where release {live['model_version']}, which serves, has {number(value)} (not judged)"


def _version(model: Any) -> str:
    return str((model or {}).get("model_version", "?"))


def _day(moment: Any) -> str:
    return str(moment or "?")[:10]


def _advice(
    word: str, clauses: list[Json], failed: Progress | None, gathered: Gathered
) -> tuple[str, ...]:
    if failed:
        return (f"{failed.stage} failed: {failed.line}",)
    if word == "PROMOTE" and gathered.deployment:
        return ()
    next_step = OF_A_PULL_REQUEST if "reference" in gathered.evaluation else NEXT_STEP
    blocking = _blocking(clauses)
    rows = [row_of(clause) for clause in blocking if not is_slice(clause)]
    steps = [f"{row.name}: {row.advice}" for row in rows if row.advice]
    parts = [row_of(clause).name.lower() for clause in blocking if is_slice(clause)]
    if parts:
        steps.append(f"Served worse: {', '.join(parts)}. Look at what changed for these shoppers.")
    return (*steps, next_step[word]) if word in next_step else tuple(steps)


def _blocking(clauses: list[Json]) -> list[Json]:
    return [c for c in _ranked(clauses) if c.get("outcome") in {"hold", "inconclusive"}]


def _ranked(clauses: list[Json]) -> list[Json]:
    """Blocking rules first, information last; equal ones in the gate's order."""
    order = {"hold": 0, "inconclusive": 1, "pass": 2, "info": 3}
    return sorted(clauses, key=lambda clause: order.get(str(clause.get("outcome")), 3))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
