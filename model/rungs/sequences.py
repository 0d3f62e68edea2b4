"""Histories cut into training sequences whose session ends are asked for the next session."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.rungs.sessions import Sessions, targets_of
from model.schema import Input

# Keys of a batch beside the inputs: the labels are flat, as sessions end anywhere.
LABEL_PLACE = "label_place"  # int32[M]: row * L + position of a session's last event
PAIR_LABEL = "pair_label"  # int32[P]: which of the M labels
PAIR_ITEM = "pair_item"  # int32[P]: an item of the session that follows
PAIR_WEIGHT = "pair_weight"  # float32[P]


@dataclass(frozen=True)
class SessionSequences:
    """Pieces of at most L events of one shopper, none of them overlapping.

    At a session's end the model is asked what the next session holds: that is the state in which
    a shopper returns, and in which models are judged. What lies between two events of one session
    is not asked, as "viewed, then bought" would drown it.

    Attributes:
        sessions: The events.
        wanted: Sparse (sessions, N + 1): what each session held.
        first: int64[n], the first row that a piece may hold.
        end: int64[n], the row after its last.
        length: L.
        batch_size: Pieces a batch.
    """

    sessions: Sessions
    wanted: Any
    first: np.ndarray
    end: np.ndarray
    length: int
    batch_size: int

    @staticmethod
    def of(
        sessions: Sessions, table: np.ndarray, items: int, length: int, batch_size: int
    ) -> "SessionSequences":
        """Cut every shopper's events up to the start of the last session, newest piece whole."""
        wanted = targets_of(sessions, np.arange(len(sessions.start)), table, items)
        user_of_session = sessions.user_start[sessions.start]
        is_last = np.ones(len(sessions.start), bool)
        is_last[:-1] = user_of_session[1:] != user_of_session[:-1]
        stop, first = sessions.start[is_last], user_of_session[is_last]
        pieces = -(-(stop - first) // length)
        owner = np.repeat(np.arange(len(stop)), pieces)
        place = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        end = stop[owner] - place * length
        return SessionSequences(sessions, wanted, first[owner], end, length, batch_size)

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return len(self.end)

    def batches(self, random: np.random.Generator) -> Iterator[dict[str, np.ndarray]]:
        """All pieces once, in random order."""
        order = random.permutation(self.count)
        for place in range(math.ceil(self.count / self.batch_size)):
            yield self.batch(order[place * self.batch_size : (place + 1) * self.batch_size])

    def batch(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """The inputs of some pieces and their labels."""
        row = self.end[chosen, None] - self.length + np.arange(self.length)  # (B, L)
        real = row >= self.first[chosen, None]
        row = np.where(real, row, 0)
        sessions = self.sessions
        age = sessions.timestamp[self.end[chosen], None] - sessions.timestamp[row]
        inputs = {
            Input.HISTORY: np.where(real, sessions.item_index[row], 0).astype(np.int32),
            Input.HISTORY_EVENT_TYPE: np.where(real, sessions.event_type[row], 0).astype(np.int32),
            Input.HISTORY_AGE_SECONDS: np.where(real, age, 0).astype(np.float32),
        }
        ends = real & (sessions.number[row + 1] != sessions.number[row])
        return inputs | self._labels(ends, row)

    def _labels(self, ends: np.ndarray, row: np.ndarray) -> dict[str, np.ndarray]:
        place = np.flatnonzero(ends)
        following = self.sessions.number[row.ravel()[place]] + 1
        start, stop = self.wanted.indptr[following], self.wanted.indptr[following + 1]
        label = np.repeat(np.arange(len(place)), stop - start)
        offset = np.arange(len(label)) - np.repeat(
            np.cumsum(stop - start) - (stop - start), stop - start
        )
        pair = np.repeat(start, stop - start) + offset
        return {
            LABEL_PLACE: place.astype(np.int32),
            PAIR_LABEL: label.astype(np.int32),
            PAIR_ITEM: self.wanted.indices[pair].astype(np.int32),
            PAIR_WEIGHT: self.wanted.data[pair].astype(np.float32),
        }
