"""Trains the configured model with several seeds: the A/A pairs of `benchmarks/gate_power.py`.

    bin/ci prepare && python -m benchmarks.gate_pairs --seeds 7 8 9 10

Every model is trained on the prepared dataset and scored on its test window, exactly as `evaluate`
does it. Beside the table goes what the cost of one bundle, measured against itself, scatters.
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np

from ci.config import PROJECT, Config, load_config
from ci.evaluating.contenders import rung_lists
from ci.evaluating.cost import measure_cost
from ci.evaluating.per_user import Scores, write_scores
from ci.evaluating.scoring import open_window, score_lists, slices_of
from ci.pipeline import TRAINING_SETTINGS
from model.data.dataset import Dataset
from model.rungs.recommender import save
from model.rungs.training import TrainSettings, train

RESULTS = Path(__file__).parent / "results"


def score_seeds(config: Config, dataset: Dataset, seeds: list[int]) -> Scores:
    """Train with each seed and score on the test window; a model's name is `seed_<seed>`."""
    window = open_window(dataset)
    settings = TrainSettings(**config.model.model_dump(include={*TRAINING_SETTINGS}))
    lengths = settings.history_length, settings.frequent_length
    metrics = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            model = train(dataset, dataclasses.replace(settings, seed=seed)).model
            path = Path(folder, f"{seed}.keras")
            save(model, path)
            top = rung_lists(path, dataset, window, lengths)
            metrics[f"seed_{seed}"] = score_lists(top, window, {})[0]
            mean = metrics[f"seed_{seed}"]["ndcg_at_10"].mean()
            print(f"seed {seed}: NDCG@10 {mean:.4f} on {len(top):,} users", flush=True)
    names = np.array([f"{row:06x}" for row in range(len(window.users))])
    return Scores(names, metrics, slices_of(window))


def cost_of_itself(bundle: Path, times: int) -> list[dict[str, float]]:
    """The CPU ratio of a bundle to itself, as `evaluate` measures it, again and again."""
    return [measure_cost(bundle, bundle, seed=seed)["cpu_ratio"] for seed in range(times)]


def main() -> None:
    """Write `results/gate_pairs.parquet` and `results/gate_pairs.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=PROJECT / "pipeline.toml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9, 10])
    parser.add_argument("--bundle", type=Path, help="a bundle to measure against itself")
    parser.add_argument("--times", type=int, default=20)
    chosen = parser.parse_args()
    config = load_config(chosen.config)
    dataset = Dataset.load(config.build / "next_item" / "dataset")
    scores = score_seeds(config, dataset, chosen.seeds)
    RESULTS.mkdir(exist_ok=True)
    write_scores(RESULTS / "gate_pairs.parquet", scores)
    content = {
        "model": config.model.name,
        "parts": config.model.parts,
        "cpu_seconds": config.model.cpu_seconds,
        "users": len(scores.users),
        "oracle": dataset.meta["oracle"],
        "ndcg_at_10": {
            name: float(values["ndcg_at_10"].mean()) for name, values in scores.metrics.items()
        },
        "cpu_ratios": cost_of_itself(chosen.bundle, chosen.times) if chosen.bundle else [],
    }
    (RESULTS / "gate_pairs.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
