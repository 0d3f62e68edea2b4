"""The simulated shop's event log: what shoppers did, what they were shown, bots, and dirt."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.schema import CART, CLICK, EVENT_TYPES, IMPRESSION, PURCHASE, SEARCH, VIEW
from model.simulation.simulated_catalogue import item_ids, queries, user_ids
from model.simulation.simulated_world import DAY, ShopSize, World
from model.simulation.simulator import Life

SHOWN = 5  # items of a list
LIST_SHARE = 0.45  # sessions that begin with a list
SEARCH_SHARE = 0.25  # sessions that begin with a search
EXAMINED = np.arange(1, SHOWN + 1) ** -0.9  # chance that a position is looked at
RELEVANT, IRRELEVANT = 0.45, 0.04  # chance of a click once looked at
CART_BEFORE_PURCHASE, CART_WITHOUT = 0.7, 0.10
BOT_DAYS, BOT_ACTS = 2, 750  # days a bot works, acts on each
COPIES, BROKEN = 0.004, 0.0006  # shares of rows that arrive twice, or are wrong
KIND = {name: index for index, name in enumerate(EVENT_TYPES)}


@dataclass(frozen=True)
class Rows:
    """Events before they get ids; -1 and NaN mean nothing. All columns have one length."""

    user: np.ndarray
    item: np.ndarray
    kind: np.ndarray
    second: np.ndarray
    query: np.ndarray
    position: np.ndarray
    quantity: np.ndarray

    @staticmethod
    def of(
        kind: str,
        user: np.ndarray,
        item: np.ndarray | int,
        second: np.ndarray,
        *,
        query: np.ndarray | int = -1,
        position: np.ndarray | int = -1,
        quantity: np.ndarray | float = np.nan,
    ) -> "Rows":
        """Rows of one event type; numbers are repeated."""
        count = len(user)
        return Rows(
            user.astype(np.int32),
            np.broadcast_to(item, count).astype(np.int32),
            np.full(count, KIND[kind], np.int8),
            second.astype(np.int64),
            np.broadcast_to(query, count).astype(np.int16),
            np.broadcast_to(position, count).astype(np.int8),
            np.broadcast_to(quantity, count).astype(np.float32),
        )

    def take(self, places: np.ndarray) -> "Rows":
        """Some rows, in the order of `places`."""
        return Rows(*(column[places] for column in self.columns()))

    def columns(self) -> tuple[np.ndarray, ...]:
        """All columns in order."""
        return tuple(vars(self).values())

    @staticmethod
    def joined(parts: list["Rows"]) -> "Rows":
        """Parts after one another."""
        return Rows(*map(np.concatenate, zip(*(part.columns() for part in parts), strict=True)))


def write_down(
    size: ShopSize, world: World, life: Life, rng: np.random.Generator
) -> tuple[pa.Table, list[str]]:
    """The log in the order of time, exactly `size.events` rows where life had enough of them.

    Bots that would take more than a fifth of a small log come on top of its size.

    Returns:
        The table, and the ids of the planted bots.
    """
    bots = _bots(size, world, rng)
    planted = int(size.events * COPIES) + int(size.events * BROKEN)
    planted += len(bots.user) if len(bots.user) <= size.events / 5 else 0
    human = Rows.joined([*_acts(life, rng), *_lists(world, life, rng)])
    newest = np.argsort(-human.second, kind="stable")[: max(size.events - planted, 1)]
    rows = Rows.joined([human.take(newest), bots])
    rows = rows.take(np.argsort(rows.second, kind="stable"))
    table = _with_dirt(_table(size, world, rows), int(size.events * COPIES), size, rng)
    names = user_ids(size.shoppers + size.bots)[size.shoppers :]
    return table, names.tolist()


def _acts(life: Life, rng: np.random.Generator) -> list[Rows]:
    """Views, carts and purchases of every step."""
    shopper, item, second, bought = life.steps
    chance = np.where(bought, CART_BEFORE_PURCHASE, CART_WITHOUT)
    cart = rng.random(len(shopper)) < chance
    quantity = 1.0 + (rng.random(bought.sum()) < 0.1)
    return [
        Rows.of(VIEW, shopper, item, second),
        Rows.of(CART, shopper[cart], item[cart], second[cart] + 8),
        Rows.of(PURCHASE, shopper[bought], item[bought], second[bought] + 17, quantity=quantity),
    ]


def _lists(world: World, life: Life, rng: np.random.Generator) -> list[Rows]:
    """Searches, and lists of popular items that are clicked the less the lower they stand."""
    starts, owners = life.starts, life.owners
    asks = rng.random(len(starts)) < SEARCH_SHARE
    favourite = world.favourites[0, owners[asks], 0]
    query = 2 * favourite + rng.integers(0, 2, asks.sum())
    shown = np.flatnonzero(rng.random(len(starts)) < LIST_SHARE)
    weight = np.cumsum(world.popularity)
    draw = np.searchsorted(weight, rng.random((len(shown), SHOWN)) * weight[-1])
    late = world.launched[draw] > starts[shown, None]
    item = np.where(late, world.elder[draw], draw)
    mine = world.favourites[0, owners[shown]]  # (n, favourites)
    liked = (world.category[item][:, :, None] == mine[:, None]).any(axis=2)
    chance = EXAMINED * np.where(liked, RELEVANT, IRRELEVANT)
    clicked = rng.random(chance.shape) < chance
    place = np.broadcast_to(np.arange(1, SHOWN + 1), item.shape)
    who = np.broadcast_to(owners[shown, None], item.shape)
    when = np.broadcast_to(starts[shown, None] - 60, item.shape)
    return [
        Rows.of(SEARCH, owners[asks], -1, starts[asks] - 90, query=query),
        Rows.of(IMPRESSION, who.ravel(), item.ravel(), when.ravel(), position=place.ravel()),
        Rows.of(
            CLICK,
            who[clicked],
            item[clicked],
            (when + 6 * place)[clicked],
            position=place[clicked],
        ),
    ]


def _bots(size: ShopSize, world: World, rng: np.random.Generator) -> Rows:
    """Crawlers: on some nights they look at everything, at a steady pace."""
    parts = []
    for number in range(size.bots):
        for day in rng.choice(size.days, BOT_DAYS, replace=False):
            acts = int(rng.normal(BOT_ACTS, BOT_ACTS / 8))
            second = size.start + day * DAY + 7_200 + np.arange(acts) * 9
            item = rng.integers(0, len(world.category), acts)
            item = np.where(world.launched[item] <= second, item, world.elder[item])
            user = np.full(acts, size.shoppers + number)
            parts.append(Rows.of(VIEW if number % 2 else CLICK, user, item, second))
    return Rows.joined(parts or [Rows.of(VIEW, np.zeros(0), -1, np.zeros(0))])


def _table(size: ShopSize, world: World, rows: Rows) -> pa.Table:
    count = len(rows.user)
    number = pc.utf8_lpad(pa.array(np.arange(count)).cast(pa.string()), 9, "0")
    price = np.where(rows.item >= 0, world.price[rows.item], np.nan)
    columns = {
        "event_id": pc.binary_join_element_wise("e", number, ""),
        "user_id": _words(user_ids(size.shoppers + size.bots), rows.user),
        "item_id": _words(item_ids(len(world.category)), rows.item),
        "event_type": _words(np.array(EVENT_TYPES, object), rows.kind),
        "query": _words(np.array(queries(world), object), rows.query),
        "position": pa.array(rows.position.astype(np.int32), mask=rows.position < 0),
        "quantity": pa.array(rows.quantity.astype(float), from_pandas=True),
        "price": pa.array(price, from_pandas=True),
        "timestamp": pa.array(rows.second, pa.timestamp("s")),
        "model_version": pa.nulls(count, pa.string()),
    }
    return pa.table(columns)


def _words(words: np.ndarray, places: np.ndarray) -> pa.Array:
    """The word of every place; null where the place is -1."""
    indices = pa.array(places.astype(np.int32), mask=places < 0)
    return pa.array(words, pa.string()).take(indices)


def _with_dirt(table: pa.Table, copies: int, size: ShopSize, rng: np.random.Generator) -> pa.Table:
    """Plant rows that arrive twice, and rows that are wrong in five ways."""
    broken = int(size.events * BROKEN)
    if not table.num_rows:
        return table
    twice = table.take(rng.integers(0, table.num_rows, copies))
    wrong = table.take(rng.integers(0, table.num_rows, broken))
    wrong = _spoilt(wrong, "event_type", "scroll", 0)
    wrong = _spoilt(wrong, "user_id", None, 1)
    wrong = _spoilt(wrong, "price", -1.0, 2)
    wrong = _spoilt(wrong, "query", "kim.lee@example.com", 3)
    wrong = _spoilt(wrong, "user_id", "+44 20 7946 0018", 4)
    number = pa.array([f"x{row:09d}" for row in range(broken)], pa.string())
    wrong = wrong.set_column(0, "event_id", number)
    return (
        pa.concat_tables([table, twice, wrong])
        .combine_chunks()
        .sort_by([("timestamp", "ascending"), ("event_id", "ascending")])
    )


def _spoilt(rows: pa.Table, column: str, value: object, turn: int) -> pa.Table:
    """Put a wrong value into every fifth row."""
    hit = pa.array(np.arange(rows.num_rows) % 5 == turn)
    place = rows.column_names.index(column)
    kind = rows.schema.field(column).type
    spoilt = pc.if_else(hit, pa.scalar(value, kind), rows.column(column))
    return rows.set_column(place, column, spoilt)
