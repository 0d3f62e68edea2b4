"""Where marks, rules and ticks stand on a plot."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.reporting.charts import (
    EDGE,
    Mark,
    Rule,
    interval_plot,
    line_plot,
    nice_ticks,
    position,
    stacked_bar,
)

FINITE = st.floats(-1e6, 1e6, allow_nan=False, allow_infinity=False)


def test_places_worked_out_by_hand():
    """Axis from −0.02 to 0.02: zero is in the middle, 0.01 three quarters along."""
    marks = [Mark("difference", "", "challenger", 0.01, 0.0, 0.02)]
    plot = interval_plot("", marks, [Rule("equal", 0.0), Rule("margin", -0.02)], harm_below=-0.02)
    (mark,) = plot.marks
    assert (mark.left, mark.x, mark.right) == (50.0, 73.5, 97.0)
    assert [(rule.x, rule.anchor) for rule in plot.rules] == [(50.0, "middle"), (3.0, "start")]
    assert plot.harm_until == 3.0
    assert [tick.label for tick in plot.ticks] == ["−0.02", "−0.01", "0.00", "0.01", "0.02"]


def test_a_mark_without_an_interval_is_a_dot():
    plot = interval_plot("", [Mark("a", "", "live", 1.0), Mark("b", "", "live", 2.0)])
    assert [(mark.left, mark.x, mark.right) for mark in plot.marks] == [(3, 3, 3), (97, 97, 97)]


def test_nothing_makes_no_plot():
    assert interval_plot("", []) is None
    assert line_plot("", "", [(1.0, 2.0)], True) is None
    assert line_plot("", "", [(1.0, 2.0), (2.0, math.nan), (3.0, None)], True) is None
    assert stacked_bar([("kept", "0", 0.0, "rung")]) == ()


def test_a_line_rises_when_its_values_do_and_marks_the_best():
    plot = line_plot("", "", [(0.0, 0.1), (10.0, 0.3), (20.0, 0.2)], True)
    heights = [y for _, y in plot.points]
    assert heights[1] < heights[2] < heights[0]  # y grows downwards
    assert plot.best == plot.points[1]
    loss = line_plot("", "", [(0.0, 0.1), (10.0, 0.3), (20.0, 0.2)], False)
    assert loss.best == loss.points[0]
    assert plot.description == "from 0.100 to 0.200, best 0.300"


def test_the_parts_of_a_bar_fill_it_in_order():
    bar = stacked_bar([("a", "", 1.0, ""), ("b", "", 3.0, ""), ("c", "", 4.0, "")])
    assert [(part.left, part.width) for part in bar] == [(0, 12.5), (12.5, 37.5), (50, 50)]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0.11, 0.34, [0.15, 0.2, 0.25, 0.3]),
     (-0.02, 0.02, [-0.02, -0.01, 0, 0.01, 0.02]), (3, 61, [10, 20, 30, 40, 50, 60])],
)  # fmt: skip
def test_ticks_are_round(low, high, ticks):
    assert nice_ticks(low, high) == pytest.approx(ticks)


@given(FINITE, FINITE)
def test_ticks_rise_inside_the_axis_and_are_neither_few_nor_many(one, other):
    low, high = min(one, other), max(one, other)
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert ticks == sorted(set(ticks))
    if high - low > 1e-9 * max(1.0, abs(low)):
        slack = 1e-6 * (high - low)
        assert low - slack <= ticks[0]
        assert ticks[-1] <= high + slack


@given(st.lists(st.tuples(FINITE, st.floats(0, 1e3)), min_size=1, max_size=6), FINITE)
def test_every_mark_stands_inside_the_plot(values, rule):
    marks = [Mark("", "", "rung", value, value - half, value + half) for value, half in values]
    plot = interval_plot("", marks, [Rule("", rule)])
    for mark in plot.marks:
        assert EDGE - 0.01 <= mark.left <= mark.x <= mark.right <= 100 - EDGE + 0.01


@given(FINITE)
def test_an_axis_without_length_puts_everything_in_its_middle(value):
    assert position(value, value, value) == 50.0
