"""What a shop posts to `/v1/events`, checked at the door: bounded, and told what to change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from model.schema import EVENT_TYPES, SEARCH, EventColumn

MOST_BYTES: Final = 262_144
MOST_EVENTS: Final = 500
LONGEST_ID: Final = 200
LONGEST_QUERY: Final = 500
AHEAD_SECONDS: Final = 300.0  # clocks of phones differ
BEHIND_SECONDS: Final = 30 * 86_400.0  # what waited longer belongs into the shop's log directly


class PostedEventsError(ValueError):
    """What was posted cannot be taken; the message names the event, the value, what is allowed."""


@dataclass(frozen=True, slots=True)
class PostedEvent:
    """One event as it is kept; the columns of the shop's event log, `timestamp` in seconds UTC."""

    event_id: str
    user_id: str
    item_id: str
    event_type: str
    timestamp: float
    query: str | None = None
    position: float | None = None
    quantity: float | None = None
    price: float | None = None
    model_version: int | None = None


def read_events(body: bytes, now: float) -> list[PostedEvent]:
    """The events of a posted body; all of them, or none is taken.

    Args:
        body: `{"events": [{event_id, user_id, item_id, event_type, timestamp, …}]}`.
        now: Present moment, seconds UTC.

    Raises:
        PostedEventsError: It is no such JSON, or an event breaks a rule.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PostedEventsError(f"the body is no JSON: {error}") from None
    events = content.get("events") if isinstance(content, dict) else None
    if not isinstance(events, list):
        raise PostedEventsError('the body must be an object {"events": […]}')
    if not 1 <= len(events) <= MOST_EVENTS:
        raise PostedEventsError(f"{len(events)} events were posted, allowed are 1 to {MOST_EVENTS}")
    return [_event(one, place, now) for place, one in enumerate(events)]


def _event(one: Any, place: int, now: float) -> PostedEvent:
    try:
        return _checked(one, now)
    except PostedEventsError as error:
        raise PostedEventsError(f"events[{place}]: {error}") from None


def _checked(one: Any, now: float) -> PostedEvent:
    if not isinstance(one, dict):
        raise PostedEventsError(f"it is {_shown(one)}, it must be an object")
    if unknown := sorted(set(one) - set(READERS)):
        raise PostedEventsError(f"{unknown[0][:50]!r} is unknown; allowed are {', '.join(READERS)}")
    values = {name: read(one, name) for name, read in READERS.items()}
    if values["item_id"] is None and values["event_type"] != SEARCH:
        raise PostedEventsError("item_id is missing; only a search has none")
    event = PostedEvent(**{**values, "item_id": values["item_id"] or ""})
    if not now - BEHIND_SECONDS <= event.timestamp <= now + AHEAD_SECONDS:
        raise PostedEventsError(
            f"timestamp lies {event.timestamp - now:+,.0f} s from now; allowed are "
            f"{-BEHIND_SECONDS:,.0f} to {AHEAD_SECONDS:+,.0f} s"
        )
    return event


def _text(most: int, *, needed: bool = True) -> Callable[[Mapping[str, Any], str], str | None]:
    def read(one: Mapping[str, Any], name: str) -> str | None:
        value = one.get(name)
        if value is None and not needed:
            return None
        if not isinstance(value, str) or not 1 <= len(value) <= most or "\0" in value:
            raise PostedEventsError(
                f"{name} is {_shown(value)}, it must be a text of 1 to {most} characters"
            )
        return value

    return read


def _kind(one: Mapping[str, Any], name: str) -> str:
    value = one.get(name)
    if value not in EVENT_TYPES:
        allowed = ", ".join(EVENT_TYPES)
        raise PostedEventsError(f"{name} is {_shown(value)}, it must be one of {allowed}")
    return str(value)


def _moment(one: Mapping[str, Any], name: str) -> float:
    value = one.get(name)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment.timestamp()
    elif value is not None and _is_number(value):
        return float(value)
    raise PostedEventsError(
        f"{name} is {_shown(value)}, it must be seconds since 1970 UTC, or a time with its zone "
        "such as 2026-05-01T12:00:00Z"
    )


def _number(
    least: float, *, whole: bool = False
) -> Callable[[Mapping[str, Any], str], float | None]:
    def read(one: Mapping[str, Any], name: str) -> float | None:
        value = one.get(name)
        if value is None:
            return None
        fits = _is_number(value) and (isinstance(value, int) or not whole)
        if not fits or not least <= value < 1e15:
            kind = "whole number" if whole else "number"
            raise PostedEventsError(
                f"{name} is {_shown(value)}, it must be a {kind} from {least:g} on"
            )
        number: float = value
        return number

    return read


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return "missing" if value is None else repr(value)[:60]


READERS: Final[dict[str, Callable[[Mapping[str, Any], str], Any]]] = {
    EventColumn.EVENT_ID: _text(LONGEST_ID),
    EventColumn.USER_ID: _text(LONGEST_ID),
    EventColumn.ITEM_ID: _text(LONGEST_ID, needed=False),
    EventColumn.EVENT_TYPE: _kind,
    EventColumn.TIMESTAMP: _moment,
    EventColumn.QUERY: _text(LONGEST_QUERY, needed=False),
    EventColumn.POSITION: _number(0),
    EventColumn.QUANTITY: _number(-1e6),
    EventColumn.PRICE: _number(0),
    EventColumn.MODEL_VERSION: _number(0, whole=True),
}
