"""Makes a workspace with an evaluation as `evaluate` leaves it, to be judged by the real gate."""

import json
from pathlib import Path

import numpy as np

from ci.evaluating.per_user import Scores, write_scores

WINDOW = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-15T00:00:00Z"}
METRICS = ("ndcg_at_10", "hit_rate_at_10", "revenue_at_10", "debiased_ndcg_at_10")
GUARDS = ("popularity_at_10", "miscalibration_at_10")


def live_scores(users, seed=0):
    """NDCG-like values: two thirds zeros, the rest spread over (0, 1]."""
    generator = np.random.default_rng(seed)
    return np.where(generator.random(users) < 0.66, 0.0, generator.random(users))


def make_scores(live, difference, with_live=True, rung=None):
    """A table in which the challenger differs from the live model by `difference`."""
    users = len(live)

    def table(values):
        own = dict.fromkeys(METRICS, values)
        return own | {name: np.full(users, 0.5) for name in GUARDS}

    metrics = {"challenger": table(live + difference)}
    if with_live:
        metrics["live"] = table(live)
    if rung is not None:
        metrics["linear"] = table(live + rung)
    groups = np.array(["coffee", "cups", "tea"])[np.arange(users) % 3]
    names = np.array([f"{index:032x}" for index in range(users)])
    return Scores(names, metrics, {"category": groups})


def make_evaluation(scores):
    """`evaluation.json` for a table of scores, all guards at rest."""
    users = len(scores.users)
    models = {}
    for number, (name, metrics) in enumerate(scores.metrics.items(), start=1):
        values = {key: float(value.mean()) for key, value in metrics.items()} | {
            "coverage_at_10": 0.4
        }
        models[name] = {
            "digest": f"sha256:{name}",
            "model_version": number,
            "trained_until": "2026-03-01T00:00:00Z",
            "metrics": {k: {"value": v, "lower": v, "upper": v} for k, v in values.items()},
        }
    cost = {
        "cpu_ms_per_request": 1.5,
        "bundle_bytes": 9_000_000,
        "memory_mb": 600.0,
        "cold_start_seconds": 3.5,
    }
    live = "live" in models
    engine = {"max_difference": 1e-6, "rows_equal": 32, "rows": 32, "passed": True}
    return {
        "window": {**WINDOW, "users": users, "new_users": 3},
        "models": {"live": None, **models},
        "parity": {"rows": 32, "engines": {"savedmodel": engine, "litert": engine}},
        "cost": {
            "challenger": cost,
            "live": cost if live else None,
            "cpu_ratio": {"median": 1.01, "lower": 0.97, "upper": 1.05} if live else None,
        },
        "guards": {},
        "oracle": {"ndcg_at_10": 0.31},
    }


def write_workspace(folder: Path, scores, evaluation, settings=""):
    """Write configuration and artifacts; returns the configuration's path."""
    task = folder / "build" / "tea" / "next_item"
    task.mkdir(parents=True, exist_ok=True)
    (task / "evaluation.json").write_text(json.dumps(evaluation))
    bundle = {"model_version": 1, "digest": "sha256:challenger", "bytes": 9_000_000, "path": "x"}
    (task / "bundle.json").write_text(json.dumps(bundle))
    write_scores(task / "per_user.parquet", scores)
    path = folder / "pipeline.toml"
    path.write_text(
        f'[shop]\nname = "tea"\n[storage]\nbuild = "{folder}/build"\nstate = "{folder}/var"\n'
        + settings
    )
    return path
