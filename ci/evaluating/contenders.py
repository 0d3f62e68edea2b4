"""Asks each model for its lists: the bundles as they are served, the rungs as they were trained."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ci.evaluating.parity import Predict, answers_of, check_engine, parity
from ci.evaluating.scoring import Ids, Ints, JudgedWindow, K
from model.bundle.export import load_bundle, read_card
from model.bundle.reference import reference_answers, string_inputs
from model.data.dataset import Dataset
from model.rungs.recommender import load, recommend
from model.schema import Input, Output

Arrays = dict[str, npt.NDArray[Any]]
BATCH = 256  # shoppers asked at once: 256 * 100 answers are little memory for any vocabulary
PARITY_ROWS = 200
ENGINES = ("savedmodel", "litert")


def bundle_lists(bundle: Path, dataset: Dataset, window: JudgedWindow) -> Ids:
    """Ids of the ten best items of each shopper, from a bundle by its served signature.

    The states have the lengths of the bundle's own card, so that a live bundle made with other
    settings is asked as it is in production.

    Returns:
        Shape (users, 10), best first; "" where the bundle knows fewer than ten items.
    """
    inputs = text_inputs(read_card(bundle), dataset, window.users, window.start)
    predict = load_bundle(bundle)
    lists = [
        np.asarray(predict(batch)[Output.ITEM_IDS], dtype=object)[:, :K]
        for batch in _batches(inputs)
    ]
    return _padded(np.concatenate(lists), "")


def rung_lists(
    rung: Path, dataset: Dataset, window: JudgedWindow, lengths: tuple[int, int]
) -> Ints:
    """Item numbers of the ten best items of each shopper, from a Keras model of the ladder.

    Args:
        rung: A `.keras` file over the dataset's own vocabulary.
        dataset: What it was trained on.
        window: The shoppers.
        lengths: History and frequent length that it was trained with.
    """
    inputs = dataset.states(window.start, window.users, *lengths)
    return _padded(np.asarray(recommend(load(rung), inputs, K)), 0)


def text_inputs(card: Mapping[str, Any], dataset: Dataset, users: Ints, at: int) -> Arrays:
    """The five inputs of shoppers at a moment, as a bundle with this card takes them."""
    states = dataset.states(at, users, card["history_length"], card["frequent_length"])
    return string_inputs(states, dataset.item_ids)


def measure_parity(
    bundle: Path, trained: Path, dataset: Dataset, window: JudgedWindow
) -> dict[str, Any]:
    """Row by row: does each engine answer as the trained model does?

    The engines answer the golden requests of the bundle's card; beside them the served signature
    and the trained Keras model answer for the first judged shoppers.

    Returns:
        The `parity` object of `evaluation.json`.
    """
    card = read_card(bundle)
    engines: dict[str, Callable[[], Predict]] = {
        engine: lambda engine=engine: load_bundle(bundle, engine)  # type: ignore[misc]
        for engine in ENGINES
    }
    results = {name: check_engine(bundle, name, made()) for name, made in engines.items()}
    inputs = text_inputs(card, dataset, window.users[:PARITY_ROWS], window.start)
    reference = reference_answers(load(trained), inputs, dataset.item_ids, card["top_k"])
    results["judged_rows"] = parity(
        answers_of(reference),
        answers_of(load_bundle(bundle)(inputs)),
        card["tolerance"]["savedmodel"],
    )
    return {
        "rows": sum(result.rows for result in results.values()),
        "engines": {
            name: _finite(asdict(result)) | {"passed": result.passed}
            for name, result in results.items()
        },
    }


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity; a difference that is none is null, and its reason stands beside it."""
    if not np.isfinite(values["max_difference"]):
        return values | {"max_difference": None}
    return values


def _batches(inputs: Arrays) -> list[Arrays]:
    rows = len(inputs[Input.HISTORY])
    return [
        {name: values[start : start + BATCH] for name, values in inputs.items()}
        for start in range(0, rows, BATCH)
    ]


def _padded(lists: npt.NDArray[Any], filler: object) -> npt.NDArray[Any]:
    """Ten columns, also where a model knows fewer items."""
    missing = K - lists.shape[1]
    return np.pad(lists, ((0, 0), (0, max(missing, 0))), constant_values=filler)  # type: ignore[call-overload,no-any-return]
