"""A small trained-model stand-in that reads all five inputs, and bundles made of it."""

import shutil
from pathlib import Path

import keras
import numpy as np

from model.bundle.card import Lineage
from model.bundle.export import export_bundle
from model.bundle.signatures import Lengths
from model.schema import Input

LENGTHS = Lengths(history=6, frequent=4, top_k=10)
ITEMS = 20
VOCABULARY = [f"item-{index}" for index in range(1, ITEMS)] + ["Käse 奶酪"]
DAY = 86_400.0
LINEAGE = Lineage(
    model="tiny",
    task="next_item",
    shop="test",
    data_digest="sha256:0",
    commit="0" * 40,
    settings={"name": "tiny"},
    validation={"ndcg_at_10": 0.25},
    trained_until="2025-01-01T00:00:00Z",
    inputs_read=(
        Input.HISTORY,
        Input.HISTORY_EVENT_TYPE,
        Input.HISTORY_AGE_SECONDS,
        Input.FREQUENT_ITEMS,
        Input.FREQUENT_COUNTS,
    ),
)


def tiny_model(
    seed: int = 3, items: int = ITEMS, vector: bool = True, lengths: Lengths = LENGTHS
) -> keras.Model:
    """Every input moves every score.

    Scores = bias + the rows of the history's items, weighted by event type and age, + half the
    rows of the frequent items, weighted by their counts.
    """
    rng = np.random.default_rng(seed)
    shape = {
        Input.HISTORY: (lengths.history, "int32"),
        Input.HISTORY_EVENT_TYPE: (lengths.history, "int32"),
        Input.HISTORY_AGE_SECONDS: (lengths.history, "float32"),
        Input.FREQUENT_ITEMS: (lengths.frequent, "int32"),
        Input.FREQUENT_COUNTS: (lengths.frequent, "float32"),
    }
    inputs = {
        name: keras.Input((length,), dtype=dtype, name=name)
        for name, (length, dtype) in shape.items()
    }
    rows = keras.layers.Embedding(items + 1, items + 1, name="rows")
    types = keras.layers.Embedding(7, 1, name="types")
    recency = 1.0 / (1.0 + inputs[Input.HISTORY_AGE_SECONDS] / DAY)
    weight = recency * keras.ops.squeeze(types(inputs[Input.HISTORY_EVENT_TYPE]), -1)
    seen = keras.ops.sum(rows(inputs[Input.HISTORY]) * keras.ops.expand_dims(weight, -1), axis=1)
    counts = keras.ops.expand_dims(inputs[Input.FREQUENT_COUNTS], -1)
    often = keras.ops.sum(rows(inputs[Input.FREQUENT_ITEMS]) * counts, axis=1)
    bias = keras.layers.Dense(items + 1, name="bias")
    scores = bias(keras.layers.Concatenate()([seen, often]))
    outputs = {"scores": scores, **({"user_vector": seen} if vector else {})}
    model = keras.Model(inputs, outputs)
    table = rng.normal(size=(items + 1, items + 1)).astype(np.float32)
    table[0] = 0.0
    rows.set_weights([table])
    types.set_weights([np.array([[0.5], [0], [1], [1.5], [2], [3], [0]], np.float32)])
    kernel = np.concatenate([np.eye(items + 1), 0.5 * np.eye(items + 1)]).astype(np.float32)
    constant = rng.normal(size=items + 1).astype(np.float32)
    constant[0] = -1e9
    bias.set_weights([kernel, constant])
    return model


def requests() -> dict[str, np.ndarray]:
    """Five shoppers: new, ordinary, with unknown ids, only unknown ids, and full to the brim."""
    history = [
        ["", "", "", "", "", ""],
        ["", "", "", "item-3", "item-7", "item-3"],
        ["", "gone", "item-2", "", "never", "Käse 奶酪"],
        ["gone", "gone", "gone", "gone", "gone", "gone"],
        ["item-1", "item-2", "item-3", "item-4", "item-5", "item-6"],
    ]
    types = [
        ["", "", "", "", "", ""],
        ["", "", "", "view", "cart", "purchase"],
        ["", "view", "click", "", "view", "purchase"],
        ["view", "view", "view", "view", "view", "view"],
        ["view", "click", "cart", "purchase", "view", "a new type"],
    ]
    ages = [
        [0.0] * 6,
        [0.0, 0.0, 0.0, 3 * DAY, DAY, 60.0],
        [0.0, 9 * DAY, 5 * DAY, 0.0, 2 * DAY, DAY],
        [6 * DAY, 5 * DAY, 4 * DAY, 3 * DAY, 2 * DAY, DAY],
        [30 * DAY, 20 * DAY, 10 * DAY, DAY, 3600.0, 1.0],
    ]
    frequent = [
        ["", "", "", ""],
        ["", "", "", "item-3"],
        ["", "gone", "item-9", "item-2"],
        ["", "", "gone", "gone"],
        ["item-6", "item-5", "item-4", "item-1"],
    ]
    counts = [[0.0] * 4, [0, 0, 0, 2.0], [0, 4.0, 3.0, 1.0], [0, 0, 2.0, 1.0], [5.0, 3.0, 2.0, 1.0]]
    return {
        Input.HISTORY: np.array(history, dtype=object),
        Input.HISTORY_EVENT_TYPE: np.array(types, dtype=object),
        Input.HISTORY_AGE_SECONDS: np.array(ages, dtype=np.float32),
        Input.FREQUENT_ITEMS: np.array(frequent, dtype=object),
        Input.FREQUENT_COUNTS: np.array(counts, dtype=np.float32),
    }


def export_tiny(directory: Path, model: keras.Model | None = None) -> Path:
    """A bundle of the tiny model in `directory`."""
    export_bundle(
        model or tiny_model(),
        VOCABULARY,
        directory,
        lineage=LINEAGE,
        golden_inputs=requests(),
        lengths=LENGTHS,
    )
    return directory


def copy_bundle(bundle: Path, directory: Path) -> Path:
    """A writable copy, to tamper with."""
    shutil.copytree(bundle, directory)
    for path in directory.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return directory
