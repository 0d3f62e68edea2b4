"""The best that anyone could recommend in the simulated shop: ranks by the true probabilities.

For a shopper with a known mind the expected purchases of the first buying session are a sum over
its steps. The share of shoppers who are at item l in one of four situations is a vector over items:

- `fresh`: about to begin a session, nothing bought yet in the window, last item bought or not
- `looking`: inside a session, nothing bought yet
- `bought`, `viewed`: inside the first buying session, last item bought or only viewed

A step maps these vectors linearly (links, habits and tastes are fixed when the window opens), so
eight rounds give the expectation; fewer than one shopper in ten is still looking then, and these
follow the same tastes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from model.simulation.simulated_world import (
    FAVOURITE_SHARE,
    LINK_WEIGHTS,
    LINKS,
    ShopSize,
    World,
)
from model.simulation.simulator import (
    BUY,
    CONTINUE,
    FIRST_STEP,
    HABIT,
    LATER_STEP,
    LINK,
    MEMORY,
    TASTE,
    Minds,
    epoch_of,
)

ROUNDS = 8
AT_ONCE = 128  # shoppers a piece: 128 x 2,000 items x 4 bytes stay in the processor's cache


@dataclass(frozen=True)
class Oracle:
    """Knows the world and the minds at one moment."""

    size: ShopSize
    world: World
    minds: Minds
    at: int

    def best(self, who: np.ndarray, k: int) -> np.ndarray:
        """int[n, k]: the items that each shopper will most probably buy first, best first."""
        pieces = np.array_split(who, max(1, len(who) // AT_ONCE))
        return np.concatenate([_largest(self.expected(piece), k) for piece in pieces])

    def expected(self, who: np.ndarray) -> np.ndarray:
        """float[n, N]: expected purchases of each item in the first buying session."""
        habits = _Habits(self._habits(who), self._tastes(who))
        everyone = np.ones(len(who), np.float32)
        known = (self.minds.last[who] >= 0).astype(np.float32)
        drawn = habits.draw(self._first_link(who), known, everyone, FIRST_STEP)
        seen, bought = _split(drawn)
        score = bought.copy()
        viewed = np.zeros_like(bought)
        for _ in range(ROUNDS):
            fresh, looking = (1 - CONTINUE) * seen, CONTINUE * seen
            bought, viewed = CONTINUE * bought, CONTINUE * viewed
            seen_fresh, sold_fresh = self._step(habits, fresh, None, FIRST_STEP)
            seen_later, sold_later = self._step(habits, looking, None, LATER_STEP)
            viewed, sold_more = self._step(habits, viewed, bought, LATER_STEP)
            seen, bought = seen_fresh + seen_later, sold_fresh + sold_later + sold_more
            score += bought
        return score

    def _first_link(self, who: np.ndarray) -> np.ndarray:
        """float[n, N]: where a link from the last item leads; zeros without a last item."""
        last = _one_hot(self.minds.last[who], len(self.world.category))
        bought = self.minds.bought_last[who][:, None]
        return np.where(bought, last @ self._complements, last @ self._substitutes)

    def _step(
        self,
        habits: "_Habits",
        viewed: np.ndarray,
        bought: np.ndarray | None,
        shares: tuple[float, float],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mass that is viewed and mass that is bought one step on."""
        link, total = viewed @ self._substitutes, viewed.sum(axis=1)
        if bought is not None:
            link, total = link + bought @ self._complements, total + bought.sum(axis=1)
        return _split(habits.draw(link, total, total, shares))

    @cached_property
    def _complements(self) -> sparse.csr_matrix:
        return self._matrix(self.world.complements)

    @cached_property
    def _substitutes(self) -> sparse.csr_matrix:
        return self._matrix(self.world.substitutes)

    def _matrix(self, links: np.ndarray) -> sparse.csr_matrix:
        """Chance of every item to follow another by a link."""
        count = len(links)
        rows = np.repeat(np.arange(count), LINKS)
        weights = np.tile(LINK_WEIGHTS, count).astype(np.float32)
        goals = self._there(links.ravel())
        return sparse.csr_matrix((weights, (rows, goals)), shape=(count, count))

    def _there(self, items: np.ndarray) -> np.ndarray:
        """Items, or their elders where not launched yet."""
        return np.where(self.world.launched[items] <= self.at, items, self.world.elder[items])

    def _tastes(self, who: np.ndarray) -> np.ndarray:
        """float[n, N]: chance of each item by taste."""
        world, epoch = self.world, int(epoch_of(self.size, np.array(self.at)))
        weight = np.diff(world.favour[epoch, who], axis=1, prepend=0.0) * FAVOURITE_SHARE
        liking = np.full((len(who), world.categories), (1 - FAVOURITE_SHARE) / world.categories)
        rows = np.arange(len(who))[:, None]
        liking[rows, world.favourites[epoch, who]] += weight
        chance = np.diff(world.chance, axis=2, prepend=0.0)  # (C, style, M)
        taste = np.zeros((len(who), len(world.category)), np.float32)
        style = world.style[epoch, who]
        for category in range(world.categories):
            share = liking[:, category, None] * chance[category, style]  # (n, M)
            real = chance[category].sum(axis=0) > 0
            np.add.at(taste.T, self._there(world.members[category][real]), share[:, real].T)
        return taste

    def _habits(self, who: np.ndarray) -> np.ndarray:
        """float[n, N]: share of each item in the own purchases; zeros without any."""
        habit = np.zeros((len(who), len(self.world.category)), np.float32)
        known = np.minimum(self.minds.count[who], MEMORY)
        real = np.arange(MEMORY) < known[:, None]
        rows = np.repeat(np.arange(len(who)), known)
        np.add.at(habit, (rows, self.minds.purchases[who][real]), 1.0)
        return habit / np.maximum(known, 1).astype(np.float32)[:, None]


@dataclass(frozen=True)
class _Habits:
    """float[n, N] each: chances of an item by habit (zeros without any) and by taste."""

    habit: np.ndarray
    taste: np.ndarray

    def draw(
        self,
        link: np.ndarray,
        with_link: np.ndarray,
        total: np.ndarray,
        shares: tuple[float, float],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mass of the next item by source; who has no last item or no habit follows taste."""
        by_habit = shares[1] * total * (self.habit.sum(axis=1) > 0)
        rest = total - shares[0] * with_link - by_habit
        return shares[0] * link, by_habit[:, None] * self.habit, rest[:, None] * self.taste


def _split(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mass that was only viewed, and mass that was bought."""
    bought = drawn[LINK] * BUY[LINK] + drawn[HABIT] * BUY[HABIT] + drawn[TASTE] * BUY[TASTE]
    return drawn[LINK] + drawn[HABIT] + drawn[TASTE] - bought, bought


def _one_hot(items: np.ndarray, count: int) -> np.ndarray:
    known = np.flatnonzero(items >= 0)
    whole = np.zeros((len(items), count), np.float32)
    whole[known, items[known]] = 1.0
    return whole


def _largest(scores: np.ndarray, k: int) -> np.ndarray:
    """Places of the k largest of every row, best first; ties by place."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]
