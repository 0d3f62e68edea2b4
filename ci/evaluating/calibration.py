"""How recommended lists lean: towards bestsellers, and away from a shopper's own categories."""

import numpy as np
import numpy.typing as npt

from ci.judging.statistics import Floats

Ints = npt.NDArray[np.integer]

# Steck's alpha: the share of the shopper's own distribution mixed into that of the list, so that
# a category that the list lacks costs much but not infinitely much.
SMOOTHING = 0.01
CELLS_AT_ONCE = 2**22  # shoppers times categories: 32 MiB of float64


def popularity(top: Ints, train_count: Ints) -> Floats:
    """How often the recommended items were taken before the cut, on average. Shape (n,).

    The average recommendation popularity (Yin et al., VLDB 2012).

    Args:
        top: Recommended item indexes, shape (n, k), best first; 0 where there was none.
        train_count: By item index, shape (items + 1,).
    """
    shown = top > 0
    counts = np.where(shown, train_count[top], 0).sum(axis=1)
    mean: Floats = counts / np.maximum(shown.sum(axis=1), 1)
    return mean


def miscalibration(top: Ints, category: Ints, owner: Ints, taken: Ints, categories: int) -> Floats:
    """Distance of each list's categories from the shopper's own (Steck, RecSys 2018). Shape (n,).

    KL(p || q~) with p(g) the share of category g among the shopper's events, q(g) its share of
    the list, and q~ = (1 - a) q + a p with a = 0.01. 0 for a shopper without events of a known
    category, to whose taste nothing can be compared.

    Args:
        top: Recommended item indexes, shape (n, k); 0 where there was none.
        category: Category index of each item, shape (items + 1,); -1 where it is not known.
        owner: Row of `top` that each past event belongs to, shape (m,), ascending.
        taken: Item index of each past event, shape (m,).
        categories: How many categories there are.
    """
    distances = np.zeros(len(top))
    step = max(1, CELLS_AT_ONCE // max(categories, 1))
    for start in range(0, len(top), step):
        rows = top[start : start + step]
        first, last = np.searchsorted(owner, [start, start + len(rows)])
        shape = (len(rows), categories)
        own = _shares(owner[first:last] - start, category[taken[first:last]], shape)
        place = np.repeat(np.arange(len(rows)), rows.shape[1])
        shown = _shares(place, np.where(rows > 0, category[rows], -1).ravel(), shape)
        distances[start : start + len(rows)] = _divergence(own, shown)
    return distances


def _shares(owner: Ints, category: Ints, shape: tuple[int, int]) -> Floats:
    """Share of each category among each owner's items, shape (rows, categories); zeros if none."""
    known = category >= 0
    cells = owner[known] * shape[1] + category[known]
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _divergence(own: Floats, shown: Floats) -> Floats:
    smoothed = (1.0 - SMOOTHING) * shown + SMOOTHING * own
    ratio = np.divide(own, smoothed, out=np.ones_like(own), where=own > 0)
    total: Floats = (own * np.log(ratio)).sum(axis=1)
    return total
