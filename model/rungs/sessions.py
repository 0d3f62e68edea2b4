"""Events cut into sessions, and sessions turned into sparse rows for closed-form models."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from model.rungs.interest import InterestSettings

PAIRS_AT_ONCE = 4_000_000  # (session, history position) pairs held in memory: about 200 MB
NEGLIGIBLE = 3e-3  # interest below it changes no ranking; products cost its square


@dataclass(frozen=True)
class Sessions:
    """The events of a dataset before a moment, cut into sessions.

    Attributes:
        item_index: int[R], sorted by user and time.
        event_type: int[R].
        timestamp: int64[R].
        user_start: int[R], row of the first event of the same user.
        number: int[R], running number of the session over all users.
        start: int[S], row where session s begins; start[s] == user_start[start[s]] when it is the
            user's first.
    """

    item_index: np.ndarray
    event_type: np.ndarray
    timestamp: np.ndarray
    user_start: np.ndarray
    number: np.ndarray
    start: np.ndarray

    @staticmethod
    def of(dataset: Any, until: int, gap_seconds: int) -> "Sessions":
        """Cut the events of known items before `until` where the graph would cut them."""
        past = (dataset.timestamp < until) & (dataset.item_index > 0)
        user, time = dataset.user_index[past], dataset.timestamp[past]
        new_user = np.ones(len(user), bool)
        new_user[1:] = user[1:] != user[:-1]
        begins = new_user.copy()
        begins[1:] |= np.diff(time) > gap_seconds
        first = np.maximum.accumulate(np.where(new_user, np.arange(len(user)), 0))
        return Sessions(
            dataset.item_index[past].astype(np.int64),
            dataset.event_type[past].astype(np.int64),
            time,
            first,
            np.cumsum(begins) - 1,
            np.flatnonzero(begins),
        )

    def with_past(self) -> np.ndarray:
        """int[S']: the sessions that have an earlier one by the same user."""
        return np.flatnonzero(self.user_start[self.start] < self.start)

    def interests(
        self, sessions: np.ndarray, settings: InterestSettings, length: int, items: int
    ) -> Iterator[sparse.csr_matrix]:
        """Interest before each given session, as the graph computes it. Pieces `(n, N + 1)`.

        Only the last `length` events count, because only they will be served.
        """
        table = settings.type_weights()
        rows_at_once = max(1, PAIRS_AT_ONCE // length)
        for first in range(0, len(sessions), rows_at_once):
            begin = self.start[sessions[first : first + rows_at_once]]
            row = begin[:, None] - length + np.arange(length)  # (n, L)
            real = row >= self.user_start[begin][:, None]
            row = np.where(real, row, 0)
            rank = self.number[begin][:, None] - 1 - self.number[row]
            value = table[self.event_type[row]] * np.exp(-rank / settings.decay_sessions)
            value = np.where(real, value, 0.0).astype(np.float32)
            kept = value > NEGLIGIBLE
            place = np.broadcast_to(np.arange(len(begin))[:, None], row.shape)
            pairs = (place[kept], self.item_index[row[kept]])
            yield sparse.csr_matrix((value[kept], pairs), shape=(len(begin), items + 1))


def targets_of(sessions: Sessions, chosen: np.ndarray, table: np.ndarray, items: int) -> Any:
    """Y: the greatest type weight of each item in each of the chosen sessions. `(n, N + 1)`."""
    place = np.full(len(sessions.start), -1)
    place[chosen] = np.arange(len(chosen))
    row = place[sessions.number]
    kept = row >= 0
    pair = row[kept] * (items + 1) + sessions.item_index[kept]
    unique, inverse = np.unique(pair, return_inverse=True)
    value = np.zeros(len(unique), np.float32)
    np.maximum.at(value, inverse, table[sessions.event_type[kept]])
    place, item = np.divmod(unique, items + 1)
    return sparse.csr_matrix((value, (place, item)), shape=(len(chosen), items + 1))
