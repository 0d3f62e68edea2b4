"""Rung `transformer`: causal self-attention over the history, asked for the next session."""

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy import sparse
from scipy.sparse import linalg

from model.rungs.attention import TransformerBlock, attention_mask, seeded_dense
from model.rungs.interest import InterestRecommender, InterestSettings
from model.rungs.neural import Examples, NeuralRecommender
from model.rungs.popularity import log_popularity
from model.rungs.recommender import EVENT_TYPES_WITH_PADDING, FitContext
from model.rungs.sequences import LABEL_PLACE, PAIR_ITEM, PAIR_LABEL, PAIR_WEIGHT, SessionSequences
from model.rungs.sessions import Sessions
from model.schema import Input, Output

FULL_SOFTMAX_UP_TO_ITEMS = 10_000
EMBEDDING_SCALE = 0.1  # standard deviation of an item embedding's entry at the start
PLACE_SCALE = 0.01  # of places and event types: at first the items speak
GAP_SCALE_SECONDS = 3600.0
SESSION_GAP_SECONDS = InterestSettings().session_gap_seconds


@dataclass(frozen=True)
class TransformerSettings:
    """Size and training of the network.

    Attributes:
        embedding_dim: d, of items and of the shopper's vector.
        num_blocks: Transformer blocks.
        num_heads: Attention heads of each; must divide d.
        dropout_rate: In training.
        batch_size: Sequences an update.
        learning_rate: At its peak.
        most_epochs: Passes over the data, also when the budget would allow more.
        negatives: Of the sampled softmax, shared by the batch, above 10,000 items.
        features: D, the number of normalised item features.
        decay_sessions: tau of the interest that an entry carries; that of `linear` where fitted.
        seed: Of the weights, the dropout and the negatives.
    """

    embedding_dim: int = 64
    num_blocks: int = 1
    num_heads: int = 1
    dropout_rate: float = 0.2
    batch_size: int = 32
    learning_rate: float = 2e-3
    most_epochs: int = 100
    negatives: int = 1024
    features: int = 0
    decay_sessions: float = 10.0
    seed: int = 7


@keras.saving.register_keras_serializable(package="pushcart")
class Transformer(NeuralRecommender):
    """score_i = h . e_i, h the last position's vector, e_i the item's embedding.

    A history entry is the sum of its item's embedding, its event type's, its place's and, through
    one dense layer each, the item's normalised features and the time since the entry before; and
    of the embeddings of all entries up to it, decayed as `linear` decays them (`carried`): what the
    blocks add is what the order tells beyond that. Without a history the scores are popularity.
    """

    settings_class = TransformerSettings
    inputs_read = (Input.HISTORY, Input.HISTORY_EVENT_TYPE, Input.HISTORY_AGE_SECONDS)

    def build(self, input_shape: dict[str, tuple[int | None, ...]]) -> None:
        """Make embeddings `(N + 1, d)`, `(L, d)`, `(types, d)`, the blocks and the last norm."""
        settings = self.settings
        self.length, size = int(input_shape[Input.HISTORY][1] or 0), settings.embedding_dim
        self.item_embedding = self._table("item", self.items + 1, EMBEDDING_SCALE, 1)
        self.place_embedding = self._table("place", self.length, PLACE_SCALE, 2)
        self.type_embedding = self._table("type", EVENT_TYPES_WITH_PADDING, PLACE_SCALE, 3)
        self.features = self._constant("features", (self.items + 1, settings.features))
        self.popularity = self._constant("log_popularity", (self.items + 1,))
        if settings.features:
            self.feature_projection = seeded_dense(size, settings.seed + 4, name="feature")
            self.feature_projection.build((None, None, settings.features))
        self.gap_projection = seeded_dense(size, settings.seed + 5, name="gap")
        self.gap_projection.build((None, None, 1))
        self.sampler = keras.random.SeedGenerator(settings.seed)
        self.dropout = keras.layers.Dropout(settings.dropout_rate, seed=settings.seed)
        self.blocks = [
            TransformerBlock(
                settings.num_heads,
                settings.dropout_rate,
                settings.seed + place,
                name=f"block_{place}",
            )
            for place in range(settings.num_blocks)
        ]
        for block in self.blocks:
            block.build((None, self.length, size))
        self.last_norm = keras.layers.LayerNormalization(epsilon=1e-6, name="last_norm")
        self.last_norm.build((None, self.length, size))
        self.built = True

    def _table(self, name: str, rows: int, scale: float, place: int) -> Any:
        start = keras.initializers.RandomNormal(stddev=scale, seed=self.settings.seed + place)
        shape = (rows, self.settings.embedding_dim)
        return self.add_weight(name=f"{name}_embedding", shape=shape, initializer=start)

    def _constant(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(name=name, shape=shape, initializer="zeros", trainable=False)

    def prepare(self, dataset: Any, context: FitContext) -> None:
        """Start the embeddings from `linear` where it was fitted; set features and popularity."""
        self.renew(dataset, context)
        linear = context.below.get("linear")
        if isinstance(linear, InterestRecommender) and self.items > self.settings.embedding_dim:
            self.item_embedding.assign(spectral_embeddings(linear, self.settings.embedding_dim))
            decay = linear.settings.decay_sessions
            self.settings = replace(self.settings, decay_sessions=decay)

    def renew(self, dataset: Any, context: FitContext) -> None:
        """Set features and popularity."""
        if self.settings.features:
            self.features.assign(dataset.item_features)
        self.popularity.assign(log_popularity(dataset, context.until, days=30, smoothing=0.3))

    def examples(self, dataset: Any, context: FitContext) -> Examples:
        """Sequences cut at sessions, weighted by event type as for `linear`."""
        return SessionSequences.of(
            Sessions.of(dataset, context.until, SESSION_GAP_SECONDS),
            InterestSettings().type_weights(),
            self.items,
            context.history_length,
            self.settings.batch_size,
        )

    def flops_per_example(self) -> float:
        """Two operations a multiply-add, and twice the forward pass again for the backward."""
        size, length = self.settings.embedding_dim, self.length
        block = 12 * size**2 + 2 * length * size
        return 6.0 * length * (self.settings.num_blocks * block + size * self._classes() / 4)

    def _classes(self) -> int:
        sampled = self.items > FULL_SOFTMAX_UP_TO_ITEMS
        return self.settings.negatives if sampled else self.items + 1

    def encode(self, inputs: dict[str, Any], last: int | None, training: bool = False) -> Any:
        """Vectors of every position, or of the last ones: `(B, L or last, d)`."""
        item = inputs[Input.HISTORY]
        is_item = item > 0
        sequence = self.dropout(self._entries(inputs), training=training)
        mask = attention_mask(is_item)
        for place, block in enumerate(self.blocks):
            is_top = place == len(self.blocks) - 1
            sequence = block(sequence, mask, last=last if is_top else None, training=training)
        return self.last_norm(sequence)

    def _entries(self, inputs: dict[str, Any]) -> Any:
        """What each history entry is told as, zero at the padding. `(B, L, d)`."""
        item, age = inputs[Input.HISTORY], inputs[Input.HISTORY_AGE_SECONDS]
        entries = ops.take(self.item_embedding, item, axis=0)
        entries += ops.matmul(self.carried(inputs), entries)
        entries += ops.take(self.type_embedding, inputs[Input.HISTORY_EVENT_TYPE], axis=0)
        entries += self.place_embedding
        if self.settings.features:
            entries += self.feature_projection(ops.take(self.features, item, axis=0))
        gap = ops.relu(ops.concatenate([ops.zeros_like(age[:, :1]), age[:, :-1] - age[:, 1:]], 1))
        entries += self.gap_projection(ops.expand_dims(ops.log(1 + gap / GAP_SCALE_SECONDS), 2))
        return entries * ops.cast(ops.expand_dims(item > 0, 2), entries.dtype)

    def carried(self, inputs: dict[str, Any]) -> Any:
        """w(type_j) * exp(-r_pj / tau), r_pj the sessions from entry j to entry p. `(B, L, L)`."""
        item, age = inputs[Input.HISTORY], inputs[Input.HISTORY_AGE_SECONDS]
        ends = ops.cast(age[:, :-1] - age[:, 1:] > SESSION_GAP_SECONDS, age.dtype)
        before = np.triu(np.ones((self.length - 1, self.length), np.float32), 1)
        session = ops.matmul(ends, before)  # running number of each entry's session
        apart = ops.relu(ops.expand_dims(session, 2) - ops.expand_dims(session, 1))
        table = ops.convert_to_tensor(InterestSettings().type_weights())
        weight = ops.take(table, inputs[Input.HISTORY_EVENT_TYPE], axis=0)
        weight = ops.expand_dims(weight * ops.cast(item > 0, age.dtype), 1)
        past = np.tril(np.ones((self.length, self.length), np.float32))
        return ops.exp(-apart / self.settings.decay_sessions) * past * weight

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Score every item against the vector of the last position."""
        vector = ops.squeeze(self.encode(inputs, last=1, training=training), 1)
        logits = ops.matmul(vector, ops.transpose(self.item_embedding))
        known = ops.any(inputs[Input.HISTORY] > 0, axis=1, keepdims=True)
        scores = ops.where(known, logits, self.popularity)
        return {Output.SCORES: self.finish(scores), Output.USER_VECTOR: vector}

    def loss(self, batch: dict[str, Any]) -> Any:
        """Softmax cross-entropy of the items of the next sessions, weighted by event type."""
        positions = self.encode(batch, last=None, training=True)
        flat = ops.reshape(positions, (-1, self.settings.embedding_dim))
        asked = ops.take(flat, batch[LABEL_PLACE], axis=0)  # (M, d)
        log_likelihood = (
            self._full(asked, batch)
            if self.items <= FULL_SOFTMAX_UP_TO_ITEMS
            else self._sampled(asked, batch)
        )
        weight = batch[PAIR_WEIGHT]
        return -ops.sum(weight * log_likelihood) / ops.maximum(ops.sum(weight), 1e-6)

    def _full(self, asked: Any, batch: dict[str, Any]) -> Any:
        """Log softmax over all items at each pair's item. `(P,)`."""
        log_probability = self.finish(ops.matmul(asked, ops.transpose(self.item_embedding)))
        place = batch[PAIR_LABEL] * (self.items + 1) + batch[PAIR_ITEM]
        return ops.take(ops.reshape(log_probability, (-1,)), place)

    def _sampled(self, asked: Any, batch: dict[str, Any]) -> Any:
        """Log of exp(positive) / (exp(positive) + exp(negatives)), one draw for the batch."""
        negative = keras.random.randint(
            (self.settings.negatives,), 1, self.items + 1, seed=self.sampler
        )
        table = ops.take(self.item_embedding, negative, axis=0)
        negatives = ops.take(ops.matmul(asked, ops.transpose(table)), batch[PAIR_LABEL], axis=0)
        item = batch[PAIR_ITEM]
        positive = ops.sum(
            ops.take(asked, batch[PAIR_LABEL], axis=0)
            * ops.take(self.item_embedding, item, axis=0),
            axis=1,
            keepdims=True,
        )
        same = ops.equal(ops.expand_dims(item, 1), ops.expand_dims(negative, 0))
        negatives = ops.where(same, -1e9, negatives)
        return ops.log_softmax(ops.concatenate([positive, negatives], axis=1), axis=-1)[:, 0]


def spectral_embeddings(linear: InterestRecommender, size: int) -> np.ndarray:
    """Item vectors whose products resemble the weights of a linear model. float32[N + 1, size].

    The leading eigenvectors of (B + B') / 2, each times the root of its eigenvalue's size, scaled
    to the spread of a random start: training then begins where the closed form stands.
    """
    weight = linear.weight.numpy()
    if linear.column is None:
        matrix: Any = weight
    else:
        row = np.repeat(np.arange(len(weight)), weight.shape[1])
        pairs = (row, linear.column.numpy().ravel())
        matrix = sparse.csr_matrix((weight.ravel(), pairs), shape=(len(weight), len(weight)))
    start = np.ones(len(weight), np.float32)  # ARPACK's own start is random
    values, vectors = linalg.eigsh((matrix + matrix.T) / 2, k=size, which="LA", v0=start)
    table = vectors * np.sqrt(np.abs(values))
    return (table * (EMBEDDING_SCALE / max(table.std(), 1e-12))).astype(np.float32)
