"""Artifacts of a finished pipeline as the stages write them, small and with known figures."""

from typing import Any

import pyarrow as pa
from pyarrow import parquet

from ci import reuse
from ci.config import Config
from ci.pipeline import STAGES
from ci.workspace import Workspace

DIGEST = "sha256:" + "0123456789abcdef" * 4
LIVE_DIGEST = "sha256:" + "fedcba9876543210" * 4  # pragma: allowlist secret
SECONDS = {"prepare": 31.4, "train": 74.2, "export": 9.8, "evaluate": 42.0, "gate": 1.2}
TITLES = {
    "tea-01": "Green tea, 龙井 50 g",
    "tea-02": "Oolong & mint <fresh>",
    "cup-07": "Cup | blue",
}


def figure(value: float, half: float) -> dict[str, float]:
    return {"value": value, "lower": value - half, "upper": value + half}


def metrics(ndcg: float) -> dict[str, dict[str, float]]:
    return {
        "ndcg_at_10": figure(ndcg, 0.0071),
        "hit_rate_at_10": figure(ndcg + 0.21, 0.0093),
        "revenue_at_10": figure(40 * ndcg, 0.42),
        "debiased_ndcg_at_10": figure(ndcg - 0.06, 0.0065),
    }


def model(version: int | None, digest: str, ndcg: float) -> dict[str, Any]:
    content = {"trained_until": "2024-03-01T00:00:00Z", "metrics": metrics(ndcg)}
    return content | ({"model_version": version, "digest": digest} if version else {})


def evaluation(challenger: float, live: float | None) -> dict[str, Any]:
    ladder = {"popularity": 0.1121, "repeat": 0.2418, "linear": 0.2987, "transformer": 0.2874}
    cost = {
        "cpu_ms_per_request": 1.84,
        "bundle_bytes": 31_457_280,
        "memory_mb": 512.4,
        "cold_start_seconds": 3.2,
    }
    cheaper = {"cpu_ms_per_request": 1.79, "bundle_bytes": 31_000_000, "memory_mb": 498.0}
    cheaper["cold_start_seconds"] = 3.1
    return {
        "window": {
            "start": "2024-03-15T00:00:00Z",
            "end": "2024-03-29T00:00:00Z",
            "users": 5120,
            "new_users": 431,
        },
        "models": {
            "challenger": model(12, DIGEST, challenger),
            "live": None if live is None else model(11, LIVE_DIGEST, live),
            **{name: model(None, "", value) for name, value in ladder.items()},
        },
        "parity": {
            "rows": 32,
            "engines": {
                "savedmodel": parity(4.8e-7, 32),
                "litert": parity(3.1e-6, 32),
                "server": parity(4.8e-7, 32),
            },
        },
        "cost": {
            "challenger": cost,
            "live": None if live is None else cheaper,
            "cpu_ratio": None
            if live is None
            else {"median": 1.028, "lower": 0.991, "upper": 1.061},
        },
        "guards": {},
        "oracle": {"ndcg_at_10": 0.3412},
    }


def parity(difference: float, rows: int) -> dict[str, Any]:
    return {"max_difference": difference, "rows_equal": rows, "rows": rows, "passed": True}


Seen = tuple[float | None, float | None, float | None, int | None]


def clause(
    name: str, rule: str, outcome: str, seen: Seen = (None, None, None, None), advice: str = ""
) -> dict[str, Any]:
    """A clause of `gate.json`; `seen` is value, lower, upper and n."""
    figures = dict(zip(("value", "lower", "upper", "n"), seen, strict=True))
    return {"name": name, "rule": rule, **figures, "outcome": outcome, "advice": advice}


DECISIONS = {
    "PROMOTE": (0.3121, (0.0042, 0.0009, 0.0076), "pass", "The challenger is not worse."),
    "HOLD": (
        0.2898,
        (-0.0181, -0.0225, -0.0137),
        "hold",
        "The challenger is worse than the live model by more than the margin. Look at the slices.",
    ),
    "INCONCLUSIVE": (
        0.3002,
        (-0.0077, -0.0148, -0.0004),
        "inconclusive",
        "About 9,800 users would decide; set `data.test_days = 28`, or a margin of 5 %.",
    ),
}


def gate(decision: str, *, first_release: bool = False) -> dict[str, Any]:
    _, difference, outcome, advice = DECISIONS[decision]
    seen = (*difference, 5120)
    rule = "lower end of the interval of (challenger − live) above −3.0 % of live (−0.0092)"
    no_harm, harmed = "no harm beyond −0.03", "hold" if decision == "HOLD" else "pass"
    size = (31_457_280.0, None, None, None)
    equal = (4.8e-7, None, None, 32)
    clauses = [
        clause("non_inferiority", rule, outcome, seen, advice),
        clause("superiority", "the interval lies above 0", "info", seen),
        clause("must_beat:repeat", "better than `repeat`", "pass", (0.05, 0.04, 0.06, 5120)),
        clause("cost:bundle_bytes", "at most 500,000,000 bytes on disk", "pass", size),
        clause("parity:savedmodel", "every golden row answers alike", "pass", equal, "32 of 32."),
        clause("slice:category=tea", no_harm, "pass", (0.006, -0.002, 0.014, 1480)),
        clause("slice:activity=high", no_harm, "pass", (0.001, -0.004, 0.006, 2210)),
        clause("slice:new_user=yes", no_harm, harmed, (-0.051, -0.071, -0.031, 431), "They lose."),
        clause("slice:category=cups", "judged from 200 on", "info", (-0.02, -0.08, 0.04, 91)),
    ]
    if first_release:
        rule = "a first release is automatic on `process`"
        clauses = [clause("first_release", rule, "pass", advice="Nothing was released here.")]
    return {
        "decision": decision,
        "reason": advice,
        "first_release": first_release,
        "superior": decision == "PROMOTE",
        "challenger": {"model_version": 12, "digest": DIGEST},
        "baseline": None if first_release else {"model_version": 11, "digest": LIVE_DIGEST},
        "clauses": clauses,
    }


META = {
    "shop": "demo",
    "task": "next_item",
    "digest": DIGEST,
    "as_of": "2024-03-29T00:00:00Z",
    "validation_start": "2024-03-01T00:00:00Z",
    "test_start": "2024-03-15T00:00:00Z",
    "test_end": "2024-03-29T00:00:00Z",
    "features": ["price"],
    "users": 9873,
    "items": 1988,
    "events": {"train": 411_201, "validation": 62_118, "test": 60_442},
    "target": "purchase",
    "oracle": {"ndcg_at_10": 0.3412},
    "bots": {"planted": 20, "cut": 21, "precision": 20 / 21, "recall": 1.0},
}
ACCOUNTING = {
    "rows": 600_000,
    "kept": 533_761,
    "quarantined": 889,
    "reasons": {"unknown_event_type": 812, "negative_price": 77},
    "duplicates": 1_204,
    "filtered": {"bots": 41_310, "rare_items": 12_836, "not_history": 10_000},
}
TRAINING = {
    "model": "blend",
    "trained_until": "2024-03-15T00:00:00Z",
    "seed": 7,
    "validation": {"ndcg_at_10": 0.309},
    "ladder": {"repeat": {"validation": {"ndcg_at_10": 0.2402}, "cpu_seconds": 0.05}},
    "cpu_seconds": 66.2,
    "peak_memory_mb": 1410,
    "examples_per_second": 5230.0,
    "learning_curve": [
        {
            "cpu_seconds": 5.0 * step,
            "loss": 7.6 - 0.31 * step**0.8,
            "validation_ndcg_at_10": 0.19 + 0.11 * (1 - 0.8**step),
        }
        for step in range(1, 13)
    ],
}
CARD = {
    "model": "blend",
    "commit": "4f1c2e9",
    "data_digest": DIGEST,
    "trained_until": "2024-03-15T00:00:00Z",
    "tensorflow": "2.21.0",
    "golden": {
        "requests": [
            {"history": ["", ""], "history_event_type": ["", ""], "frequent_items": ["", ""]},
            {
                "history": ["", "tea-02", "cup-07", "tea-01"],
                "history_event_type": ["", "view", "cart", "purchase"],
                "frequent_items": ["", "", "", "tea-01"],
            },
        ],
        "answers": [
            {"item_ids": ["tea-01"], "scores": [-1.0]},
            {"item_ids": ["tea-01", "tea-02", "pot-03"], "scores": [-1.0, -1.5, -2.5]},
        ],
    },
}


def write_everything(workspace: Workspace, config: Config, decision: str = "PROMOTE") -> None:
    """A finished pipeline with a verdict, each artifact with its stage's record."""
    workspace.task.mkdir(parents=True, exist_ok=True)
    ndcg = DECISIONS[decision][0]
    workspace.write_json("dataset/meta.json", META | {"accounting": ACCOUNTING})
    titles = {"item_id": [*TITLES, "pot-03"], "title": [*TITLES.values(), None]}
    parquet.write_table(pa.table(titles), workspace.path("dataset/items.parquet"))
    workspace.write_json("data.json", META | {"accounting": ACCOUNTING})
    workspace.write_json("training.json", TRAINING)
    bundle = {"model_version": 12, "digest": DIGEST, "bytes": 31_457_280, "path": "bundle/12"}
    workspace.write_json("bundle/12/card.json", CARD)
    workspace.write_json("bundle.json", bundle)
    workspace.write_json("evaluation.json", evaluation(ndcg, 0.3079))
    workspace.write_json("gate.json", gate(decision))
    record(workspace, config, decision)


def record(workspace: Workspace, config: Config, decision: str) -> None:
    """The records that the runner leaves for stages that came to a result."""
    errors = {"HOLD": "HeldError", "INCONCLUSIVE": "InconclusiveError"}
    for stage in STAGES:
        if stage.name not in SECONDS:
            continue
        key = {
            "reads": reuse.reads_of(stage, workspace),
            "settings": {name: reuse.setting_of(config, name) for name in stage.settings},
        }
        error = errors.get(decision, "") if stage.name == "gate" else ""
        line = f"{decision}: the reason" if stage.name == "gate" else f"{stage.name} is done"
        result = reuse.Result(line, SECONDS[stage.name], error, error and "the message")
        reuse.remember(stage, key, workspace, result)
