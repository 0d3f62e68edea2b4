"""Paired bootstrap over users, Holm's correction, and how many users a decision needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Resampled users held at once: 2^22 counts of 8 bytes are 32 MiB, for any number of users.
CELLS_AT_ONCE = 2**22


@dataclass(frozen=True)
class Interval:
    """A mean with its percentile interval.

    Attributes:
        value: The mean over the users.
        lower: Lower end of the interval.
        upper: Upper end of the interval.
        users: How many users it is over.
        error: Standard error of the mean, from the spread of the users' values.
        skewness: Third standardised moment of the values; negative where rare values are low.
    """

    value: float
    lower: float
    upper: float
    users: int
    error: float
    skewness: float = 0.0


def resampled_means(
    values: Floats, resamples: int, seed: int, members: Mask | None = None
) -> Floats:
    """Means of every column over the same resamples of the users.

    One resample draws as many users as there are, with replacement; all columns are read from it,
    so differences and ratios of columns stay paired. A column with `members` is averaged over its
    members in the resample (the mean of a slice).

    Args:
        values: Shape (users, columns), finite.
        resamples: How many resamples to draw.
        seed: Seed of the draws: same seed, same users, same answer.
        members: Shape (users, columns); which users count in which column. All where None.

    Returns:
        Shape (resamples, columns). NaN where a resample holds no member of a column.
    """
    users, columns = values.shape
    masked = values if members is None else np.where(members, values, 0.0)
    weights = None if members is None else members.astype(np.float64)
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, columns))
    step = max(1, CELLS_AT_ONCE // users)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        counts = _draw_counts(generator, rows, users)  # (rows, users)
        sizes = float(users) if weights is None else counts @ weights
        with np.errstate(invalid="ignore"):  # 0 / 0: no member was drawn
            means[start : start + rows] = (counts @ masked) / sizes
    return means


def _draw_counts(generator: np.random.Generator, rows: int, users: int) -> Floats:
    """How often each user is drawn in each of `rows` resamples; shape (rows, users)."""
    draws = generator.integers(users, size=(rows, users), dtype=np.int64)
    draws += np.arange(rows, dtype=np.int64)[:, None] * users
    return np.bincount(draws.ravel(), minlength=rows * users).reshape(rows, users).astype(float)


def interval_of(values: Floats, means: Floats, confidence: float) -> Interval:
    """Percentile interval of the mean of `values` from its resampled means.

    Values that are all equal have the interval [value, value] exactly, free of rounding: two
    models that answer alike differ by 0 without doubt.

    Args:
        values: Shape (users,), finite, not empty.
        means: Shape (resamples,), a column of `resampled_means`.
        confidence: Two-sided, e.g. 0.95.
    """
    if values.min() == values.max():
        value = float(values[0])
        return Interval(value, value, value, len(values), 0.0)
    lower, upper = percentile_ends(means, confidence)
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return Interval(mean, lower, upper, len(values), error, _skewness(values))


def _skewness(values: Floats) -> float:
    spread = float(values.std())
    return float((((values - values.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0


def percentile_ends(draws: Floats, confidence: float) -> tuple[float, float]:
    """The central `confidence` part of resampled figures; draws that are NaN are left out."""
    tail = (1.0 - confidence) / 2.0
    lower, upper = np.quantile(draws[~np.isnan(draws)], [tail, 1.0 - tail])
    return float(lower), float(upper)


def paired_interval(
    difference: Floats, confidence: float = 0.95, resamples: int = 2_000, seed: int = 7
) -> Interval:
    """Percentile bootstrap interval of the mean of per-user differences.

    Args:
        difference: Shape (users,): challenger minus live, user by user.
        confidence: Two-sided.
        resamples: How many resamples to draw.
        seed: Seed of the draws.
    """
    means = resampled_means(difference[:, None], resamples, seed)[:, 0]
    return interval_of(difference, means, confidence)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given (Holm 1979).

    The i-th smallest of k is multiplied by k - i + 1, kept from falling below the ones before it
    and from rising above 1. Rejecting where the adjusted value is below alpha keeps the chance of
    any false rejection below alpha, however the tests depend on one another.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for rank, index in enumerate(order):
        floor = max(floor, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = floor
    return adjusted


def harm_p_value(value: float, error: float, margin: float) -> float:
    """One-sided p-value of "the mean difference is not below -margin".

    A z test of the paired differences. The bootstrap itself resolves no p-value below one over
    its resamples, too coarse for Holm over dozens of slices.

    Args:
        value: Mean difference, challenger minus live.
        error: Its standard error; 0 where all users differ alike.
        margin: The harm that is tolerated, not negative.
    """
    if error == 0.0:
        return 0.0 if value < -margin else 1.0
    return NormalDist().cdf((value + margin) / error)


def promotion_power(margin: float, error: float, confidence: float) -> float:
    """Chance that a challenger exactly as good as the live model has its interval above -margin.

    Args:
        margin: Tolerated difference, in the metric's unit.
        error: Standard error of the mean difference at the present number of users.
        confidence: Two-sided, of the interval.
    """
    if error == 0.0:
        return 1.0 if margin > 0 else 0.0
    return NormalDist().cdf(margin / error - _critical(confidence))


def deciding_users(interval: Interval, margin: float, confidence: float) -> int | None:
    """How many users would move the interval off -margin, were the mean difference to stay.

    The half width z * error shrinks with the square root of the users; it must fall below the
    distance from the mean to -margin. None where the mean lies on -margin: no number decides.
    """
    distance = abs(interval.value + margin)
    if distance == 0.0:
        return None
    ratio = _critical(confidence) * interval.error / distance
    return max(interval.users + 1, int(np.ceil(interval.users * ratio**2)) + 1)


def guarded_lower(interval: Interval, confidence: float) -> float:
    """The lower end, moved out where rare large losses make the percentile interval too short.

    First-order Edgeworth correction of the studentised mean (Hall, The Bootstrap and Edgeworth
    Expansion, 1992, section 2.6): mean - error * (z - skewness * (2 z^2 + 1) / (6 sqrt(n))), taken
    where it lies below the percentile end. Harm that takes all hits from a few shoppers is then
    promoted about as often as promised (docs/gate.md, "How often it errs").
    """
    z = _critical(confidence)
    shift = interval.skewness * (2 * z**2 + 1) / (6 * np.sqrt(interval.users))
    return min(interval.lower, interval.value - interval.error * (z - float(shift)))


def _critical(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2.0)
