"""Writes `gate.md`: the verdict as a colleague would give it, every figure with its rule."""

from collections.abc import Sequence
from typing import Any

from ci.judging.clause import Clause, describe, figure, number
from ci.judging.judge import Verdict
from ci.settings import GateSettings

WHAT_TO_DO = {
    "PROMOTE": "Nothing stands in the way: `bin/ci run` goes on to render, image and deploy.",
    "HOLD": "{stays} Change what the first blocking rule names and run `bin/ci run` "
    "again; the build is not broken, the challenger is not good enough.",
    "INCONCLUSIVE": "{stays} Nobody is to blame: the data cannot tell the models apart well "
    "enough. Follow the advice below, then run `bin/ci run` again.",
}

OF_A_PULL_REQUEST = {
    "PROMOTE": "Nothing stands in the way of merging: the main branch will train it in full and "
    "judge it against the model that serves.",
    "HOLD": "Change what the first blocking rule names and push again; the build is not broken, "
    "the change makes the model worse.",
    "INCONCLUSIVE": "A pull request need not prove more: merged, it is judged again on all "
    "shoppers before anything serves.",
}


def write_verdict(verdict: Verdict, evaluation: dict[str, Any], settings: GateSettings) -> str:
    """The Markdown of `gate.md`.

    Args:
        verdict: What was decided.
        evaluation: `evaluation.json` that it was decided from.
        settings: `[gate]`.
    """
    blocking = [clause for clause in verdict.clauses if clause.outcome in ("hold", "inconclusive")]
    parts = [
        f"# {verdict.decision}: {_headline(verdict, evaluation)}",
        _comparison(verdict, evaluation, settings),
        *_reference(evaluation),
        _what_to_do(verdict, evaluation),
    ]
    if blocking:
        parts.append("## What blocks")
        parts.append("\n".join(f"- **{c.outcome.upper()}** {describe(c)}" for c in blocking))
    parts.append("## Every rule")
    parts.append(_table(verdict.clauses))
    return "\n\n".join(parts) + "\n"


def _what_to_do(verdict: Verdict, evaluation: dict[str, Any]) -> str:
    if "reference" in evaluation:
        return OF_A_PULL_REQUEST[verdict.decision]
    stays = "Nothing is released." if verdict.first_release else "The live model stays."
    return WHAT_TO_DO[verdict.decision].format(stays=stays)


def _headline(verdict: Verdict, evaluation: dict[str, Any]) -> str:
    models = evaluation["models"]
    if "reference" in evaluation:
        verb = "holds its own against" if verdict.decision == "PROMOTE" else "does not yet match"
        return f"the model of this change {verb} that of the main branch"
    challenger = f"model version {models['challenger'].get('model_version', '?')}"
    if verdict.first_release:
        started = "may be the first release" if verdict.decision == "PROMOTE" else "may not start"
        return f"{challenger} {started}"
    live = f"version {models['live'].get('model_version', '?')}"
    verb = "may replace" if verdict.decision == "PROMOTE" else "does not replace"
    return f"{challenger} {verb} {live}"


def _comparison(verdict: Verdict, evaluation: dict[str, Any], settings: GateSettings) -> str:
    """One paragraph: the window, the two scores, the difference with its interval, the oracle."""
    window = evaluation["window"]
    text = [f"Judged on {window['users']:,} users active from {window['start']} to {window['end']}"]
    if new := window.get("new_users"):
        text[0] += f", {new:,} of them new"
    text[0] += "."
    scores = {
        name: figure(evaluation, "models", name, "metrics", settings.metric, "value")
        for name in ("challenger", "live")
    }
    if scores["challenger"] is not None:
        text.append(f"{settings.metric} of the challenger: {number(scores['challenger'])}.")
    main = next((c for c in verdict.clauses if c.name == "non_inferiority"), None)
    if main and main.value is not None and scores["live"] is not None:
        text.append(f"Live: {number(scores['live'])}. {_difference(main, settings)}")
        text.append(_superiority(verdict))
    best = figure(evaluation, "oracle", settings.metric)
    if best is not None:
        text.append(f"Best reachable in this simulated shop: {number(best)}.")
    return " ".join(text)


def _reference(evaluation: dict[str, Any]) -> list[str]:
    """Of a pull request: what stands in for the live model, and how the real one does."""
    facts = evaluation.get("reference")
    if facts is None:
        return []
    commit = f" (commit {facts['commit'][:12]})" if facts["commit"] else ""
    text = (
        f'"Live" is here what the code of the main branch{commit} makes of the same rows with the '
        f"same budget: {facts['shoppers']:,} shoppers under pseudonyms, seen at {facts['as_of']}."
    )
    live = facts["live"]
    if "why_not" in live:
        return [f"{text} The model that serves is not shown beside: {live['why_not']}"]
    figures = [number(live["figure"][end]) for end in ("value", "lower", "upper")]
    return [
        f"{text} Shown, not judged: release {live['model_version']}, which serves "
        f"{live['environment']}, has {live['metric']} {figures[0]} ({figures[1]} to {figures[2]}) "
        "on them."
    ]


def _difference(main: Clause, settings: GateSettings) -> str:
    return (
        f"Difference {number(main.value or 0.0)}, {settings.confidence:.0%} interval "
        f"{number(main.lower or 0.0)} to {number(main.upper or 0.0)}."
    )


def _superiority(verdict: Verdict) -> str:
    return next((c.advice for c in verdict.clauses if c.name == "superiority"), "")


def _table(clauses: Sequence[Clause]) -> str:
    rows = [
        "| rule | outcome | value | interval | n | in words |",
        "|---|---|---:|---:|---:|---|",
    ]
    for clause in clauses:
        value = "" if clause.value is None else number(clause.value)
        interval = ""
        if clause.lower is not None and clause.upper is not None:
            interval = f"{number(clause.lower)} to {number(clause.upper)}"
        users = "" if clause.n is None else f"{clause.n:,}"
        cells = (clause.name, clause.outcome, value, interval, users, _words(clause))
        escaped = (cell.replace("|", "\\|") for cell in cells)
        rows.append(f"| {' | '.join(escaped)} |")
    return "\n".join(rows)


def _words(clause: Clause) -> str:
    return f"{clause.rule[0].upper()}{clause.rule[1:]}. {clause.advice}"
