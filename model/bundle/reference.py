"""A bundle's answers worked out with NumPy on the Keras model: what every engine must repeat."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from model.rungs.recommender import best_items
from model.schema import EVENT_TYPE_INDEX, PADDING_INDEX, Input, Output

Arrays = dict[str, np.ndarray]


def index_inputs(inputs: Mapping[str, np.ndarray], vocabulary: Sequence[str]) -> Arrays:
    """Translate string inputs to the model's indices; unknown ids are dropped.

    Args:
        inputs: The five inputs as the bundle takes them: text (batch, L) and float32.
        vocabulary: Item ids; index = place + 1.

    Returns:
        The five index inputs, the dropped entries' places filled with padding on the left.
    """
    index = {item: place for place, item in enumerate(vocabulary, start=1)}
    history = _translated(inputs[Input.HISTORY], index)
    types = _translated(inputs[Input.HISTORY_EVENT_TYPE], EVENT_TYPE_INDEX)
    frequent = _translated(inputs[Input.FREQUENT_ITEMS], index)
    return {
        Input.HISTORY: _packed(history, history),
        Input.HISTORY_EVENT_TYPE: _packed(types, history),
        Input.HISTORY_AGE_SECONDS: _packed(inputs[Input.HISTORY_AGE_SECONDS], history),
        Input.FREQUENT_ITEMS: _packed(frequent, frequent),
        Input.FREQUENT_COUNTS: _packed(inputs[Input.FREQUENT_COUNTS], frequent),
    }


def string_inputs(inputs: Mapping[str, np.ndarray], vocabulary: Sequence[str]) -> Arrays:
    """Translate index inputs to the text inputs that a bundle takes."""
    ids = np.array(["", *vocabulary], dtype=object)
    names = np.array(["", *EVENT_TYPE_INDEX], dtype=object)
    return {
        Input.HISTORY: ids[inputs[Input.HISTORY]],
        Input.HISTORY_EVENT_TYPE: names[inputs[Input.HISTORY_EVENT_TYPE]],
        Input.HISTORY_AGE_SECONDS: np.asarray(inputs[Input.HISTORY_AGE_SECONDS], np.float32),
        Input.FREQUENT_ITEMS: ids[inputs[Input.FREQUENT_ITEMS]],
        Input.FREQUENT_COUNTS: np.asarray(inputs[Input.FREQUENT_COUNTS], np.float32),
    }


def reference_answers(
    model: keras.Model, inputs: Mapping[str, np.ndarray], vocabulary: Sequence[str], top_k: int
) -> Arrays:
    """What the Keras model itself recommends, ranked outside TensorFlow.

    Args:
        model: The trained model.
        inputs: String inputs.
        vocabulary: Item ids; index = place + 1.
        top_k: Items in an answer.

    Returns:
        `item_ids` (batch, K) text, `scores` (batch, K) and `known_items` (batch); K = min(top_k,
        items).

    Raises:
        ValueError: A score is not a finite number.
    """
    indices = index_inputs(inputs, vocabulary)
    scores = np.asarray(model(indices, training=False)[Output.SCORES])
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores).all(axis=1))[0])
        raise ValueError(
            f"The model gives a score that is not a number for golden request {row} "
            f"(history {indices[Input.HISTORY][row].tolist()}). Train it again with a lower "
            "learning rate, or guard the operation that divides by an empty history."
        )
    best = best_items(scores, top_k)
    return {
        Output.ITEM_IDS: np.array(["", *vocabulary], dtype=object)[best],
        Output.SCORES: np.take_along_axis(scores, best, axis=1),
        Output.KNOWN_ITEMS: (indices[Input.HISTORY] != PADDING_INDEX).sum(axis=1, dtype=np.int32),
    }


def _translated(values: np.ndarray, index: Mapping[str, int]) -> np.ndarray:
    flat = [index.get(str(value), PADDING_INDEX) for value in np.asarray(values).ravel()]
    return np.array(flat, dtype=np.int32).reshape(np.shape(values))


def _packed(values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    packed = np.zeros_like(values)
    for row, kept in enumerate(ids != PADDING_INDEX):
        count = int(kept.sum())
        packed[row, packed.shape[1] - count :] = np.asarray(values)[row, kept]
    return packed
