"""Reads differences and ratios of the models' scores from one set of resampled users."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ci.judging.clause import Clause, Outcome
from ci.judging.statistics import (
    Floats,
    Interval,
    Mask,
    interval_of,
    percentile_ends,
    resampled_means,
)
from ci.settings import GateSettings


@dataclass(frozen=True)
class Column:
    """Per-user values of which a mean is wanted, over all users or the members of a slice."""

    values: Floats
    members: Mask | None = None


class Comparison:
    """Means of named columns with their intervals, all from the same resamples."""

    def __init__(self, columns: Mapping[str, Column], settings: GateSettings) -> None:
        self._columns = dict(columns)
        self._confidence = settings.confidence
        names = list(self._columns)
        values = np.column_stack([self._columns[name].values for name in names])
        members = None
        if any(column.members is not None for column in self._columns.values()):
            members = np.column_stack([_members(self._columns[name]) for name in names])
        means = resampled_means(values, settings.resamples, settings.seed, members)
        self._means = {name: means[:, index] for index, name in enumerate(names)}

    def interval(self, name: str) -> Interval:
        """The mean of a column with its interval."""
        column = self._columns[name]
        values = column.values if column.members is None else column.values[column.members]
        return interval_of(values, self._means[name], self._confidence)

    def ratio(self, name: str, reference: str) -> Interval | None:
        """The ratio of two columns' means with its interval; None where the reference is 0."""
        top, bottom = self._columns[name].values, self._columns[reference].values
        if bottom.mean() <= 0 or (self._means[reference] <= 0).any():
            return None
        value = float(top.mean() / bottom.mean())
        if np.array_equal(top, bottom):
            return Interval(1.0, 1.0, 1.0, len(top), 0.0)
        draws = self._means[name] / self._means[reference]
        lower, upper = percentile_ends(draws, self._confidence)
        return Interval(value, lower, upper, len(top), float(draws.std()))


def _members(column: Column) -> Mask:
    if column.members is not None:
        return column.members
    return np.ones(len(column.values), dtype=np.bool_)


def clause_of(interval: Interval, name: str, rule: str, outcome: Outcome, advice: str) -> Clause:
    """A clause about a mean with an interval."""
    return Clause(
        name, rule, interval.value, interval.lower, interval.upper, interval.users, outcome, advice
    )
