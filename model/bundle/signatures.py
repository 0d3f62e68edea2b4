"""The functions a bundle answers with: ids in, ranked items out, in stock TensorFlow operations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from model.rungs.recommender import PADDING_SCORE
from model.schema import EVENT_TYPES, PADDING_ID, PADDING_INDEX, Input, Output

Tensors = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Lengths:
    """The fixed sizes of a bundle's tensors.

    Attributes:
        history: Events of a shopper that the model sees (L).
        frequent: Most frequent items of a shopper that the model sees (F).
        top_k: Items in an answer, and candidates in a `score_candidates` request (K).
    """

    history: int
    frequent: int
    top_k: int


class IndexRanking:
    """Ranks items for inputs whose ids are the model's own indices.

    Args:
        model: A trained model: the five index inputs to `scores` (batch, items + 1).
        items: Items that the model knows; valid indices are 1..items.
        lengths: The sizes of the answers.
    """

    def __init__(self, model: keras.Model, items: int, lengths: Lengths) -> None:
        self.model = model
        self.items = items
        self.top_k = min(lengths.top_k, items)

    def recommend(self, inputs: Tensors) -> Tensors:
        """The best items: indices and scores (batch, K), best first, and the known history."""
        known = self._known(inputs)
        # Column 0 is the padding: it is cut away before the ranking, never merely outscored.
        scores, places = tf.math.top_k(
            self.model(known, training=False)["scores"][:, 1:], self.top_k
        )
        history = tf.cast(known[Input.HISTORY] != PADDING_INDEX, tf.int32)
        return {
            Output.ITEM_IDS: places + 1,
            Output.SCORES: scores,
            Output.KNOWN_ITEMS: tf.reduce_sum(history, axis=1),
        }

    def score(self, inputs: Tensors, candidates: tf.Tensor) -> tf.Tensor:
        """Scores (batch, C) of given items; `PADDING_SCORE` for those the model lacks."""
        known = self._inside(candidates)
        scores = self.model(self._known(inputs), training=False)["scores"]
        chosen = tf.gather(scores, tf.where(known, candidates, 0), batch_dims=1)
        return tf.where(known, chosen, PADDING_SCORE)

    def embed(self, inputs: Tensors) -> tf.Tensor:
        """The shopper as a vector (batch, D)."""
        return self.model(self._known(inputs), training=False)[Output.USER_VECTOR]

    def _inside(self, ids: tf.Tensor) -> tf.Tensor:
        return (ids > PADDING_INDEX) & (ids <= self.items)

    def _known(self, inputs: Tensors) -> Tensors:
        """The inputs without the entries whose id the model does not know."""
        history = pack_right(
            self._inside(inputs[Input.HISTORY]),
            [inputs[name] for name in _HISTORY_INPUTS],
        )
        frequent = pack_right(
            self._inside(inputs[Input.FREQUENT_ITEMS]),
            [inputs[name] for name in _FREQUENT_INPUTS],
        )
        return dict(zip((*_HISTORY_INPUTS, *_FREQUENT_INPUTS), (*history, *frequent), strict=True))


_HISTORY_INPUTS = (Input.HISTORY, Input.HISTORY_EVENT_TYPE, Input.HISTORY_AGE_SECONDS)
_FREQUENT_INPUTS = (Input.FREQUENT_ITEMS, Input.FREQUENT_COUNTS)


def pack_right(kept: tf.Tensor, columns: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Drop entries and pad on the left again, the order of the others unchanged.

    Args:
        kept: bool (batch, L): which entries stay.
        columns: Tensors (batch, L) that describe the same entries.

    Returns:
        The columns, each with its kept entries at the right end and zeros before them.
    """
    length = kept.shape[1]
    # A stable sort by `kept` without a sort operation, which LiteRT lacks: the keys are distinct.
    keys = tf.cast(kept, tf.int32) * length + tf.range(length)
    order = tf.math.top_k(-keys, k=length).indices
    return [
        tf.gather(tf.where(kept, column, tf.zeros_like(column)), order, batch_dims=1)
        for column in columns
    ]


class Vocabulary:
    """The two lookup tables between item ids and indices, both backed by one asset file.

    Args:
        path: A text file whose line n is the id of index n, counted from 1.
    """

    def __init__(self, path: Path) -> None:
        line, text = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
        self.index_of = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(str(path), tf.string, text, tf.int64, line), -1
        )
        self.id_of = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(str(path), tf.int64, line, tf.string, text), PADDING_ID
        )

    def indices(self, ids: tf.Tensor) -> tf.Tensor:
        """int32 indices of string ids; 0 for padding and unknown ids."""
        return tf.cast(self.index_of.lookup(ids) + 1, tf.int32)

    def ids(self, indices: tf.Tensor) -> tf.Tensor:
        """String ids of int32 indices."""
        return self.id_of.lookup(tf.cast(indices, tf.int64) - 1)


def event_type_indices(names: tf.Tensor) -> tf.Tensor:
    """int32 indices of event type names: their place in the schema from 1, 0 for any other."""
    equal = names[..., tf.newaxis] == tf.constant(EVENT_TYPES)
    return tf.reduce_sum(tf.cast(equal, tf.int32) * tf.range(1, len(EVENT_TYPES) + 1), axis=-1)


@dataclass(frozen=True)
class Endpoint:
    """One signature: its name, function of one dictionary, and the tensors it takes."""

    name: str
    function: Callable[[Tensors], Tensors]
    inputs: dict[str, tf.TensorSpec]


def endpoints(ranking: IndexRanking, vocabulary: Vocabulary, lengths: Lengths) -> list[Endpoint]:
    """Every signature of the bundle, `recommend` (the default) first."""

    def translate(inputs: Tensors) -> Tensors:
        return {
            **inputs,
            Input.HISTORY: vocabulary.indices(inputs[Input.HISTORY]),
            Input.HISTORY_EVENT_TYPE: event_type_indices(inputs[Input.HISTORY_EVENT_TYPE]),
            Input.FREQUENT_ITEMS: vocabulary.indices(inputs[Input.FREQUENT_ITEMS]),
        }

    def recommend(inputs: Tensors) -> Tensors:
        answer = ranking.recommend(translate(inputs))
        return {**answer, Output.ITEM_IDS: vocabulary.ids(answer[Output.ITEM_IDS])}

    def embed_user(inputs: Tensors) -> Tensors:
        return {Output.USER_VECTOR: ranking.embed(translate(inputs))}

    def score_candidates(inputs: Tensors) -> Tensors:
        candidates = vocabulary.indices(inputs[Input.CANDIDATES])
        return {Output.SCORES: ranking.score(translate(inputs), candidates)}

    text, index = input_specs(lengths, tf.string), input_specs(lengths, tf.int32)
    # A fixed number of candidates: the server can only batch requests of equal shape.
    wanted = {Input.CANDIDATES: tf.TensorSpec((None, lengths.top_k), tf.string, Input.CANDIDATES)}
    found = [
        Endpoint("recommend", recommend, text),
        Endpoint("recommend_by_index", ranking.recommend, index),
        Endpoint("score_candidates", score_candidates, {**text, **wanted}),
    ]
    if Output.USER_VECTOR in ranking.model.output:
        found.append(Endpoint("embed_user", embed_user, text))
    return found


def input_specs(
    lengths: Lengths, ids: tf.DType, batch: int | None = None
) -> dict[str, tf.TensorSpec]:
    """The five inputs: ids as `ids` (tf.string or tf.int32), numbers as float32."""
    shapes = {
        Input.HISTORY: (lengths.history, ids),
        Input.HISTORY_EVENT_TYPE: (lengths.history, ids),
        Input.HISTORY_AGE_SECONDS: (lengths.history, tf.float32),
        Input.FREQUENT_ITEMS: (lengths.frequent, ids),
        Input.FREQUENT_COUNTS: (lengths.frequent, tf.float32),
    }
    return {
        name: tf.TensorSpec((batch, length), dtype, name)
        for name, (length, dtype) in shapes.items()
    }
