"""What is posted, at the door: taken as it is meant, or refused with what to change."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.schema import EVENT_TYPES
from serving.gateway.posted_events import (
    MOST_EVENTS,
    PostedEvent,
    PostedEventsError,
    read_events,
)

NOW = 1_780_000_000.0
GOOD = {
    "event_id": "e1",
    "user_id": "anna",
    "item_id": "item1",
    "event_type": "click",
    "timestamp": NOW - 5,
}


def posted(**changes) -> bytes:
    event = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return json.dumps({"events": [event]}).encode()


def test_an_event_is_taken_as_it_is_meant():
    (event,) = read_events(posted(price=2.5, quantity=2, position=0, model_version=7), NOW)
    assert event == PostedEvent(
        "e1", "anna", "item1", "click", NOW - 5, None, 0, 2, 2.5, 7
    )  # fmt: skip


@pytest.mark.parametrize(
    "moment",
    ["2026-05-28T20:26:35Z", "2026-05-28T20:26:35+00:00", "2026-05-29T04:26:35+08:00", 1779999995],
)
def test_a_moment_may_be_written_in_several_ways(moment):
    (event,) = read_events(posted(timestamp=moment), NOW)
    assert event.timestamp == NOW - 5


def test_a_search_needs_no_item():
    (event,) = read_events(posted(event_type="search", item_id=..., query="红色 鞋"), NOW)
    assert (event.item_id, event.query) == ("", "红色 鞋")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is no JSON"),
        (b"[]", 'must be an object {"events": […]}'),
        (b'{"events": {}}', 'must be an object {"events": […]}'),
        (b'{"events": []}', "0 events were posted, allowed are 1 to 500"),
        (b'{"events": [7]}', "events[0]: it is 7, it must be an object"),
        (posted(event_id=...), "events[0]: event_id is missing, it must be a text"),
        (posted(user_id=""), "user_id is '', it must be a text of 1 to 200 characters"),
        (posted(user_id="x" * 201), "it must be a text of 1 to 200 characters"),
        (posted(user_id=7), "user_id is 7, it must be a text"),
        (posted(user_id="a\0b"), "it must be a text"),
        (posted(event_type="scroll"), "event_type is 'scroll', it must be one of impression, view"),
        (posted(item_id=...), "item_id is missing; only a search has none"),
        (posted(timestamp=...), "timestamp is missing, it must be seconds since 1970 UTC"),
        (posted(timestamp="yesterday"), "timestamp is 'yesterday', it must be seconds"),
        (posted(timestamp="2026-05-28T20:26:35"), "a time with its zone"),
        (posted(timestamp=True), "timestamp is True, it must be seconds"),
        (posted(timestamp=NOW + 301), "timestamp lies +301 s from now"),
        (posted(timestamp=NOW - 40 * 86400), "allowed are -2,592,000 to +300 s"),
        (posted(price=-1), "price is -1, it must be a number from 0 on"),
        (posted(price="2.50"), "price is '2.50', it must be a number"),
        (posted(model_version=1.5), "model_version is 1.5, it must be a whole number"),
        (posted(colour="red"), "'colour' is unknown; allowed are event_id, user_id"),
    ],
)
def test_a_mistake_is_told_with_what_is_allowed(body, told):
    with pytest.raises(PostedEventsError) as error:
        read_events(body, NOW)
    assert told in str(error.value)


def test_one_bad_event_among_many_is_named_and_none_is_taken():
    events = [{**GOOD, "event_id": str(number)} for number in range(9)]
    events[6]["price"] = "free"
    with pytest.raises(PostedEventsError, match=r"^events\[6\]: price is 'free'"):
        read_events(json.dumps({"events": events}).encode(), NOW)


def test_no_more_than_is_allowed_at_once():
    events = [{**GOOD, "event_id": str(number)} for number in range(MOST_EVENTS + 1)]
    assert len(read_events(json.dumps({"events": events[1:]}).encode(), NOW)) == MOST_EVENTS
    with pytest.raises(PostedEventsError, match="501 events were posted"):
        read_events(json.dumps({"events": events}).encode(), NOW)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(
    st.builds(
        dict,
        event_id=TEXT.filter(lambda text: len(text) <= 200),
        user_id=TEXT.filter(lambda text: len(text) <= 200),
        item_id=TEXT.filter(lambda text: len(text) <= 200),
        event_type=st.sampled_from(EVENT_TYPES),
        timestamp=st.floats(NOW - 86_400, NOW),
        price=st.none() | st.floats(0, 1e6),
    )
)
def test_whatever_keeps_the_rules_comes_through_unchanged(event):
    (taken,) = read_events(json.dumps({"events": [event]}).encode(), NOW)
    assert {name: getattr(taken, name) for name in event} == event


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists) | st.binary())
def test_whatever_is_posted_is_taken_or_refused_in_words(content):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    taken = told = None
    try:
        taken = read_events(body, NOW)
    except PostedEventsError as error:
        told = str(error)
    assert taken or 10 < len(told) < 500
