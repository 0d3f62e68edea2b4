"""The state of a shopper, with values worked out by hand."""

from hypothesis import given
from hypothesis import strategies as st

from model.history import Event, UserState, user_state
from model.schema import EVENT_TYPES

EVENTS = [
    Event("a", "view", 100),
    Event("b", "purchase", 110),
    Event("c", "impression", 115),
    Event("", "search", 116),
    Event("a", "purchase", 120),
    Event("b", "purchase", 130),
    Event("d", "cart", 140),
    Event("z", "purchase", 150),
]


def test_state_by_hand():
    assert user_state(EVENTS, at=150, length=6, frequent=3) == UserState(
        history=("", "a", "b", "a", "b", "d"),
        history_event_type=("", "view", "purchase", "purchase", "purchase", "cart"),
        history_age_seconds=(0.0, 50.0, 40.0, 30.0, 20.0, 10.0),
        frequent_items=("", "b", "a"),
        frequent_counts=(0.0, 2.0, 1.0),
    )


def test_only_the_last_events_and_the_most_frequent_items_are_kept():
    state = user_state(EVENTS, at=150, length=2, frequent=1)
    assert state.history == ("b", "d")
    assert state.frequent_items == ("b",)


def test_without_a_purchase_every_act_counts_and_ties_go_to_the_newest_then_the_id():
    events = [
        Event("x", "view", 10),
        Event("y", "view", 20),
        Event("w", "click", 20),
        Event("v", "view", 5),
        Event("v", "cart", 6),
    ]
    state = user_state(events, at=100, length=1, frequent=4)
    assert state.frequent_items == ("v", "w", "y", "x")
    assert state.frequent_counts == (2.0, 1.0, 1.0, 1.0)


def test_nobody_known_is_all_padding():
    assert user_state([], at=5, length=2, frequent=1) == UserState(
        ("", ""), ("", ""), (0.0, 0.0), ("",), (0.0,)
    )


def test_events_of_one_second_keep_their_order():
    events = [Event(name, "view", 7) for name in "cab"]
    assert user_state(events, at=8, length=3, frequent=0).history == ("c", "a", "b")


EVENT = st.builds(Event, st.sampled_from("abcde"), st.sampled_from(EVENT_TYPES), st.integers(0, 50))


@given(st.lists(EVENT), st.integers(0, 60), st.integers(0, 5), st.integers(0, 5))
def test_the_future_is_never_seen(events, at, length, frequent):
    past = [event for event in events if event.timestamp < at]
    state = user_state(events, at, length, frequent)
    assert state == user_state(past, at, length, frequent)
    assert len(state.history) == len(state.history_age_seconds) == length
    assert len(state.frequent_items) == len(state.frequent_counts) == frequent


@given(st.permutations([Event("abc"[second % 3], "purchase", second) for second in range(20)]))
def test_order_of_arrival_does_not_matter_when_times_differ(mixed):
    expected = user_state(sorted(mixed, key=lambda event: event.timestamp), 15, 6, 3)
    assert user_state(mixed, 15, 6, 3) == expected
