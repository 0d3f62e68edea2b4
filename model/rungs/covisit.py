"""Rung `covisit`: items that share sessions with those of the history (item-kNN)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from model.rungs.interest import InterestRecommender, InterestSettings, largest_weights
from model.rungs.recommender import FitContext
from model.rungs.sessions import Sessions, targets_of

ROWS_AT_ONCE = 2048


@dataclass(frozen=True)
class CovisitSettings(InterestSettings):
    """How many neighbours an item keeps.

    Attributes:
        neighbours: Of each item, the most similar; fewer when `megabytes` does not hold them.
    """

    neighbours: int = 100
    decay_sessions: float = 2.0

    def kept_per_row(self, items: int) -> int:
        """The neighbours, within the budget."""
        return min(self.neighbours, super().kept_per_row(items), items)


@keras.saving.register_keras_serializable(package="pushcart")
class Covisit(InterestRecommender):
    """B_ij = n_ij / sqrt(n_i n_j), n_ij the sessions that hold both; B_ii = 0 (Sarwar, 2001)."""

    settings_class = CovisitSettings

    def fit(self, dataset: Any, context: FitContext) -> dict[str, Any]:
        """Count which items share sessions and keep the most similar of each."""
        self.assign_popularity(dataset, context.until)
        settings = self.settings
        sessions = Sessions.of(dataset, context.until, settings.session_gap_seconds)
        every = np.arange(len(sessions.start))
        held = targets_of(sessions, every, settings.type_weights(), self.items)[:, 1:]
        self.assign_weights(*largest_weights(cosines(held), self.items, self.kept))
        return {}


def cosines(held: Any) -> Iterator[np.ndarray]:
    """Similarities of every item to all others, by blocks of rows so that N x N is never held.

    Args:
        held: Sparse (sessions, N): what each session held.

    Yields:
        float32[n, N]: the cosines of n columns of `held` to all its columns, 0 to themselves.
    """
    by_item = held.T.tocsr()
    length = np.sqrt(np.asarray(held.multiply(held).sum(axis=0)).ravel())
    length = np.where(length > 0, length, 1.0).astype(np.float32)
    for first in range(0, held.shape[1], ROWS_AT_ONCE):
        last = min(first + ROWS_AT_ONCE, held.shape[1])
        block = (by_item[first:last] @ held).toarray()
        block /= length[first:last, None] * length
        block[np.arange(last - first), np.arange(first, last)] = 0.0
        yield block
