"""Ranking metrics of many shoppers at once, one value a shopper, so that they can be paired.

Every function takes `top` int[n, k], the recommended item indexes best first (0 where there was no
more to recommend), and the targets of the same n shoppers: shopper r wants the distinct items
`items[offsets[r]:offsets[r + 1]]`, where 0 stands for an item outside the vocabulary, which counts
as wanted and cannot be hit. A shopper who wants nothing has no defined value: NaN.
"""

from typing import Protocol

import numpy as np

DEBIAS_POWER = 0.5  # of the propensity; 0 is plain NDCG, 1 gives rare items all the weight


class Wanted(Protocol):
    """The part of `model.data.targets.Targets` that a metric reads."""

    offsets: np.ndarray
    items: np.ndarray
    revenue: np.ndarray


def discounts(k: int) -> np.ndarray:
    """float64[k]: 1 / log2(rank + 1) for rank 1..k (Järvelin and Kekäläinen, 2002)."""
    return 1.0 / np.log2(np.arange(2, k + 2))


def gained(top: np.ndarray, wanted: Wanted, gain: np.ndarray) -> np.ndarray:
    """What each place of each list brings. `(n, k)`.

    Args:
        top: int[n, k].
        wanted: The targets.
        gain: float[m], the worth of each row of `wanted.items`.
    """
    width = int(max(top.max(initial=0), wanted.items.max(initial=0))) + 1
    owner = _owner(wanted)
    known = wanted.items > 0
    keys = owner[known] * width + wanted.items[known]
    order = np.argsort(keys)
    keys, worth = keys[order], gain[known][order].astype(np.float64)
    asked = np.arange(len(top))[:, None] * width + top
    place = np.minimum(np.searchsorted(keys, asked), max(len(keys) - 1, 0))
    if not len(keys):
        return np.zeros(top.shape)
    return np.where((keys[place] == asked) & (top > 0), worth[place], 0.0)


def ndcg(top: np.ndarray, wanted: Wanted) -> np.ndarray:
    """NDCG@k with binary gains. `(n,)`.

    DCG = sum over ranks p = 1..k of [item at p is wanted] / log2(p + 1), divided by the DCG of the
    ideal list, which holds min(number wanted, k) wanted items first.
    """
    return _normalised(top, wanted, np.ones(len(wanted.items)))


def debiased_ndcg(top: np.ndarray, wanted: Wanted, train_count: np.ndarray) -> np.ndarray:
    """NDCG@k in which an item's gain is the inverse of its propensity to be seen. `(n,)`.

    Gain of item i: max(c_i, 1) ** -0.5, with c_i its count before the cut; the ideal list holds the
    wanted items by falling gain (Yang et al., RecSys 2018, with a power-law propensity). An item
    outside the vocabulary has c = 1.

    Args:
        top: int[n, k].
        wanted: The targets.
        train_count: int[N + 1] by item index; row 0 is not used.
    """
    count = np.where(wanted.items > 0, train_count[wanted.items], 1)
    return _normalised(top, wanted, np.maximum(count, 1.0) ** -DEBIAS_POWER)


def hit_rate(top: np.ndarray, wanted: Wanted) -> np.ndarray:
    """1 where any of the k items is wanted, else 0. `(n,)`."""
    hits = gained(top, wanted, np.ones(len(wanted.items))).max(axis=1, initial=0.0)
    return np.where(np.diff(wanted.offsets) > 0, hits, np.nan)


def revenue(top: np.ndarray, wanted: Wanted) -> np.ndarray:
    """What the shopper paid for the wanted items that are among the k, in the shop's money."""
    paid = gained(top, wanted, wanted.revenue).sum(axis=1)
    return np.where(np.diff(wanted.offsets) > 0, paid, np.nan)


def coverage(top: np.ndarray, items: int) -> float:
    """Share of the catalogue's `items` that is recommended to anyone."""
    return len(np.unique(top[top > 0])) / items


def per_user(top: np.ndarray, wanted: Wanted, train_count: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric of one value a shopper, at 10, by its name in files."""
    ten = top[:, :10]
    return {
        "ndcg_at_10": ndcg(ten, wanted),
        "hit_rate_at_10": hit_rate(ten, wanted),
        "revenue_at_10": revenue(ten, wanted),
        "debiased_ndcg_at_10": debiased_ndcg(ten, wanted, train_count),
    }


def summary(top: np.ndarray, wanted: Wanted, train_count: np.ndarray) -> dict[str, float]:
    """Means over the shoppers, and the coverage of the catalogue. Zeros where there is nobody.

    Args:
        top: int[n, k].
        wanted: The targets.
        train_count: int[N + 1].
    """
    columns = per_user(top, wanted, train_count)
    means = {name: float(values.mean()) if len(top) else 0.0 for name, values in columns.items()}
    return means | {"coverage_at_10": coverage(top[:, :10], len(train_count) - 1)}


def _owner(wanted: Wanted) -> np.ndarray:
    """int64[m]: the shopper of each wanted item."""
    return np.repeat(np.arange(len(wanted.offsets) - 1), np.diff(wanted.offsets))


def _normalised(top: np.ndarray, wanted: Wanted, gain: np.ndarray) -> np.ndarray:
    k = top.shape[1]
    reached = gained(top, wanted, gain) @ discounts(k)
    best = _ideal(wanted, gain, k)
    return np.divide(reached, best, out=np.full(len(top), np.nan), where=best > 0)


def _ideal(wanted: Wanted, gain: np.ndarray, k: int) -> np.ndarray:
    """DCG of the best possible list of k. `(n,)`."""
    owner = _owner(wanted)
    order = np.lexsort((-gain, owner))
    rank = np.arange(len(order)) - wanted.offsets[:-1][owner]
    counted = rank < k
    worth = gain[order][counted] * discounts(k)[rank[counted]]
    return np.bincount(owner[counted], weights=worth, minlength=len(wanted.offsets) - 1)
