"""How the report writes numbers: few digits, real minus signs, units that people read."""

import math
from typing import Any

MINUS = "−"
NO_BREAK = "\u00a0"  # keeps a figure and its unit on one line


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number (a flag is none)."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def number(value: Any, digits: int = 4) -> str:
    """A figure with `digits` significant digits: `0.3121`, `12.5`, `5,120`; `–` for none."""
    if not is_number(value):
        return "–"
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.1e}".replace("-", MINUS)
    if abs(value) >= 1000 or float(value).is_integer():
        return _signed(f"{value:,.0f}")
    decimals = min(6, max(0, digits - 1 - math.floor(math.log10(abs(value)))))
    return _signed(f"{value:.{decimals}f}")


def decimals(value: Any, places: int) -> str:
    """A figure with a fixed number of decimals, so that a column of them lines up."""
    return _signed(f"{value:,.{places}f}") if is_number(value) else "–"


def interval(value: Any, lower: Any, upper: Any) -> str:
    """`0.3121 [0.3050, 0.3192]`, all ends with the same decimals."""
    if not is_number(value):
        return "–"
    if not (is_number(lower) and is_number(upper)):
        return number(value)
    places = _places(max(abs(value), abs(lower), abs(upper)))
    low, middle, high = (decimals(end, places) for end in (lower, value, upper))
    return f"{middle} [{low}, {high}]"


def _places(largest: float) -> int:
    """Decimals that show about four digits of the largest of some figures, at most five."""
    if largest == 0:
        return 0
    most = 4 if largest >= 0.002 else 5
    return min(most, max(0, 3 - math.floor(math.log10(largest))))


def seconds(value: Any) -> str:
    """`40 ms`, `0.4 s`, `12 s`, `3 min 05 s`."""
    if not is_number(value):
        return "–"
    if value < 0.0995:
        return f"{1000 * value:.0f}{NO_BREAK}ms"
    if value < 9.95:
        return f"{value:.1f}{NO_BREAK}s"
    if value < 59.5:
        return f"{value:.0f}{NO_BREAK}s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes}{NO_BREAK}min {rest:02d}{NO_BREAK}s"


def size(value: Any) -> str:
    """Bytes as `812 kB` or `12.3 MB`."""
    if not is_number(value):
        return "–"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g}{NO_BREAK}{unit}"
    return f"{value:.0f}{NO_BREAK}B"


def share(part: float, whole: float) -> str:
    """`12.3 %` of a whole; `–` where there is no whole."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _signed(text: str) -> str:
    return text.replace("-", MINUS, 1)
