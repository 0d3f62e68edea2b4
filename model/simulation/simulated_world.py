"""The simulated shop's hidden truth: items, what goes with what, and what each shopper likes."""

from dataclasses import dataclass

import numpy as np

DAY = 86_400
STYLES = 4  # groups of brands; a shopper prefers one
LINKS = 5  # substitutes and complements of an item
LINK_WEIGHTS = np.array([0.40, 0.25, 0.15, 0.12, 0.08])
FAVOURITES = 4  # categories that a shopper cares for
FAVOURITE_SHARE = 0.9  # of the tastes; the rest is any category


@dataclass(frozen=True)
class ShopSize:
    """How large the simulated shop is.

    Attributes:
        shoppers: People, bots not counted.
        items: Size of the catalogue.
        events: Rows of the log before copies and broken rows are planted.
        days: Length of the log.
        bots: Planted bots.
        seed: Makes the shop; equal seeds give equal shops.
        taste_shift_day: Day on which everyone's tastes move; 0 is never.
        start: First second of the log, UTC.
    """

    shoppers: int = 10_000
    items: int = 2_000
    events: int = 600_000
    days: int = 120
    bots: int = 20
    seed: int = 7
    taste_shift_day: int = 0
    start: int = 1_767_225_600  # 2026-01-01

    @property
    def end(self) -> int:
        """First second after the log."""
        return self.start + self.days * DAY


@dataclass(frozen=True)
class World:
    """What nobody but the simulator knows. C categories, M items in the largest of them.

    Attributes:
        category: int[N] of every item.
        brand: int[N], of `STYLES` brands of its category.
        price: float[N].
        popularity: float[N], weight within the category.
        launched: int64[N], seconds UTC.
        elder: int[N], an item of the same category that was there from the first day.
        members: int[C, M], items of a category, the last repeated.
        chance: float[C, STYLES, M], cumulative choice of a member by a style.
        substitutes: int[N, LINKS], looked at next when an item was only viewed.
        complements: int[N, LINKS], looked at next when it was bought.
        favourites: int[2, U, FAVOURITES], before and after the shift.
        favour: float[2, U, FAVOURITES], cumulative weight of the favourites.
        style: int[2, U].
        joined: int64[U], when a shopper first came.
        rate: float[U], sessions a day relative to others.
    """

    category: np.ndarray
    brand: np.ndarray
    price: np.ndarray
    popularity: np.ndarray
    launched: np.ndarray
    elder: np.ndarray
    members: np.ndarray
    chance: np.ndarray
    substitutes: np.ndarray
    complements: np.ndarray
    favourites: np.ndarray
    favour: np.ndarray
    style: np.ndarray
    joined: np.ndarray
    rate: np.ndarray

    @property
    def categories(self) -> int:
        """C."""
        return len(self.members)


def make_world(size: ShopSize, rng: np.random.Generator) -> World:
    """Draw a shop."""
    categories = int(np.clip(size.items // 40, 2, 50))
    category = rng.permutation(np.arange(size.items) % categories)
    brand = rng.integers(0, STYLES, size.items)
    popularity = _zipf_within(category, categories, rng)
    launched = _launches(size, category, categories, rng)
    elder = _elders(category, categories, launched <= size.start)
    members, chance = _choices(category, brand, popularity, categories)
    base = rng.lognormal(3.2, 0.8, categories)
    price = np.round(base[category] * (0.7 + 0.25 * brand) * rng.lognormal(0, 0.25, size.items), 2)
    partner = rng.permutation(categories)  # the category that completes another
    return World(
        category=category,
        brand=brand,
        price=np.maximum(price, 0.5),
        popularity=popularity,
        launched=launched,
        elder=elder,
        members=members,
        chance=chance,
        substitutes=_links(category, brand, category, popularity, rng),
        complements=_links(partner[category], brand, category, popularity, rng),
        **_shoppers(size, categories, rng),
    )


def _zipf_within(category: np.ndarray, categories: int, rng: np.random.Generator) -> np.ndarray:
    """Popularity 1/rank^0.8 in every category."""
    weight = np.empty(len(category))
    for number in range(categories):
        items = rng.permutation(np.flatnonzero(category == number))
        weight[items] = np.arange(1, len(items) + 1) ** -0.8
    return weight


def _launches(
    size: ShopSize, category: np.ndarray, categories: int, rng: np.random.Generator
) -> np.ndarray:
    """One item in twelve is launched while the log runs; each category has an elder item."""
    ages = rng.integers(0, 900 * DAY, len(category))
    launched = size.start - ages
    late = rng.random(len(category)) < 1 / 12
    launched[late] = size.start + rng.integers(0, size.days * DAY, late.sum())
    first = np.array([np.flatnonzero(category == number)[0] for number in range(categories)])
    launched[first] = size.start - 900 * DAY
    return launched.astype(np.int64)


def _elders(category: np.ndarray, categories: int, old: np.ndarray) -> np.ndarray:
    elder = np.arange(len(category))
    for number in range(categories):
        inside = category == number
        stand_ins = np.flatnonzero(inside & old)
        late = np.flatnonzero(inside & ~old)
        elder[late] = stand_ins[np.arange(len(late)) % len(stand_ins)]
    return elder


def _choices(
    category: np.ndarray, brand: np.ndarray, popularity: np.ndarray, categories: int
) -> tuple[np.ndarray, np.ndarray]:
    """Members of every category and the cumulative chance that a style picks each."""
    largest = np.bincount(category, minlength=categories).max()
    members = np.zeros((categories, largest), np.int64)
    chance = np.ones((categories, STYLES, largest))
    for number in range(categories):
        items = np.flatnonzero(category == number)
        members[number] = items[np.minimum(np.arange(largest), len(items) - 1)]
        liking = np.exp(1.8 * (brand[items] == np.arange(STYLES)[:, None]))  # (style, member)
        weight = np.cumsum(liking * popularity[items], axis=1)
        chance[number, :, : len(items)] = weight / weight[:, -1:]
    return members, chance


def _links(
    goal: np.ndarray,
    brand: np.ndarray,
    category: np.ndarray,
    popularity: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """For every item `LINKS` others of its goal category, rather popular and of its brand."""
    links = np.empty((len(goal), LINKS), np.int64)
    for item in range(len(goal)):
        pool = np.flatnonzero((category == goal[item]) & (np.arange(len(goal)) != item))
        liking = popularity[pool] ** 0.5 * np.where(brand[pool] == brand[item], 2.0, 1.0)
        # Gumbel's trick: the largest of log weight + noise is a draw without replacement.
        drawn = np.argsort(-(np.log(liking) + rng.gumbel(size=len(pool))))[:LINKS]
        links[item] = np.resize(pool[drawn], LINKS)
    return links


def _shoppers(size: ShopSize, categories: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    count, favourites = size.shoppers, min(FAVOURITES, categories)
    # Categories differ in how many people care: 1/rank^0.5.
    crowd = np.log(np.arange(1, categories + 1) ** -0.5)
    drawn = [
        np.argsort(-(crowd + rng.gumbel(size=(count, categories))), axis=1)[:, :favourites]
        for _ in range(2)
    ]
    weights = rng.dirichlet(np.full(favourites, 0.8), size=(2, count))
    late = rng.random(count) < 0.15
    joined = np.where(late, size.start + rng.integers(0, size.days * DAY, count), size.start)
    return {
        "favourites": np.stack(drawn),
        "favour": np.cumsum(weights, axis=2),
        "style": rng.integers(0, STYLES, (2, count)),
        "joined": joined.astype(np.int64),
        "rate": rng.lognormal(0, 0.7, count),
    }
