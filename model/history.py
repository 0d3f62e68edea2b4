"""The one definition of a shopper's state: training, batch and the gateway all call it."""

from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple, TypeVar

from model.schema import HISTORY_EVENT_TYPES, PADDING_ID, PURCHASE

T = TypeVar("T")


class Event(NamedTuple):
    """What a state needs to know of one event; `timestamp` in seconds UTC."""

    item_id: str
    event_type: str
    timestamp: float


class UserState(NamedTuple):
    """The five inputs of every signature for one shopper, each padded on the left.

    Attributes:
        history: Items of the last events, oldest first; length L.
        history_event_type: What was done with each; length L.
        history_age_seconds: How long ago, never negative; length L, 0 where padded.
        frequent_items: The shopper's own most frequent items, most frequent first; length F.
        frequent_counts: How often each; length F, 0 where padded.
    """

    history: tuple[str, ...]
    history_event_type: tuple[str, ...]
    history_age_seconds: tuple[float, ...]
    frequent_items: tuple[str, ...]
    frequent_counts: tuple[float, ...]


def user_state(events: Sequence[Event], at: float, length: int, frequent: int) -> UserState:
    """What is known of a shopper at a moment.

    Events that are no deliberate act on an item (impressions, searches) and events at `at` or
    later do not count. Events of the same second keep their given order.

    Args:
        events: The shopper's events, in any order.
        at: The moment, in seconds UTC.
        length: L, how many of the last events make the history.
        frequent: F, how many of the most frequent items are kept.
    """
    known = [
        event
        for event in events
        if event.timestamp < at and event.event_type in HISTORY_EVENT_TYPES
    ]
    known.sort(key=attrgetter("timestamp"))  # stable
    last = known[-length:] if length else []
    counted = _frequent(known)[:frequent]
    return UserState(
        history=_pad([event.item_id for event in last], length, PADDING_ID),
        history_event_type=_pad([event.event_type for event in last], length, PADDING_ID),
        history_age_seconds=_pad([float(at - event.timestamp) for event in last], length, 0.0),
        frequent_items=_pad([item for item, _ in counted], frequent, PADDING_ID),
        frequent_counts=_pad([float(count) for _, count in counted], frequent, 0.0),
    )


def _frequent(known: list[Event]) -> list[tuple[str, int]]:
    """Items by number of purchases (of all acts, when there is none), then newest, then id."""
    counted = [event for event in known if event.event_type == PURCHASE] or known
    counts = Counter(event.item_id for event in counted)
    newest = {event.item_id: event.timestamp for event in counted}
    return sorted(counts.items(), key=lambda pair: (-pair[1], -newest[pair[0]], pair[0]))


def _pad(values: list[T], length: int, padding: T) -> tuple[T, ...]:
    return (*[padding] * (length - len(values)), *values)
