"""Geometry of the report's plots; the templates draw it as SVG without styles or scripts.

Places are percentages of the plot's width and height, so that a plot fills a phone and a wide
screen alike while its text keeps its size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ci.reporting.figures import decimals, is_number

EDGE = 3.0  # percent kept free at both sides for round ends


@dataclass(frozen=True)
class Mark:
    """One row of an interval plot; `role` chooses its colour."""

    label: str
    text: str
    role: str
    value: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Rule:
    """A vertical reference line with its name."""

    label: str
    value: float


@dataclass(frozen=True)
class PlacedMark:
    """A mark with its places: `x` of the dot, `left` to `right` of the bar."""

    label: str
    text: str
    role: str
    x: float
    left: float
    right: float


@dataclass(frozen=True)
class PlacedLabel:
    """A text at a place; `anchor` keeps it inside the plot."""

    label: str
    x: float
    anchor: str


@dataclass(frozen=True)
class IntervalPlot:
    """Rows of values with intervals over one axis; values left of `harm_until` are shaded."""

    title: str
    marks: tuple[PlacedMark, ...]
    rules: tuple[PlacedLabel, ...]
    ticks: tuple[PlacedLabel, ...]
    harm_until: float | None


@dataclass(frozen=True)
class LinePlot:
    """One series over one axis: points in percent of the plot, y measured from the top."""

    title: str
    description: str
    points: tuple[tuple[float, float], ...]
    best: tuple[float, float]
    x_ticks: tuple[PlacedLabel, ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_label: str


@dataclass(frozen=True)
class Slice:
    """One part of a stacked bar, in percent of its width."""

    label: str
    text: str
    left: float
    width: float
    role: str


def interval_plot(
    title: str,
    marks: Sequence[Mark],
    rules: Sequence[Rule] = (),
    harm_below: float | None = None,
) -> IntervalPlot | None:
    """Place marks over a common axis; None where there is nothing to show.

    Args:
        title: What is measured, with its unit.
        marks: The rows, top to bottom.
        rules: Reference lines, e.g. zero and the margin.
        harm_below: Values below this are shaded.
    """
    if not marks:
        return None
    values = [rule.value for rule in rules]
    for mark in marks:
        values += [end for end in (mark.value, mark.lower, mark.upper) if is_number(end)]  # type: ignore[misc]
    ticks = nice_ticks(min(values), max(values))
    low, high = min(ticks[0], *values), max(ticks[-1], *values)
    return IntervalPlot(
        title=title,
        marks=tuple(_place(mark, low, high) for mark in marks),
        rules=tuple(_label(rule.label, position(rule.value, low, high)) for rule in rules),
        ticks=_tick_labels(ticks, low, high),
        harm_until=None if harm_below is None else position(harm_below, low, high),
    )


def line_plot(
    title: str, x_label: str, points: Sequence[tuple[float, float]], highest_is_best: bool
) -> LinePlot | None:
    """Place one series; None with fewer than two finite points.

    Args:
        title: What is on the vertical axis.
        x_label: What is on the horizontal axis.
        points: (x, y) in order.
        highest_is_best: Which extreme gets the dot.
    """
    finite = [(x, y) for x, y in points if is_number(x) and is_number(y)]
    if len(finite) < 2:
        return None
    xs, ys = [x for x, _ in finite], [y for _, y in finite]
    x_ticks, y_ticks = nice_ticks(min(xs), max(xs), 6), nice_ticks(min(ys), max(ys))
    x_low, x_high = min(xs[0], x_ticks[0]), max(*xs, x_ticks[-1])
    y_low, y_high = min(y_ticks[0], *ys), max(y_ticks[-1], *ys)
    placed = tuple(
        (position(x, x_low, x_high), round(100 - _share(y, y_low, y_high), 2)) for x, y in finite
    )
    best = (max if highest_is_best else min)(range(len(ys)), key=ys.__getitem__)
    places = _places(y_ticks)
    return LinePlot(
        title=title,
        description=f"from {decimals(ys[0], places + 1)} to {decimals(ys[-1], places + 1)}, "
        f"best {decimals(ys[best], places + 1)}",
        points=placed,
        best=placed[best],
        x_ticks=_tick_labels(x_ticks, x_low, x_high),
        y_ticks=tuple(
            (round(100 - _share(tick, y_low, y_high), 2), decimals(tick, places))
            for tick in y_ticks
        ),
        x_label=x_label,
    )


def stacked_bar(parts: Sequence[tuple[str, str, float, str]]) -> tuple[Slice, ...]:
    """Lay (label, text, amount, role) side by side over the whole width."""
    whole = sum(amount for _, _, amount, _ in parts)
    if not whole:
        return ()
    slices, left = [], 0.0
    for label, text, amount, role in parts:
        width = 100 * amount / whole
        slices.append(Slice(label, text, round(left, 2), round(width, 2), role))
        left += width
    return tuple(slices)


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """About `wanted` round numbers (1, 2 or 5 times a power of ten) that lie in [low, high]."""
    if high <= low:
        spread = abs(low) * 0.1 or 1.0
        low, high = low - spread, high + spread
    raw = (high - low) / max(1, wanted - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda size: abs(size - raw))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    ticks = [round(index * step, digits) for index in range(first, last + 1)]
    return ticks or [low, high]


def position(value: float, low: float, high: float) -> float:
    """Place of a value on an axis from low to high, in percent, inside the free edges."""
    return round(EDGE + _share(value, low, high) * (100 - 2 * EDGE) / 100, 2)


def _share(value: float, low: float, high: float) -> float:
    return 50.0 if high <= low else 100 * (value - low) / (high - low)


def _place(mark: Mark, low: float, high: float) -> PlacedMark:
    x = position(mark.value, low, high)
    left = x if mark.lower is None else position(mark.lower, low, high)
    right = x if mark.upper is None else position(mark.upper, low, high)
    return PlacedMark(mark.label, mark.text, mark.role, x, left, right)


def _tick_labels(ticks: Sequence[float], low: float, high: float) -> tuple[PlacedLabel, ...]:
    places = _places(ticks)
    return tuple(_label(decimals(tick, places), position(tick, low, high)) for tick in ticks)


def _places(ticks: Sequence[float]) -> int:
    """Decimals that tell neighbouring ticks apart."""
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else abs(ticks[0]) or 1.0
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _label(label: str, x: float) -> PlacedLabel:
    anchor = "start" if x < 12 else "end" if x > 88 else "middle"
    return PlacedLabel(label, x, anchor)
