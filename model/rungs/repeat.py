"""Rung `repeat`: the shopper's own most frequent items, over the shop's popularity."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from model.rungs.popularity import log_popularity
from model.rungs.recommender import FitContext, Recommender, scatter_rows
from model.schema import Input, Output


@dataclass(frozen=True)
class RepeatSettings:
    """How the shopper's own frequency is backed.

    Attributes:
        backing: Weight of popularity beside the shopper's own shares, which sum to one: what
            never was bought ranks by popularity, below nearly all that was.
        days: Window of that popularity; see `PopularitySettings`.
        smoothing: Its evenly spread mass; see `PopularitySettings`.
    """

    backing: float = 1e-3
    days: int = 30
    smoothing: float = 0.3


@keras.saving.register_keras_serializable(package="pushcart")
class Repeat(Recommender):
    """log(n_ui / n_u + backing * p_i): the shopper's share of item i, backed by popularity."""

    settings_class = RepeatSettings
    inputs_read = (Input.FREQUENT_ITEMS, Input.FREQUENT_COUNTS)

    def build(self, input_shape: Any) -> None:  # noqa: ARG002  (Keras passes it by name)
        """Make the one weight: popularity `(N + 1,)`."""
        self.popularity = self.add_weight(
            shape=(self.items + 1,), initializer="ones", trainable=False, name="popularity"
        )
        self.built = True

    def fit(self, dataset: Any, context: FitContext) -> dict[str, Any]:
        """Only the popularity is learned: the counts are in the inputs."""
        logs = log_popularity(dataset, context.until, self.settings.days, self.settings.smoothing)
        self.popularity.assign(ops.exp(logs))
        return {}

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Spread the counts over the items and take logs."""
        items, counts = inputs[Input.FREQUENT_ITEMS], inputs[Input.FREQUENT_COUNTS]
        counts = counts * ops.cast(items > 0, counts.dtype)
        total = ops.maximum(ops.sum(counts, axis=1, keepdims=True), 1.0)
        shares = scatter_rows(items, counts / total, self.items + 1)
        scores = ops.log(shares + self.settings.backing * self.popularity)
        return {Output.SCORES: self.finish(scores)}
