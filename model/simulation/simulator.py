"""Lets simulated shoppers live: sessions of steps that follow tastes, habits and pairings.

A step's item comes from one of three sources: a *link* of the last item (complements when it was
bought, substitutes when it was only viewed), a *habit* (one of the shopper's own purchases), or
*taste* (a favourite category, then a member of it by style). The chance to buy depends on the
source. All shoppers take their n-th step at once, so the work is in numpy.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from model.simulation.simulated_world import DAY, FAVOURITE_SHARE, LINK_WEIGHTS, ShopSize, World

MEMORY = 64  # own purchases that a habit draws from: the last ones
CONTINUE = 0.65  # chance of another step in a session
LINK, HABIT, TASTE = 0, 1, 2
FIRST_STEP = (0.25, 0.35)  # chance of a link and of a habit in a session's first step
LATER_STEP = (0.50, 0.12)
BUY = (0.28, 0.45, 0.14)  # by source
SESSION_GAP = 5_400  # between sessions of one shopper, longer than a session lasts
EVENTS_A_SESSION = 7.0  # measured: impressions and clicks included
WEEKDAY = np.array([1.0, 0.95, 0.95, 1.0, 1.1, 1.3, 1.25])
HOUR = np.array([2, 1, 1, 1, 1, 2, 3, 5, 6, 7, 7, 7, 8, 7, 6, 6, 7, 8, 10, 12, 13, 12, 9, 5], float)

Progress = Callable[[float], None]


@dataclass
class Minds:
    """What the shoppers remember; changes with every step.

    Attributes:
        last: int[U], last item looked at, -1 for nobody yet.
        bought_last: bool[U], whether it was bought.
        purchases: int[U, MEMORY], a ring of the own purchases.
        count: int[U], purchases so far.
    """

    last: np.ndarray
    bought_last: np.ndarray
    purchases: np.ndarray
    count: np.ndarray

    @staticmethod
    def empty(shoppers: int) -> "Minds":
        """Nobody has done anything."""
        return Minds(
            np.full(shoppers, -1),
            np.zeros(shoppers, bool),
            np.zeros((shoppers, MEMORY), np.int64),
            np.zeros(shoppers, np.int64),
        )

    def copy_into(self, other: "Minds", who: np.ndarray) -> None:
        """Copy the state of some shoppers."""
        for name in ("last", "bought_last", "purchases", "count"):
            getattr(other, name)[who] = getattr(self, name)[who]


@dataclass
class Steps:
    """What happened, one row a step."""

    shopper: list[np.ndarray] = field(default_factory=list)
    item: list[np.ndarray] = field(default_factory=list)
    second: list[np.ndarray] = field(default_factory=list)
    bought: list[np.ndarray] = field(default_factory=list)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All rows."""
        columns = (self.shopper, self.item, self.second, self.bought)
        shopper, item, second, bought = (np.concatenate(column) for column in columns)
        return shopper, item, second, bought


@dataclass(frozen=True)
class Life:
    """A whole simulated log.

    Attributes:
        starts: int64[S] start of every session; `owners` int[S] its shopper.
        owners: See above.
        steps: Columns shopper, item, second, bought.
        snapshot: Minds as they were at the oracle's moment.
    """

    starts: np.ndarray
    owners: np.ndarray
    steps: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    snapshot: Minds


@dataclass
class Crowd:
    """Shoppers who act; each method lets some of them take a step at their own time."""

    size: ShopSize
    world: World
    rng: np.random.Generator
    minds: Minds
    steps: Steps = field(default_factory=Steps)

    def session(self, who: np.ndarray, now: np.ndarray) -> None:
        """One session of every shopper in `who`, step by step until all have left."""
        shares = FIRST_STEP
        while len(who):
            item, source = self.choose(who, now, shares)
            bought = self.rng.random(len(who)) < np.array(BUY)[source]
            self.steps.shopper.append(who)
            self.steps.item.append(item)
            self.steps.second.append(now)
            self.steps.bought.append(bought)
            self._remember(who, item, bought)
            stay = self.rng.random(len(who)) < CONTINUE
            pause = self.rng.integers(25, 150, len(who))
            who, now = who[stay], (now + pause)[stay]
            shares = LATER_STEP

    def _remember(self, who: np.ndarray, item: np.ndarray, bought: np.ndarray) -> None:
        minds, buyers = self.minds, who[bought]
        minds.last[who], minds.bought_last[who] = item, bought
        minds.purchases[buyers, minds.count[buyers] % MEMORY] = item[bought]
        minds.count[buyers] += 1

    def choose(
        self, who: np.ndarray, now: np.ndarray, shares: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The next item of some shoppers and where it came from (`LINK`, `HABIT`, `TASTE`)."""
        world, minds = self.world, self.minds
        roll = self.rng.random(len(who))
        source = np.where(roll < shares[0], LINK, np.where(roll < sum(shares), HABIT, TASTE))
        source[(source == LINK) & (minds.last[who] < 0)] = TASTE
        source[(source == HABIT) & (minds.count[who] == 0)] = TASTE
        item = self._by_taste(who, now)
        item[source == LINK] = self._by_link(who[source == LINK])
        item[source == HABIT] = self._by_habit(who[source == HABIT])
        return np.where(world.launched[item] <= now, item, world.elder[item]), source

    def _by_link(self, who: np.ndarray) -> np.ndarray:
        kind = np.searchsorted(np.cumsum(LINK_WEIGHTS)[:-1], self.rng.random(len(who)))
        last, bought = self.minds.last[who], self.minds.bought_last[who]
        complement, substitute = self.world.complements, self.world.substitutes
        return np.where(bought, complement[last, kind], substitute[last, kind])

    def _by_habit(self, who: np.ndarray) -> np.ndarray:
        known = np.minimum(self.minds.count[who], MEMORY)
        return self.minds.purchases[who, (self.rng.random(len(who)) * known).astype(int)]

    def _by_taste(self, who: np.ndarray, now: np.ndarray) -> np.ndarray:
        world, rng, epoch = self.world, self.rng, epoch_of(self.size, now)
        rank = (world.favour[epoch, who] < rng.random(len(who))[:, None]).sum(axis=1)
        category = world.favourites[epoch, who, np.minimum(rank, world.favourites.shape[2] - 1)]
        stray = rng.random(len(who)) >= FAVOURITE_SHARE
        category[stray] = rng.integers(0, world.categories, stray.sum())
        chance = world.chance[category, world.style[epoch, who]]
        member = (chance < rng.random(len(who))[:, None]).sum(axis=1)
        return world.members[category, member]


def live(
    size: ShopSize, world: World, snapshot_at: int, rng: np.random.Generator, progress: Progress
) -> Life:
    """Simulate everyone from the first day to the last.

    Args:
        size: How large the shop is.
        world: Its truth.
        snapshot_at: The moment whose minds are kept, seconds UTC.
        rng: Source of chance.
        progress: Called with the share done.
    """
    starts, owners, first = _sessions(size, world, rng)
    crowd = Crowd(size, world, rng, Minds.empty(size.shoppers))
    snapshot = Minds.empty(size.shoppers)
    pending = np.ones(size.shoppers, bool)  # whose snapshot is still to be taken
    counts = np.diff(first)
    for turn in range(int(counts.max(initial=0))):
        who = np.flatnonzero(counts > turn)
        now = starts[first[who] + turn]
        opens = pending[who] & (now >= snapshot_at)
        crowd.minds.copy_into(snapshot, who[opens])
        pending[who[opens]] = False
        crowd.session(who, now)
        progress(1 - len(who) / size.shoppers)
    crowd.minds.copy_into(snapshot, np.flatnonzero(pending))
    return Life(starts, owners, crowd.steps.arrays(), snapshot)


def _sessions(
    size: ShopSize, world: World, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start and owner of every session by owner and time, and where each owner's begin."""
    present = (size.end - world.joined) / (size.days * DAY)
    wanted = world.rate * present
    expected = wanted / wanted.sum() * size.events / EVENTS_A_SESSION
    owners = np.repeat(np.arange(size.shoppers), rng.poisson(expected))
    day = _days(size, world.joined[owners], rng)
    hour = np.searchsorted(np.cumsum(HOUR) / HOUR.sum(), rng.random(len(owners)))
    starts = size.start + day * DAY + hour * 3_600 + rng.integers(0, 3_600, len(owners))
    order = np.lexsort((starts, owners))
    owners, starts = owners[order], np.maximum(starts[order], world.joined[owners[order]])
    first = np.searchsorted(owners, np.arange(size.shoppers + 1))
    # Keep sessions of one shopper apart: running maximum of start - place * gap, per owner.
    shift = (np.arange(len(owners)) - first[owners]) * SESSION_GAP
    apart = np.maximum.accumulate(starts - shift + owners * 10**10) - owners * 10**10 + shift
    inside = apart < size.end - SESSION_GAP
    owners, apart = owners[inside], apart[inside]
    return apart, owners, np.searchsorted(owners, np.arange(size.shoppers + 1))


def _days(size: ShopSize, joined: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A day for every session, weekends being busier, none before the owner joined."""
    weekday = (np.arange(size.days) + size.start // DAY + 3) % 7  # 1970-01-01 was a Thursday
    busy = np.concatenate(([0.0], np.cumsum(WEEKDAY[weekday])))
    since = busy[(joined - size.start) // DAY]
    drawn = since + rng.random(len(joined)) * (busy[-1] - since)
    return np.searchsorted(busy, drawn, side="right") - 1


def epoch_of(size: ShopSize, now: np.ndarray) -> np.ndarray:
    """0 before tastes shift, 1 after."""
    if not size.taste_shift_day:
        return np.zeros(np.shape(now), np.int64)
    return (now >= size.start + size.taste_shift_day * DAY).astype(np.int64)
