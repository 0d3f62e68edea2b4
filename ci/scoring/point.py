"""One point of a score, and what proves it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One point of a score.

    Attributes:
        name: Short and stable, e.g. `data-1`.
        title: What is asked, in the words of who asks.
        proof: What must exist and have passed, all of it: a test as pytest names it
            (`tests/…/test_x.py::test_y`, with all of its variants), a stage (`stage:gate`) or a
            check (`check:secrets`). Empty where the work does not exist.
        missing: What is not there yet; always said where the point is not whole.
        worth: What it is worth when proved: 1.0, or 0.5 where people do it and write it down.
    """

    name: str
    title: str
    proof: tuple[str, ...] = ()
    missing: str = ""
    worth: float = 1.0
