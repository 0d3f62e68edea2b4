"""Real bundles for the server's tests, and what they answer worked out in NumPy."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ITEMS, LENGTH, FREQUENT, TOP = 20, 6, 4, 5
EVENT_TYPES = ["impression", "view", "click", "cart", "purchase", "search"]
MODEL = "next_item"
Row = dict[str, list[Any]]


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk and the weights that it was made of."""

    folder: Path

    def expected(self, row: Row) -> dict[str, Any]:
        """What `recommend` answers for one row, computed apart from any engine in float64."""
        weights = np.load(self.folder / "weights.npz")
        vectors = weights["vectors"].astype(np.float64)
        history = [index_of(item) for item in row["history"]]
        events = [EVENT_TYPES.index(e) + 1 if e in EVENT_TYPES else 0 for e in row_types(row)]
        ages = np.array(row["history_age_seconds"], np.float64)
        user = (np.array(events) / (1 + ages / 3600)) @ vectors[history]
        logits = vectors @ user + weights["popularity"]
        for item, count in zip(row["frequent_items"], row["frequent_counts"], strict=True):
            logits[index_of(item)] += 0.1 * count
        logits[0] = -1e9
        scores = logits - logits.max()
        scores -= np.log(np.exp(scores).sum())
        best = np.argsort(-scores, kind="stable")[:TOP]
        return {
            "item_ids": [f"item{index}" for index in best],
            "scores": scores[best].tolist(),
            "known_items": sum(index > 0 for index in history),
        }


def row_types(row: Row) -> list[str]:
    return row["history_event_type"]


def index_of(item: str) -> int:
    """The index of an item of the vocabulary, 0 for padding and unknown ids."""
    number = item.removeprefix("item")
    known = item.startswith("item") and number.isdigit() and 1 <= int(number) <= ITEMS
    return int(number) if known else 0


def random_row(seed: int, unknown: bool = False) -> Row:
    """A shopper: some padding on the left, then items, with one id nobody knows if asked for."""
    random = np.random.default_rng(seed)
    filled = int(random.integers(1, LENGTH + 1))
    items = [f"item{number}" for number in random.integers(1, ITEMS + 1, filled)]
    if unknown:
        items[-1] = "withdrawn"
    types = [EVENT_TYPES[number] for number in random.integers(1, 5, filled)]
    ages = [float(age) for age in random.integers(0, 100_000, filled)]
    frequent = [f"item{number}" for number in random.integers(1, ITEMS + 1, FREQUENT)]
    padding = LENGTH - filled
    return {
        "history": [""] * padding + items,
        "history_event_type": [""] * padding + types,
        "history_age_seconds": [0.0] * padding + ages,
        "frequent_items": frequent,
        "frequent_counts": [float(count) for count in random.integers(1, 9, FREQUENT)],
    }


def empty_row() -> Row:
    """A shopper of whom nothing is known."""
    return {
        "history": [""] * LENGTH,
        "history_event_type": [""] * LENGTH,
        "history_age_seconds": [0.0] * LENGTH,
        "frequent_items": [""] * FREQUENT,
        "frequent_counts": [0.0] * FREQUENT,
    }


def build(*targets: tuple[Path, int]) -> list[Bundle]:
    """Writes bundles of the given seeds; TensorFlow is imported once, in another process."""
    arguments = [str(part) for target in targets for part in target]
    script = Path(__file__).with_name("build_bundle.py")
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [Bundle(folder) for folder, _ in targets]


def place(bundle: Bundle, base_path: Path, version: int) -> Bundle:
    """Puts a copy of a bundle under a version number, by rename, as a release does."""
    base_path.mkdir(parents=True, exist_ok=True)
    temporary = base_path / f".incoming-{version}"
    shutil.copytree(bundle.folder, temporary)
    return Bundle(temporary.rename(base_path / str(version)))
