"""Exports the bundle of the server's benchmark: an encoder of the size that shops would train."""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from benchmarks.serving_load import TEXT, Shape, shopper
from model.bundle.card import Lineage
from model.bundle.export import export_bundle
from model.bundle.signatures import Lengths
from model.schema import INPUTS

DIM, HEADS = 64, 2


def encoder(shape: Shape) -> keras.Model:
    """An untrained encoder of two blocks that ranks all items; weights do not change the cost."""
    keras.utils.set_random_seed(0)
    inputs = {
        name: keras.Input((size,), dtype=dtype, name=name)
        for name, size, dtype in (
            ("history", shape.length, "int32"),
            ("history_event_type", shape.length, "int32"),
            ("history_age_seconds", shape.length, "float32"),
            ("frequent_items", shape.frequent, "int32"),
            ("frequent_counts", shape.frequent, "float32"),
        )
    }
    table = layers.Embedding(shape.items + 1, DIM, name="items")
    x = table(inputs["history"]) + layers.Embedding(7, DIM)(inputs["history_event_type"])
    for _ in range(2):
        attention = layers.MultiHeadAttention(HEADS, DIM // HEADS)
        normed = layers.LayerNormalization()(x)
        x = x + attention(normed, normed, use_causal_mask=True)
        hidden = layers.Dense(4 * DIM, "relu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(DIM)(hidden)
    user = layers.LayerNormalization()(x)[:, -1]
    counts = ops.sum(table(inputs["frequent_items"]) * inputs["frequent_counts"][..., None], 1)
    age = ops.mean(inputs["history_age_seconds"], axis=1, keepdims=True)
    user = user + 0.01 * counts + layers.Dense(DIM)(ops.log1p(age))
    scores = layers.Dense(shape.items + 1, name="scores")(user)
    padding = np.zeros(shape.items + 1, np.float32)
    padding[0] = -1e9
    outputs = {"scores": ops.log_softmax(scores + padding), "user_vector": user}
    return keras.Model(inputs, outputs)


def write(folder: Path, shape: Shape) -> None:
    """Exports the encoder with the project's own exporter."""
    rows = [shopper(shape, seed) for seed in range(2)]
    golden = {
        name: np.array([row[name] for row in rows], object if name in TEXT else np.float32)
        for name in INPUTS
    }
    export_bundle(
        encoder(shape),
        [f"item{number}" for number in range(1, shape.items + 1)],
        folder,
        lineage=Lineage("encoder", "next_item", "bench", "", "", {}, {}, "", INPUTS),
        golden_inputs=golden,
        lengths=Lengths(shape.length, shape.frequent, 100),
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]), Shape(*(int(size) for size in sys.argv[2:])))
