"""What the run was made of: rows, costs, stages and where everything comes from."""

from dataclasses import dataclass
from typing import Any

from ci.reporting.charts import Slice, stacked_bar
from ci.reporting.figures import (
    NO_BREAK,
    decimals,
    interval,
    is_number,
    number,
    seconds,
    share,
    size,
)
from ci.reporting.gathered import Gathered, Json

STATES = {
    "done": "done",
    "verdict": "live model kept",
    "failed": "failed",
    "outdated": "did not run",
    "not run": "did not run",
}


@dataclass(frozen=True)
class DataAccount:
    """Where every row went.

    Attributes:
        bar: The parts of the whole, side by side.
        identity: `rows = kept + quarantined + duplicates + filtered`, with the figures.
        filtered: (reason, rows) of what was left out on purpose.
        reasons: (reason, rows) of what broke the contract.
        facts: (name, value) of the dataset.
    """

    bar: tuple[Slice, ...]
    identity: str
    filtered: tuple[tuple[str, str], ...]
    reasons: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CostRow:
    """One cost of challenger and live."""

    name: str
    challenger: str
    live: str


@dataclass(frozen=True)
class EngineRow:
    """How one engine's answers agree with the trained model's."""

    engine: str
    rows: str
    difference: str
    outcome: str
    tone: str


@dataclass(frozen=True)
class StageRow:
    """One stage: how it ended, its figures, its seconds, and their share of the longest."""

    name: str
    state: str
    tone: str
    line: str
    seconds: str
    width: float


def data_of(gathered: Gathered) -> DataAccount | None:
    """The data section, or None when `prepare` has left nothing."""
    account = gathered.data.get("accounting") or gathered.meta.get("accounting") or {}
    if not account:
        return None
    rows, kept, bad, duplicates = (
        int(account.get(key, 0)) for key in ("rows", "kept", "quarantined", "duplicates")
    )
    filtered = sum(account.get("filtered", {}).values())
    parts = [
        ("kept", kept, "challenger"),
        ("quarantined", bad, "harm"),
        ("duplicates", duplicates, "live"),
        ("filtered", filtered, "rung"),
    ]
    shown = [(name, f"{number(n)} ({share(n, rows)})", float(n), role) for name, n, role in parts]
    said = " + ".join(f"{number(amount)} {name}" for name, amount, _ in parts)
    return DataAccount(
        bar=stacked_bar(shown),
        identity=f"{number(rows)} rows in = {said}",
        filtered=_by_reason(account.get("filtered", {})),
        reasons=_by_reason(account.get("reasons", {})),
        facts=_dataset_facts(gathered),
    )


def costs_of(gathered: Gathered) -> tuple[CostRow, ...]:
    """What it takes to serve the challenger and the live bundle."""
    cost = gathered.evaluation.get("cost") or {}
    challenger, live = cost.get("challenger") or {}, cost.get("live") or {}
    rows = [
        ("CPU per request", "cpu_ms_per_request", lambda value: f"{number(value, 3)}{NO_BREAK}ms"),
        ("Bundle", "bundle_bytes", size),
        ("Memory", "memory_mb", lambda value: f"{number(value, 3)}{NO_BREAK}MB"),
        ("Cold start", "cold_start_seconds", seconds),
    ]
    table = [
        CostRow(name, *(_or_dash(side.get(key), write) for side in (challenger, live)))
        for name, key, write in rows
        if is_number(challenger.get(key))
    ]
    ratio = cost.get("cpu_ratio") or {}
    if is_number(ratio.get("median")):
        shown = interval(ratio["median"], ratio.get("lower"), ratio.get("upper"))
        table.append(CostRow("CPU per request, times live", shown, "1"))
    return tuple(table)


def engines_of(gathered: Gathered) -> tuple[EngineRow, ...]:
    """Row by row, does each engine answer as the trained model does?"""
    engines = (gathered.evaluation.get("parity") or {}).get("engines") or {}
    return tuple(
        EngineRow(
            engine=name.replace("_", " "),
            rows=f"{number(seen.get('rows_equal'))} of {number(seen.get('rows'))}",
            difference=number(seen.get("max_difference"), 2),
            outcome="equal" if seen.get("passed") else "differs",
            tone="good" if seen.get("passed") else "bad",
        )
        for name, seen in sorted(engines.items())
    )


def stages_of(gathered: Gathered) -> tuple[StageRow, ...]:
    """Every stage in order; what did not run says why."""
    rows = [row for row in gathered.progress.values() if row.stage != "check" or row.seconds]
    longest = max((row.seconds or 0.0 for row in rows), default=0.0)
    tones = {"done": "good", "verdict": "unsure", "failed": "bad"}
    return tuple(
        StageRow(
            name=row.stage,
            state=STATES[row.state],
            tone=tones.get(row.state, "none"),
            # A verdict's reason stands at the top of the page.
            line=row.line.partition(":")[0] if row.state == "verdict" else row.line,
            seconds="" if row.seconds is None else seconds(row.seconds),
            width=round(100 * (row.seconds or 0.0) / longest, 1) if longest else 0.0,
        )
        for row in rows
    )


def lineage_of(gathered: Gathered) -> tuple[tuple[str, str], ...]:
    """Name and value of everything that identifies this run."""
    card, bundle, release = gathered.card, gathered.bundle, gathered.release
    deployment = gathered.deployment
    entries: list[tuple[str, Any]] = [
        ("Commit", card.get("commit") or release.get("commit")),
        ("Data", gathered.meta.get("digest") or card.get("data_digest")),
        ("Source", gathered.settings["data"]["source"]),
        ("Trained until", card.get("trained_until") or gathered.training.get("trained_until")),
        ("Model", card.get("model") or gathered.training.get("model")),
        ("Seed", gathered.training.get("seed")),
        ("Model version", bundle.get("model_version")),
        ("Bundle", bundle.get("digest")),
        ("Release", release.get("release")),
        ("Serves", deployment.get("environment")),
        ("Answers at", deployment.get("url")),
        ("Lock", gathered.lock),
        ("TensorFlow", card.get("tensorflow")),
    ]
    return tuple((name, _flat(value)) for name, value in entries if value not in (None, "", {}))


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(inner)}" for key, inner in value.items() if inner != "")
    return str(value)


def _by_reason(counts: Json) -> tuple[tuple[str, str], ...]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple((name.replace("_", " "), number(n)) for name, n in ranked if n)


def _dataset_facts(gathered: Gathered) -> tuple[tuple[str, str], ...]:
    meta = gathered.meta
    events = meta.get("events") or {}
    facts = [
        ("Users", number(meta.get("users")) if meta else ""),
        ("Items", number(meta.get("items")) if meta else ""),
        ("Events", ", ".join(f"{number(n)} {split}" for split, n in events.items())),
        ("Clock (as of)", str(meta.get("as_of", ""))),
        ("Test window opens", str(meta.get("test_start", ""))),
        ("Normalised features", ", ".join(meta.get("features") or [])),
        ("Planted bots", _bots(meta.get("bots") or {})),
    ]
    return tuple((name, value) for name, value in facts if value)


def _bots(bots: Json) -> str:
    """How well the bots that the simulator planted were found; "" for a real shop."""
    if not bots.get("planted"):
        return ""
    found = (
        f"precision {decimals(bots.get('precision'), 2)}, recall {decimals(bots.get('recall'), 2)}"
    )
    return f"{number(bots['planted'])}, found with {found}"


def _or_dash(value: Any, write: Any) -> str:
    return str(write(value)) if is_number(value) else "–"
