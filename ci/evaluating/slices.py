"""Groups the shoppers of a window: new, by activity, by category, by price."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ci.evaluating.per_user import Labels
from ci.judging.statistics import Floats

Ints = npt.NDArray[np.integer]

NO_GROUP = "unknown"
ACTIVITY_EDGES = (1, 10, 50)
ACTIVITY_NAMES = ("0", "1-9", "10-49", "50+")
# Each judged slice weakens the test of all others (Holm), so rare categories share one slice.
MOST_CATEGORIES = 10
OTHER = "other"
PRICE_BANDS = ("low", "middle", "high")


def by_novelty(past_events: Ints) -> Labels:
    """`new` for a shopper without an event before the window, else `returning`."""
    return np.where(past_events == 0, "new", "returning")


def by_activity(past_events: Ints) -> Labels:
    """Bands of the number of events before the window."""
    return np.array(ACTIVITY_NAMES)[np.searchsorted(ACTIVITY_EDGES, past_events, side="right")]


def by_category(offsets: Ints, items: Ints, category: Sequence[str | None]) -> Labels:
    """The category that most of a shopper's wanted items are of; the earliest wins a tie.

    Args:
        offsets: Shape (n + 1,): shopper r wants items[offsets[r]:offsets[r + 1]].
        items: Item indexes, shape (m,); 0 for an item outside the vocabulary.
        category: Category of each item index, entry 0 for those outside.
    """
    names, codes = np.unique([name or NO_GROUP for name in category], return_inverse=True)
    chosen = [_most_common(codes[items[start:end]]) for start, end in itertools.pairwise(offsets)]
    sizes = np.bincount(chosen, minlength=len(names))
    kept = set(np.argsort(-sizes, kind="stable")[:MOST_CATEGORIES].tolist())
    return np.array([str(names[code]) if code in kept else OTHER for code in chosen], dtype=np.str_)


def _most_common(codes: Ints) -> int:
    values, first, counts = np.unique(codes, return_index=True, return_counts=True)
    return int(values[np.lexsort((first, -counts))[0]])


def by_price(offsets: Ints, items: Ints, price: Floats) -> Labels:
    """Thirds of the shoppers by the mean price of what they want; `unknown` without a price.

    Args:
        offsets: Shape (n + 1,).
        items: Item indexes, shape (m,).
        price: By item index, NaN where it is not known.
    """
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    wanted = price[items]
    known = np.isfinite(wanted)
    sums = np.bincount(owner[known], weights=wanted[known], minlength=len(offsets) - 1)
    counts = np.bincount(owner[known], minlength=len(offsets) - 1)
    mean = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    if not (counts > 0).any():
        return np.full(len(mean), NO_GROUP)
    edges = np.nanquantile(mean, [1 / 3, 2 / 3])
    band = np.array(PRICE_BANDS)[np.searchsorted(edges, np.nan_to_num(mean), side="left")]
    return np.where(counts > 0, band, NO_GROUP)
