"""Scaled dot-product attention and the Transformer block, as Keras layers of stock operations."""

from typing import Any

import keras
import numpy as np
from keras import ops

MASKED = -1e9  # added to a logit that must not be attended to; finite, so no row turns NaN


def attention_mask(is_item: Any) -> Any:
    """What each position may see: the items at or before it, and itself.

    A padding position sees itself, so that a history of nothing but padding stays finite.

    Args:
        is_item: bool (B, L), False at the padding.

    Returns:
        float32 (B, 1, L, L), 0 where query row may see key column, else -1e9.
    """
    length = is_item.shape[1]
    causal = np.tril(np.ones((1, length, length), bool))
    itself = np.eye(length, dtype=bool)[None]
    seen = ops.logical_or(ops.logical_and(causal, ops.expand_dims(is_item, 1)), itself)
    return ops.expand_dims(ops.where(seen, 0.0, MASKED), 1)


def scaled_dot_product(query: Any, key: Any, value: Any, mask: Any) -> Any:
    """softmax(Q K' / sqrt(d) + mask) V over the last two axes (Vaswani et al., 2017, eq. 1).

    Args:
        query: (B, H, Q, d).
        key: (B, H, L, d).
        value: (B, H, L, d).
        mask: Added to the logits, broadcast to (B, H, Q, L).
    """
    scale = 1.0 / float(np.sqrt(query.shape[-1]))
    logits = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * scale + mask
    return ops.matmul(ops.softmax(logits, axis=-1), value)


def seeded_dense(units: int, seed: int, **arguments: Any) -> keras.layers.Dense:
    """A dense layer y = x W + b whose start depends on its seed alone, not on what ran before."""
    start = keras.initializers.GlorotUniform(seed)
    return keras.layers.Dense(units, kernel_initializer=start, **arguments)


@keras.saving.register_keras_serializable(package="pushcart")
class SelfAttention(keras.layers.Layer):
    """Multi-head attention of the last positions of a sequence to all of it.

    Args:
        num_heads: Must divide the embedding size.
        seed: Of the weights.
    """

    def __init__(self, num_heads: int, seed: int = 7, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the four projections `(d, d)`."""
        self.size = int(input_shape[-1] or 0)
        if self.size % self.num_heads:
            raise ValueError(
                f"`embedding_dim` must be a multiple of `num_heads`, received "
                f"{self.size} and {self.num_heads}"
            )
        for place, name in enumerate(("query", "key", "value", "output")):
            projection = seeded_dense(self.size, 10 * self.seed + place, name=name)
            projection.build(input_shape)
            setattr(self, f"{name}_projection", projection)
        self.built = True

    def call(self, sequence: Any, mask: Any, last: int | None = None) -> Any:
        """Attend: `(B, L, d)` → `(B, last, d)`; `last` None means every position."""
        asking = sequence if last is None else sequence[:, -last:]
        allowed = mask if last is None else mask[:, :, -last:]
        heads = (
            self._heads(self.query_projection(asking)),
            self._heads(self.key_projection(sequence)),
            self._heads(self.value_projection(sequence)),
        )
        seen = ops.transpose(scaled_dot_product(*heads, allowed), (0, 2, 1, 3))
        return self.output_projection(ops.reshape(seen, (-1, asking.shape[1], self.size)))

    def _heads(self, tensor: Any) -> Any:
        shape = (-1, tensor.shape[1], self.num_heads, self.size // self.num_heads)
        return ops.transpose(ops.reshape(tensor, shape), (0, 2, 1, 3))

    def get_config(self) -> dict[str, Any]:
        """Arguments to make this layer again."""
        return {**super().get_config(), "num_heads": self.num_heads, "seed": self.seed}


@keras.saving.register_keras_serializable(package="pushcart")
class TransformerBlock(keras.layers.Layer):
    """Pre-norm: x + attention(norm(x)), then x + feed-forward(norm(x)) (Xiong et al., 2020).

    Args:
        num_heads: Attention heads.
        dropout_rate: Dropout after attention and after the feed-forward part.
        seed: Of the weights and the dropout.
    """

    def __init__(
        self, num_heads: int = 1, dropout_rate: float = 0.2, seed: int = 7, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout_rate = dropout_rate
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make attention, the feed-forward pair `(d, 4d)`, `(4d, d)` and two norms."""
        size = int(input_shape[-1] or 0)
        self.attention = SelfAttention(self.num_heads, self.seed, name="attention")
        self.attention_norm = keras.layers.LayerNormalization(epsilon=1e-6, name="attention_norm")
        self.feed_norm = keras.layers.LayerNormalization(epsilon=1e-6, name="feed_norm")
        first = 10 * self.seed + 4  # 0 to 3 are the attention's projections
        self.expand = seeded_dense(4 * size, first, activation="relu", name="expand")
        self.contract = seeded_dense(size, first + 1, name="contract")
        self.dropout = keras.layers.Dropout(self.dropout_rate, seed=self.seed, name="dropout")
        for layer in (self.attention, self.attention_norm, self.feed_norm, self.expand):
            layer.build(input_shape)
        self.contract.build((*input_shape[:-1], 4 * size))
        self.built = True

    def call(
        self, sequence: Any, mask: Any, last: int | None = None, training: bool = False
    ) -> Any:
        """Transform: `(B, L, d)` → `(B, last, d)`; `last` None means every position."""
        attended = self.attention(self.attention_norm(sequence), mask, last=last)
        own = sequence if last is None else sequence[:, -last:]
        middle = own + self.dropout(attended, training=training)
        fed = self.contract(self.expand(self.feed_norm(middle)))
        return middle + self.dropout(fed, training=training)

    def get_config(self) -> dict[str, Any]:
        """Arguments to make this layer again."""
        own = {
            "num_heads": self.num_heads,
            "dropout_rate": self.dropout_rate,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}
