"""Whether two engines give the same answers: row by row, within a tolerance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.bundle.card import golden_answers, golden_requests, read_card
from model.schema import Output

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]
Predict = Callable[[Mapping[str, npt.NDArray[Any]]], Arrays]


@dataclass(frozen=True)
class Answers:
    """Ranked answers, one row a request.

    Attributes:
        item_ids: Text (rows, K), best first.
        scores: (rows, K), in the order of the items.
    """

    item_ids: npt.NDArray[np.object_]
    scores: Floats


@dataclass(frozen=True)
class ParityResult:
    """The comparison of two sets of answers.

    Attributes:
        max_difference: Largest difference of two scores of one item, relative where they exceed 1.
        rows_equal: Rows that agree.
        rows: Rows compared.
        first_difference: What is wrong in the first row that does not agree, or "".
    """

    max_difference: float
    rows_equal: int
    rows: int
    first_difference: str

    @property
    def passed(self) -> bool:
        """Whether every row agrees; no rows prove nothing."""
        return self.rows > 0 and self.rows_equal == self.rows


def parity(answers_a: Answers, answers_b: Answers, tolerance: float) -> ParityResult:
    """Compare two engines' answers to the same requests.

    A row agrees when every item in both lists has the same score within the tolerance, both lists
    are ordered by score, and an item that only one list has lies at its end within the tolerance
    of the other's last score. So only items whose scores nearly tie may change places.

    Args:
        answers_a: The reference.
        answers_b: The engine in question.
        tolerance: Allowed difference of two scores, relative where they exceed 1 in size.
    """
    if answers_a.item_ids.shape != answers_b.item_ids.shape:
        shapes = f"{answers_a.item_ids.shape} and {answers_b.item_ids.shape}"
        rows = max(len(answers_a.item_ids), len(answers_b.item_ids))
        return ParityResult(float("inf"), 0, rows, f"answers of different shapes: {shapes}")
    compared = [
        _compare_row(*pair, tolerance)
        for pair in zip(_rows(answers_a), _rows(answers_b), strict=True)
    ]
    wrong = [(row, reason) for row, (_, reason) in enumerate(compared) if reason]
    return ParityResult(
        max_difference=max((difference for difference, _ in compared), default=0.0),
        rows_equal=len(compared) - len(wrong),
        rows=len(compared),
        first_difference=f"row {wrong[0][0]}: {wrong[0][1]}" if wrong else "",
    )


def check_engine(bundle: Path, engine: str, predict: Predict) -> ParityResult:
    """Compare an engine that serves a bundle with the golden answers in the bundle's card.

    Args:
        bundle: The folder.
        engine: `savedmodel` or `litert`: whose tolerance applies.
        predict: The engine as a function of the five string inputs.
    """
    card = read_card(bundle)
    answered = answers_of(predict(golden_requests(card)))
    return parity(answers_of(golden_answers(card)), answered, card["tolerance"][engine])


def answers_of(outputs: Mapping[str, Any]) -> Answers:
    """The ranked answers in the outputs of a `recommend`, whichever way they came."""
    return Answers(
        np.asarray(outputs[Output.ITEM_IDS], dtype=object),
        np.asarray(outputs[Output.SCORES], dtype=np.float32),
    )


_Row = tuple[list[str], list[float]]


def _rows(answers: Answers) -> list[_Row]:
    return list(zip(answers.item_ids.tolist(), answers.scores.tolist(), strict=True))


def _compare_row(row_a: _Row, row_b: _Row, tolerance: float) -> tuple[float, str]:
    """The largest difference of the scores of one item, and what is wrong with the rows."""
    for items, scores in (row_a, row_b):
        if len(set(items)) != len(items):
            return float("inf"), "an item stands twice in one answer"
        if not np.isfinite(scores).all():
            return float("inf"), "a score is not a finite number"
        if any(later > earlier for earlier, later in pairwise(scores)):
            return float("inf"), "the scores are not in order"
    by_item_a, by_item_b = (dict(zip(*row, strict=True)) for row in (row_a, row_b))
    both = by_item_a.keys() & by_item_b.keys()
    differences = {item: _difference(by_item_a[item], by_item_b[item]) for item in both}
    # An item that one list lacks scored at most the list's last score there.
    differences |= {item: _excess(by_item_a[item], row_b[1]) for item in by_item_a.keys() - both}
    differences |= {item: _excess(by_item_b[item], row_a[1]) for item in by_item_b.keys() - both}
    worst = max(differences, key=lambda item: (differences[item], item), default="")
    if not worst or differences[worst] <= tolerance:
        return differences.get(worst, 0.0), ""
    seen = f"{by_item_a.get(worst, 'absent')} against {by_item_b.get(worst, 'absent')}"
    return differences[worst], f"item {worst!r} scores {seen}, allowed difference {tolerance:g}"


def _difference(a: float, b: float) -> float:
    return abs(a - b) / max(1.0, abs(a), abs(b))


def _excess(score: float, others: list[float]) -> float:
    return _difference(score, others[-1]) if score > others[-1] else 0.0
