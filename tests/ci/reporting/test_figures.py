"""How numbers are written."""

import pytest

from ci.reporting import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.31214, "0.3121"),
        (12.5, "12.50"),
        (5120, "5,120"),
        (5120.4, "5,120"),
        (-0.0181, "−0.01810"),
        (0, "0"),
        (4.8e-7, "4.8e−07"),
        (float("nan"), "–"),
        (None, "–"),
        (True, "–"),
        ("7", "–"),
    ],
)
def test_a_figure_has_four_digits_and_a_real_minus(value, text):
    assert figures.number(value) == text


def test_the_ends_of_an_interval_have_the_same_decimals():
    assert figures.interval(0.3, 0.29, 0.31) == "0.3000 [0.2900, 0.3100]"
    assert figures.interval(1.028, 0.991, 1.061) == "1.028 [0.991, 1.061]"
    assert figures.interval(-0.0007, -0.0011, 0.0) == "−0.00070 [−0.00110, 0.00000]"
    assert figures.interval(0.3, None, None) == "0.3000"
    assert figures.interval(None, 0.1, 0.2) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04, "40 ms"), (0.0996, "0.1 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"),
     (59.6, "1 min 00 s"), (185, "3 min 05 s"), (3601, "60 min 01 s")],
)  # fmt: skip
def test_seconds_are_said_as_people_say_them(value, text):
    assert figures.seconds(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"), [(512, "512 B"), (31_457_280, "31.5 MB"), (2.2e9, "2.2 GB")]
)
def test_sizes_have_a_unit(value, text):
    assert figures.size(value).replace("\u00a0", " ") == text


def test_a_share_of_nothing_is_none():
    assert figures.share(1, 8) == "12.5 %"
    assert figures.share(0, 0) == "–"
