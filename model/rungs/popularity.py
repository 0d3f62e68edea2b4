"""Rung `popularity`: what the shop sold in its last days, the same for every shopper."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from model.rungs.recommender import FitContext, Recommender
from model.schema import EVENT_TYPE_INDEX, PURCHASE, Input, Output

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class PopularitySettings:
    """How far back popularity looks, and how much it trusts a zero.

    Attributes:
        days: Length of the window before the cut.
        smoothing: Probability mass spread evenly over all items, relative to the counted mass.
    """

    days: int = 30
    smoothing: float = 0.3


def target_rows(dataset: Any, until: int) -> np.ndarray:
    """bool[R]: the events before `until` of the kind that a recommendation is judged by.

    Purchases, where the dataset's target is a purchase and there are any; else every event.
    """
    past = (dataset.timestamp < until) & (dataset.item_index > 0)
    bought = past & (dataset.event_type == EVENT_TYPE_INDEX[PURCHASE])
    return bought if dataset.meta["target"] == "purchase" and bought.any() else past


def log_popularity(dataset: Any, until: int, days: int, smoothing: float) -> np.ndarray:
    """float32[N + 1]: log of (c_i / C + smoothing / N) / (1 + smoothing); 0 for the padding.

    c_i counts the target events of item i in the last `days` before `until`, C is their sum.
    When nothing happened in these days, all days count.
    """
    rows = target_rows(dataset, until)
    recent = rows & (dataset.timestamp >= until - days * DAY_SECONDS)
    counted = dataset.item_index[recent if recent.any() else rows]
    counts = np.bincount(counted, minlength=dataset.items + 1)[1:].astype(np.float64)
    share = counts / max(counts.sum(), 1.0) + smoothing / dataset.items
    result = np.zeros(dataset.items + 1, np.float32)
    result[1:] = np.log(share / share.sum())
    return result


@keras.saving.register_keras_serializable(package="pushcart")
class Popularity(Recommender):
    """Log-probability of an item among the shop's recent sales."""

    settings_class = PopularitySettings

    def build(self, input_shape: Any) -> None:  # noqa: ARG002  (Keras passes it by name)
        """Make the one weight: log-popularity `(N + 1,)`."""
        self.log_popularity = self.add_weight(
            shape=(self.items + 1,), initializer="zeros", trainable=False, name="log_popularity"
        )
        self.built = True

    def fit(self, dataset: Any, context: FitContext) -> dict[str, Any]:
        """Count."""
        settings = self.settings
        self.log_popularity.assign(
            log_popularity(dataset, context.until, settings.days, settings.smoothing)
        )
        return {}

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Give every row the same scores."""
        batch = ops.shape(inputs[Input.HISTORY])[0]
        scores = ops.broadcast_to(self.log_popularity, (batch, self.items + 1))
        return {Output.SCORES: self.finish(scores)}
