"""What a shopper took first in a window: the answer that a recommendation is judged by."""

from typing import NamedTuple, Protocol

import numpy as np

from model.schema import EVENT_TYPE_INDEX, PURCHASE


class Targets(NamedTuple):
    """First baskets (or first sessions) of the users of a window.

    Attributes:
        user_index: int32[n], ascending.
        offsets: int64[n+1]: user_index[k] has items[offsets[k]:offsets[k+1]].
        items: int32[m], distinct within a user, in the order they were taken; 0 stands for an item
            outside the vocabulary: it counts in the ideal ranking and cannot be hit.
        revenue: float32[m], what was paid for the item in this basket; 0 when not bought.
    """

    user_index: np.ndarray
    offsets: np.ndarray
    items: np.ndarray
    revenue: np.ndarray


class Rows(Protocol):
    """The columns that a target is made of, sorted by user and time."""

    user_index: np.ndarray
    item_index: np.ndarray
    outside_index: np.ndarray
    event_type: np.ndarray
    session: np.ndarray
    quantity: np.ndarray
    price: np.ndarray


def first_baskets(events: Rows, rows: np.ndarray, purchases_only: bool) -> Targets:
    """Distinct items of each user's first session among `rows`.

    Args:
        events: The dataset.
        rows: int[k], the rows of the window, ascending.
        purchases_only: Take the purchases of the first session that has one (a user without any
            is not in the window), rather than all items of the first session.
    """
    bought = events.event_type[rows] == EVENT_TYPE_INDEX[PURCHASE]
    rows, bought = (rows[bought], bought[bought]) if purchases_only else (rows, bought)
    users, first = np.unique(events.user_index[rows], return_index=True)
    place = np.searchsorted(users, events.user_index[rows])
    in_first = events.session[rows] == events.session[rows[first]][place]
    rows, place, bought = rows[in_first], place[in_first], bought[in_first]
    outside = -events.outside_index[rows].astype(np.int64)
    identity = np.where(events.item_index[rows] > 0, events.item_index[rows], outside)
    paid = np.where(bought, np.nan_to_num(events.quantity[rows] * events.price[rows]), 0.0)
    # Stable sort keeps time order within (user, item): the first row of a group is its first time.
    order = np.lexsort((identity, place))
    group_starts = _starts(place[order], identity[order])
    revenue = np.add.reduceat(paid[order], group_starts) if len(order) else paid
    firsts = order[group_starts]
    taken = np.argsort(firsts, kind="stable")  # rows ascend by user, then time
    items = events.item_index[rows[firsts[taken]]]
    offsets = np.searchsorted(place[firsts[taken]], np.arange(len(users) + 1))
    return Targets(
        users.astype(np.int32),
        offsets.astype(np.int64),
        items.astype(np.int32),
        revenue[taken].astype(np.float32),
    )


def _starts(*keys: np.ndarray) -> np.ndarray:
    """Where a new combination begins in arrays sorted together."""
    if not len(keys[0]):
        return np.zeros(0, np.int64)
    changes = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return np.concatenate(([0], np.flatnonzero(changes) + 1))
