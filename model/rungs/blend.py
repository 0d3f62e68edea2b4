"""The default model: a weighted geometric mean of other rungs' probabilities, in one graph."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from model.data.targets import Targets
from model.rungs import metrics
from model.rungs.recommender import FitContext, Recommender, as_model, best_items, score
from model.rungs.validation import Window
from model.schema import INPUTS, Output

STEPS = (0.3, 0.15, 0.07, 0.03)
MOST_SCORES = 60_000_000  # float32 log-probabilities held while shares are chosen: 240 MB
MOST_USERS = 2_000


@keras.saving.register_keras_serializable(package="pushcart")
class Blend(Recommender):
    """log p(i) = sum over parts r of share_r * log p_r(i) + constant, shares >= 0 with sum 1.

    Args:
        items: N.
        parts: The rungs to mix, or their Keras configurations.
        settings: None.
    """

    def __init__(
        self, items: int, parts: Sequence[Any] = (), settings: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(items, settings, **kwargs)
        if not parts:
            raise ValueError("a blend needs at least one part, received none: name them in `parts`")
        self.parts = [
            part if isinstance(part, Recommender) else keras.saving.deserialize_keras_object(part)
            for part in parts
        ]

    def build(self, input_shape: Any) -> None:
        """Build the parts and make the one weight: the shares `(P,)`, equal at first."""
        for part in self.parts:
            if not part.built:
                part.build(input_shape)
        even = keras.initializers.Constant(1.0 / len(self.parts))
        self.shares = self.add_weight(
            shape=(len(self.parts),), initializer=even, trainable=False, name="shares"
        )
        self.built = True

    def read_inputs(self) -> tuple[str, ...]:
        """The inputs that any part reads, in the order of the contract."""
        read = {name for part in self.parts for name in part.read_inputs()}
        return tuple(name for name in INPUTS if name in read)

    def fit(self, dataset: Any, context: FitContext) -> dict[str, Any]:
        """Choose the shares by NDCG@10 on the validation window.

        The parts are rungs of their own and were fitted before; a fit without a validation window
        keeps the shares.
        """
        if context.choosing:
            users = max(50, min(MOST_USERS, MOST_SCORES // (len(self.parts) * self.items)))
            window = Window.of(dataset, "validation", context, users)
            lengths = (context.history_length, context.frequent_length)
            scores = [score(as_model(part, *lengths), window.inputs) for part in self.parts]
            if len(window.targets.user_index):
                self.shares.assign(best_shares(scores, window.targets))
        shares = self.shares.numpy().tolist()
        names = [part.name for part in self.parts]
        return {
            "shares": {name: round(share, 4) for name, share in zip(names, shares, strict=True)}
        }

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Mix the parts' log-probabilities; pass on the first encoder's vector."""
        outputs = [part(inputs, training=training) for part in self.parts]
        mixed = sum(self.shares[place] * out[Output.SCORES] for place, out in enumerate(outputs))
        vectors = [out[Output.USER_VECTOR] for out in outputs if Output.USER_VECTOR in out]
        # The parts have the padding at -1e9 and the shares sum to one: so has the mixture.
        result = {Output.SCORES: ops.log_softmax(mixed, axis=-1)}
        return result | ({Output.USER_VECTOR: vectors[0]} if vectors else {})

    def get_config(self) -> dict[str, Any]:
        """Arguments to make this layer again, its parts as configurations."""
        parts = [keras.saving.serialize_keras_object(part) for part in self.parts]
        return {**super().get_config(), "parts": parts}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a layer from `get_config`."""
        return cls(**config)


def best_shares(scores: Sequence[np.ndarray], wanted: Targets) -> np.ndarray:
    """Shares of highest mean NDCG@10, by steps that shrink; float32[P], sum 1.

    Starts at the best of the even mixture and each part alone, and moves one share at a time while
    that helps: the result is never worse on these shoppers than the best part.

    Args:
        scores: Log-probabilities float32[n, N + 1] of each part.
        wanted: What the n shoppers took.
    """

    def reached(shares: np.ndarray) -> float:
        mixed = sum(share * part for share, part in zip(shares, scores, strict=True) if share)
        return float(metrics.ndcg(best_items(mixed, 10), wanted).mean())

    count = len(scores)
    starts = [np.full(count, 1.0 / count), *np.eye(count)]
    best = max(starts, key=reached)
    height = reached(best)
    for step in STEPS:
        improved = True
        while improved:
            improved = False
            for move in (*np.eye(count) * step, *np.eye(count) * -step):
                tried = np.maximum(best + move, 0.0)
                if not tried.any():
                    continue
                tried /= tried.sum()
                value = reached(tried)
                if value > height + 1e-6:
                    best, height, improved = tried, value, True
    return best.astype(np.float32)
