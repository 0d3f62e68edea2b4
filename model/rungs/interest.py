"""A shopper's decayed interest, and the layer that multiplies it by item-to-item weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from model.rungs.popularity import log_popularity
from model.rungs.recommender import EVENT_TYPES_WITH_PADDING, Recommender, scatter_rows
from model.schema import CART, CLICK, EVENT_TYPE_INDEX, PURCHASE, VIEW, Input, Output

BYTES_DENSE, BYTES_SPARSE = 4, 8  # a float32 weight; with its int32 column


@dataclass(frozen=True)
class InterestSettings:
    """How a history becomes one weight an item.

    x_i = sum over history events j on item i of w(type_j) * exp(-r_j / tau), where r_j counts the
    sessions between event j and the newest event. A session ends where two events lie more than
    `session_gap_seconds` apart, so a basket paid at once is one position.

    Attributes:
        decay_sessions: tau.
        session_gap_seconds: The gap that ends a session.
        view: w of a view; likewise `click`, `cart` and `purchase`.
        floor: What popularity adds to every score before the logarithm.
        megabytes: Budget of the weights: dense where they fit, else the largest of each row.
    """

    decay_sessions: float = 4.0
    session_gap_seconds: int = 1800
    view: float = 0.1
    click: float = 0.2
    cart: float = 0.5
    purchase: float = 1.0
    floor: float = 0.01
    megabytes: float = 64.0

    def type_weights(self) -> np.ndarray:
        """float32[7]: w by event type index; 0 for padding and for what makes no history."""
        weights = np.zeros(EVENT_TYPES_WITH_PADDING, np.float32)
        for name in (VIEW, CLICK, CART, PURCHASE):
            weights[EVENT_TYPE_INDEX[name]] = getattr(self, name)
        return weights

    def kept_per_row(self, items: int) -> int:
        """How many weights a row keeps within the budget; items + 1 means dense."""
        budget = self.megabytes * 2**20
        if (items + 1) ** 2 * BYTES_DENSE <= budget:
            return items + 1
        return int(max(1, budget // (BYTES_SPARSE * (items + 1))))


class InterestRecommender(Recommender):
    """score_i = (x B)_i: a linear model over the decayed interest x, weights B filled by `fit`.

    As scores may be negative and must be log-probabilities, the output is
    log(max(score, 0) + floor * popularity), normalised: without a history it is popularity.
    """

    settings_class = InterestSettings
    inputs_read = (Input.HISTORY, Input.HISTORY_EVENT_TYPE, Input.HISTORY_AGE_SECONDS)

    def build(self, input_shape: dict[str, tuple[int | None, ...]]) -> None:
        """Make B, dense `(N + 1, N + 1)` or its largest weights a row, and the popularity."""
        self.length = input_shape[Input.HISTORY][1]
        width = self.items + 1
        self.kept = self.settings.kept_per_row(self.items)
        self.weight = self._constant("weight", (width, self.kept))
        self.column = None
        if self.kept < width:
            self.column = self._constant("column", (width, self.kept), "int32")
        self.popularity = self._constant("popularity", (width,))
        self.built = True

    def _constant(self, name: str, shape: tuple[int, ...], dtype: str = "float32") -> Any:
        return self.add_weight(
            name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False
        )

    def assign_weights(self, weight: np.ndarray, column: np.ndarray | None) -> None:
        """Set B, as `kept_per_row` weights a row and their columns (None when dense)."""
        self.weight.assign(weight)
        if self.column is not None:
            self.column.assign(column)

    def assign_popularity(self, dataset: Any, until: int) -> None:
        """Set what stands behind the scores: the sales of the last 30 days."""
        self.popularity.assign(np.exp(log_popularity(dataset, until, days=30, smoothing=0.3)))

    def interest(self, inputs: dict[str, Any]) -> Any:
        """w(type_j) * exp(-r_j / tau) of every history position. `(B, L)`."""
        age, item = inputs[Input.HISTORY_AGE_SECONDS], inputs[Input.HISTORY]
        gap = age[:, :-1] - age[:, 1:]
        ends = ops.cast(gap > self.settings.session_gap_seconds, age.dtype)  # (B, L - 1)
        # Session ends at or after position j: a product with a triangle of ones, as cumsum.
        later = np.tril(np.ones((self.length, self.length), np.float32))[:-1]
        rank = ops.matmul(ends, later)
        table = ops.convert_to_tensor(self.settings.type_weights())
        weight = ops.take(table, inputs[Input.HISTORY_EVENT_TYPE], axis=0)
        decayed = weight * ops.exp(-rank / self.settings.decay_sessions)
        return decayed * ops.cast(item > 0, age.dtype)

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Sum the rows of B that the history names."""
        interest, item = self.interest(inputs), inputs[Input.HISTORY]
        rows = ops.take(self.weight, item, axis=0)  # (B, L, kept)
        if self.column is None:
            scores = ops.squeeze(ops.matmul(ops.expand_dims(interest, 1), rows), 1)
        else:
            values = ops.reshape(rows * ops.expand_dims(interest, 2), (-1, self.length * self.kept))
            column = ops.take(self.column, item, axis=0)
            column = ops.reshape(column, (-1, self.length * self.kept))
            scores = scatter_rows(column, values, self.items + 1)
        scores = ops.relu(scores) + self.settings.floor * self.popularity
        return {Output.SCORES: self.finish(ops.log(scores))}


def largest_weights(
    blocks: Iterable[np.ndarray], items: int, kept: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """B with its padding row and column, cut to the largest weights of each row by size.

    Args:
        blocks: float32[n, N] pieces of B, in the order of its rows.
        items: N.
        kept: Weights a row; N + 1 keeps all.

    Returns:
        float32[N + 1, kept] and their columns int32[N + 1, kept], None when all are kept.
    """
    values = np.zeros((items + 1, kept), np.float32)
    columns = np.zeros((items + 1, kept), np.int32) if kept <= items else None
    first = 1
    for block in blocks:
        last = first + len(block)
        if columns is None:
            values[first:last, 1:] = block
        else:
            best = np.argpartition(-np.abs(block), kept - 1, axis=1)[:, :kept]
            best.sort(axis=1)
            values[first:last] = np.take_along_axis(block, best, axis=1)
            columns[first:last] = best + 1
        first = last
    return values, columns
