"""States of many shoppers at once, equal row by row to `model/history.py: user_state`."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from model.schema import EVENT_TYPE_INDEX, PURCHASE, Input

MAX_ROWS_AT_ONCE = 4_000_000  # rows of (query, event) pairs: about 200 MB


@dataclass(frozen=True)
class Timeline:
    """Events of the history types, sorted by user, then time.

    Attributes:
        user_index: int[R].
        item_index: int[R], never 0.
        event_type: int[R].
        timestamp: int64[R].
    """

    user_index: np.ndarray
    item_index: np.ndarray
    event_type: np.ndarray
    timestamp: np.ndarray


@dataclass(frozen=True)
class StateBuilder:
    """Builds states in index form.

    Attributes:
        timeline: The events.
        item_ids: Vocabulary; item index i is at i - 1. Ties are broken by id.
    """

    timeline: Timeline
    item_ids: list[str]

    def states(
        self, users: np.ndarray, at: np.ndarray, length: int, frequent: int
    ) -> dict[str, np.ndarray]:
        """The five inputs for (user, moment) pairs; see `Dataset.states`."""
        users = users.astype(np.int64)  # user * span passes 32 bits
        start = np.searchsorted(self._key, users * self._span)
        moments = np.clip(at - self._origin, 0, self._span - 1)
        end = np.searchsorted(self._key, users * self._span + moments)
        history = self._history(start, end, at, length)
        return history | self._frequent_in_chunks(start, end, frequent)

    @cached_property
    def _origin(self) -> int:
        timestamps = self.timeline.timestamp
        return int(timestamps.min()) if len(timestamps) else 0

    @cached_property
    def _span(self) -> int:
        """More than the seconds from first to last event, so user * span + second sorts."""
        timestamps = self.timeline.timestamp
        return int(timestamps.max()) - self._origin + 2 if len(timestamps) else 2

    @cached_property
    def _key(self) -> np.ndarray:
        users = self.timeline.user_index.astype(np.int64)
        return users * self._span + (self.timeline.timestamp - self._origin)

    @cached_property
    def _rank_of_id(self) -> np.ndarray:
        """int64[N+1]: place of an item's id in sorted order."""
        rank = np.zeros(len(self.item_ids) + 1, np.int64)
        order = sorted(range(len(self.item_ids)), key=self.item_ids.__getitem__)
        rank[np.array(order, np.int64) + 1] = np.arange(len(order))
        return rank

    def _history(
        self, start: np.ndarray, end: np.ndarray, at: np.ndarray, length: int
    ) -> dict[str, np.ndarray]:
        rows = end[:, None] + np.arange(-length, 0)  # (n, L)
        real = rows >= start[:, None]
        rows = np.where(real, rows, 0)
        if not len(self.timeline.timestamp):
            return _empty_history(rows.shape)
        age = at[:, None] - self.timeline.timestamp[rows]
        return {
            Input.HISTORY: np.where(real, self.timeline.item_index[rows], 0).astype(np.int32),
            Input.HISTORY_EVENT_TYPE: np.where(real, self.timeline.event_type[rows], 0).astype(
                np.int32
            ),
            Input.HISTORY_AGE_SECONDS: np.where(real, age, 0).astype(np.float32),
        }

    def _frequent_in_chunks(
        self, start: np.ndarray, end: np.ndarray, frequent: int
    ) -> dict[str, np.ndarray]:
        """Count in pieces that bound the memory."""
        items = np.zeros((len(start), frequent), np.int32)
        counts = np.zeros((len(start), frequent), np.float32)
        piece = np.cumsum(end - start) // MAX_ROWS_AT_ONCE
        borders = np.flatnonzero(np.diff(piece, prepend=-1))
        for first, last in zip(borders, np.append(borders, len(start))[1:], strict=True):
            self._frequent(
                start[first:last], end[first:last], items[first:last], counts[first:last]
            )
        return {Input.FREQUENT_ITEMS: items, Input.FREQUENT_COUNTS: counts}

    def _frequent(
        self, start: np.ndarray, end: np.ndarray, items: np.ndarray, counts: np.ndarray
    ) -> None:
        """Fill `items` and `counts` (n, F) with the most frequent of rows start:end."""
        query, rows = _expand(start, end)
        bought = self.timeline.event_type[rows] == EVENT_TYPE_INDEX[PURCHASE]
        buys = np.bincount(query, weights=bought, minlength=len(start)) > 0
        counted = bought | ~buys[query]
        query, rows = query[counted], rows[counted]
        # Pairs (query, item): how often and, as rows ascend in time, the newest row's time.
        pair = query * (len(self.item_ids) + 1) + self.timeline.item_index[rows]
        unique, inverse, count = np.unique(pair, return_inverse=True, return_counts=True)
        newest = np.full(len(unique), np.iinfo(np.int64).min)
        np.maximum.at(newest, inverse, self.timeline.timestamp[rows])
        owner, item = np.divmod(unique, len(self.item_ids) + 1)
        order = np.lexsort((self._rank_of_id[item], -newest, -count, owner))
        owner, item, count = owner[order], item[order], count[order]
        place = np.arange(len(owner)) - np.searchsorted(owner, owner)
        width = items.shape[1]
        found = np.minimum(np.bincount(owner, minlength=len(start)), width)
        kept = place < width
        column = width - found[owner] + place  # left padding, most frequent first
        items[owner[kept], column[kept]] = item[kept]
        counts[owner[kept], column[kept]] = count[kept]


def _empty_history(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {
        Input.HISTORY: np.zeros(shape, np.int32),
        Input.HISTORY_EVENT_TYPE: np.zeros(shape, np.int32),
        Input.HISTORY_AGE_SECONDS: np.zeros(shape, np.float32),
    }


def _expand(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (query, row) of every row in start:end of every query, in order."""
    sizes = end - start
    query = np.repeat(np.arange(len(start)), sizes)
    first = np.cumsum(sizes) - sizes
    rows = np.arange(len(query)) - np.repeat(first, sizes) + np.repeat(start, sizes)
    return query, rows
