"""What is kept of valid rows: no duplicates, no bots, no rare users and items; then numbered.

Only joins, group-bys and `row_number`/`lag` windows with complete orders, so that DuckDB and
PostgreSQL give the same rows.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis

from model.schema import EVENT_TYPE_INDEX, HISTORY_EVENT_TYPES, IMPRESSION, PURCHASE, SEARCH

DAY = 86_400
EVENT = "event"  # the outcome of a row that stays
BOT = "bot"
RARE = "rare user or item"
Save = Callable[[str, ibis.Table], ibis.Table]  # name and rows → a temporary table of them


@dataclass(frozen=True)
class Moments:
    """The clock of a dataset, all in seconds UTC.

    Attributes:
        oldest: Rows before it are left out.
        validation_start: Train ends here.
        test_start: The cut: nothing at or after it may change what a model learns from.
        as_of: The last second that counts.
    """

    oldest: int
    validation_start: int
    test_start: int
    as_of: int


@dataclass(frozen=True)
class Limits:
    """What is too much or too little.

    Attributes:
        max_events_per_day: A user with more deliberate acts on one day is a bot.
        min_user_events: k of the k-core for users.
        min_item_events: k of the k-core for items.
        session_gap_seconds: A longer pause begins a new session.
        unknown_users: Ids that mean "nobody knows who".
    """

    max_events_per_day: int
    min_user_events: int
    min_item_events: int
    session_gap_seconds: int
    unknown_users: tuple[str, ...] = ()


def with_event_ids(rows: ibis.Table) -> ibis.Table:
    """Give rows of a log without event ids a stable one: their content and its occurrence.

    Equal rows are equal events, so which of them gets which number does not matter.
    """
    parts = [
        rows.user_id.fill_null(""),
        rows.item_id.fill_null(""),
        rows.event_type,
        rows.timestamp.cast("string"),
        # Numbers as whole thousandths: databases print floats differently.
        (rows.quantity * 1000).round().cast("int64").cast("string").fill_null(""),
        (rows.price * 1000).round().cast("int64").cast("string").fill_null(""),
    ]
    content = parts[0]
    for part in parts[1:]:
        content = content + "|" + part
    rows = rows.mutate(event_id=content)
    window = ibis.window(group_by="event_id", order_by=["timestamp"])
    rows = rows.mutate(occurrence=ibis.row_number().over(window))
    whole = rows.event_id + "|" + rows.occurrence.cast("string")
    return rows.mutate(event_id=whole).drop("occurrence")


def first_of_each(rows: ibis.Table, save: Save) -> ibis.Table:
    """Keep the earliest row of every event id: a later copy cannot change the past.

    Copies are few, so only ids that come several times are put in order.
    """
    counted = rows.group_by("event_id").agg(copies=rows.count())
    several = save("several", counted.filter(counted.copies > 1).select("event_id"))
    order = ["timestamp", "user_id", "item_id", "event_type", "quantity", "price"]
    copied = rows.semi_join(several, "event_id")
    window = ibis.window(group_by="event_id", order_by=order)
    numbered = copied.mutate(copy=ibis.row_number().over(window))
    first = numbered.filter(numbered.copy == 0).drop("copy")
    return rows.anti_join(several, "event_id").union(first)


def with_outcome(rows: ibis.Table, moments: Moments, limits: Limits) -> ibis.Table:
    """Say of every row why it is left out, or `event`."""
    unknown = (
        rows.user_id.isin(limits.unknown_users) if limits.unknown_users else ibis.literal(False)
    )
    outcome = ibis.cases(
        (rows.timestamp > moments.as_of, "after as_of"),
        (rows.timestamp < moments.oldest, "before the window"),
        (unknown, "unknown user"),
        (rows.event_type == IMPRESSION, "impression"),
        (rows.event_type == SEARCH, "search"),
        ((rows.event_type == PURCHASE) & (rows.quantity < 0).fill_null(False), "return"),
        else_=EVENT,
    )
    return rows.mutate(outcome=outcome)


def marked(save: Save, events: ibis.Table, moments: Moments, limits: Limits) -> ibis.Table:
    """Say of every event whether it is a bot's, of a rare user or item, or stays."""
    watched = _with_bots(save, events, moments, limits)
    rare_users, rare_items = rare_keys(watched.filter(~watched.is_bot), moments, limits, save)
    joined = watched.left_join(rare_users, watched.user_id == rare_users.rare_user)
    joined = joined.left_join(rare_items, joined.item_id == rare_items.rare_item)
    rare = joined.rare_user.notnull() | joined.rare_item.notnull()
    rare = rare & (joined.timestamp < moments.test_start)
    outcome = ibis.cases((joined.is_bot, BOT), (rare, RARE), else_=EVENT)
    return joined.mutate(outcome=outcome).drop("is_bot", "rare_user", "rare_item")


def _with_bots(save: Save, events: ibis.Table, moments: Moments, limits: Limits) -> ibis.Table:
    """Add `is_bot`: rows of users with too many acts on one day.

    A day before the cut marks all rows of the user; a day after it only those after it, so that
    later behaviour does not reach back into what was learned from.
    """
    daily = events.mutate(
        day=(events.timestamp / DAY).floor().cast("int64"),
        late=_one(events.timestamp >= moments.test_start),
    )
    busy = daily.group_by("user_id", "day", "late").agg(acts=daily.count())
    busy = busy.filter(busy.acts > limits.max_events_per_day)
    bots = busy.group_by("user_id").agg(since=busy.late.min())
    bots = save("bots", bots.select(bot=bots.user_id, since=bots.since))
    joined = events.left_join(bots, events.user_id == bots.bot)
    late = joined.timestamp >= moments.test_start
    is_bot = ((joined.since == 0) | ((joined.since == 1) & late)).fill_null(ibis.literal(False))
    return joined.mutate(is_bot=is_bot).drop("bot", "since")


def rare_keys(
    events: ibis.Table, moments: Moments, limits: Limits, save: Save
) -> tuple[ibis.Table, ibis.Table]:
    """Users and items outside the k-core before the cut, found by cutting until nothing changes.

    Returns:
        Tables of `rare_user` and of `rare_item`.
    """
    before = events.filter(events.timestamp < moments.test_start)
    pairs = save("pairs", before.group_by("user_id", "item_id").agg(acts=before.count()))
    least = {"item_id": limits.min_item_events, "user_id": limits.min_user_events}
    rare = {key: save(f"no_{key}", pairs.limit(0).select(key)) for key in least}
    turns = itertools.cycle(least)
    stable = turn = 0
    while stable < len(least):
        key, turn = next(turns), turn + 1
        totals = pairs.group_by(key).agg(total=pairs.acts.sum())
        found = save(f"found_{turn}", totals.filter(totals.total < least[key]).select(key))
        stable += 1
        if found.count().execute():
            pairs = save(f"pairs_{turn}", pairs.anti_join(found, key))
            rare[key] = save(f"rare_{turn}", rare[key].union(found))
            stable = 1
    users, items = rare["user_id"], rare["item_id"]
    return users.select(rare_user=users.user_id), items.select(rare_item=items.item_id)


def numbered_users(kept: ibis.Table, moments: Moments) -> ibis.Table:
    """Number users from 0: those known before the cut first, so that newcomers renumber nobody."""
    early = _one(kept.timestamp < moments.test_start)
    users = kept.group_by("user_id").agg(train_events=early.sum().cast("int64"))
    order = [_one(users.train_events == 0), users.user_id]
    return users.mutate(user_index=ibis.row_number().over(ibis.window(order_by=order)))


def numbered_items(kept: ibis.Table, moments: Moments) -> ibis.Table:
    """Number items from 1, the most bought before the cut first; items seen only after it follow.

    `known` tells the vocabulary from the others; `train_count` counts purchases before the cut, or
    all events when nothing was bought.
    """
    early = kept.timestamp < moments.test_start
    bought = early & (kept.event_type == PURCHASE)
    items = kept.group_by("item_id").agg(
        acts=_one(early).sum().cast("int64"),
        purchases=_one(bought).sum().cast("int64"),
    )
    any_purchase = items.purchases.sum().over(ibis.window()) > 0
    items = items.mutate(
        known=items.acts > 0, train_count=any_purchase.ifelse(items.purchases, items.acts)
    )
    order = [
        _one(items.acts == 0),
        items.train_count.desc(),
        items.acts.desc(),
        items.item_id,
    ]
    return items.mutate(item_number=ibis.row_number().over(ibis.window(order_by=order)) + 1)


def flat(kept: ibis.Table, users: ibis.Table, items: ibis.Table, limits: Limits) -> ibis.Table:
    """The rows of the dataset by number, in the order user, time, event id."""
    people = users.select(person=users.user_id, user_index=users.user_index)
    things = items.select(thing=items.item_id, item_number=items.item_number, known=items.known)
    rows = kept.inner_join(people, kept.user_id == people.person)
    rows = rows.inner_join(things, rows.item_id == things.thing)
    rows = with_sessions(rows.mutate(event_type=_type_index(rows.event_type)), limits)
    columns = ["item_number", "known", "event_type", "session", "quantity", "price"]
    ordered = rows.order_by(["user_index", "timestamp", "event_id"])
    return ordered.select(["user_index", "timestamp", *columns])


def with_sessions(rows: ibis.Table, limits: Limits) -> ibis.Table:
    """Number each user's sessions from 0; a pause longer than the gap begins a new one."""
    order = {"group_by": "user_index", "order_by": ["timestamp", "event_id"]}
    pause = rows.timestamp - rows.timestamp.lag().over(ibis.window(**order))
    begins = _one(pause > limits.session_gap_seconds)
    rows = rows.mutate(begins=begins)
    session = rows.begins.sum().over(ibis.cumulative_window(**order)).cast("int64")
    return rows.mutate(session=session).drop("begins")


def _type_index(column: Any) -> Any:
    """The model's number of an event type of the history."""
    numbers = [(name, EVENT_TYPE_INDEX[name]) for name in HISTORY_EVENT_TYPES]
    return column.cases(*numbers, else_=0).cast("int64")


def _one(condition: Any) -> Any:
    """1 where a condition holds, else 0; PostgreSQL casts no boolean to bigint."""
    return condition.ifelse(1, 0).cast("int64")
