"""Rung `dnn`: the textbook's network, items seen → one hidden layer → one score an item."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy import sparse

from model.rungs.interest import InterestSettings
from model.rungs.neural import Examples, NeuralRecommender
from model.rungs.popularity import log_popularity
from model.rungs.recommender import FitContext, scatter_rows
from model.rungs.sessions import Sessions, targets_of
from model.schema import Input, Output


@dataclass(frozen=True)
class DnnSettings:
    """Size and training of the network.

    Attributes:
        hidden_units: Nodes of the one hidden layer.
        batch_size: Sessions an update.
        learning_rate: At its peak.
        most_epochs: Passes over the data, also when the budget would allow more.
        seed: Of the weights.
    """

    hidden_units: int = 10
    batch_size: int = 64
    learning_rate: float = 2e-3
    most_epochs: int = 300
    seed: int = 7


@dataclass(frozen=True)
class SessionRows:
    """What a shopper had touched before a session, and what the session held.

    Attributes:
        seen: Sparse (n, N + 1), 1 where an item is in the history.
        wanted: Sparse (n, N + 1), type weights.
        batch_size: Rows a batch.
    """

    seen: Any
    wanted: Any
    batch_size: int

    @property
    def count(self) -> int:
        """How many sessions have a past."""
        return int(self.seen.shape[0])

    def batches(self, random: np.random.Generator) -> Iterator[dict[str, np.ndarray]]:
        """All rows once, in random order, as dense arrays."""
        order = random.permutation(self.count)
        for place in range(math.ceil(self.count / self.batch_size)):
            rows = order[place * self.batch_size : (place + 1) * self.batch_size]
            yield {"seen": self.seen[rows].toarray(), "wanted": self.wanted[rows].toarray()}


@keras.saving.register_keras_serializable(package="pushcart")
class Dnn(NeuralRecommender):
    """scores = W2 relu(W1 x + b1) + b2, x_i = 1 where the history holds item i, else 0.

    b2 starts at log-popularity and W2 near zero: an untrained network recommends popularity.
    """

    settings_class = DnnSettings
    inputs_read = (Input.HISTORY,)

    def build(self, input_shape: Any) -> None:  # noqa: ARG002  (Keras passes it by name)
        """Make the two dense layers `(N + 1, hidden)` and `(hidden, N + 1)`."""
        start = keras.initializers.GlorotUniform(self.settings.seed)
        small = keras.initializers.RandomNormal(stddev=0.01, seed=self.settings.seed + 1)
        self.hidden = keras.layers.Dense(
            self.settings.hidden_units, "relu", kernel_initializer=start, name="hidden"
        )
        self.hidden.build((None, self.items + 1))
        self.scores = keras.layers.Dense(self.items + 1, kernel_initializer=small, name="scores")
        self.scores.build((None, self.settings.hidden_units))
        self.built = True

    def prepare(self, dataset: Any, context: FitContext) -> None:
        """Start at popularity."""
        self.scores.bias.assign(log_popularity(dataset, context.until, days=30, smoothing=0.3))

    def examples(self, dataset: Any, context: FitContext) -> Examples:
        """Every session that has a past."""
        interest = InterestSettings(decay_sessions=1e9, view=1.0, click=1.0, cart=1.0)
        sessions = Sessions.of(dataset, context.until, interest.session_gap_seconds)
        rows = sessions.with_past()
        pieces = [*sessions.interests(rows, interest, context.history_length, self.items)]
        seen = sparse.vstack(pieces, format="csr") if pieces else sparse.csr_matrix((0, 0))
        seen.data[:] = 1.0
        wanted = targets_of(sessions, rows, InterestSettings().type_weights(), self.items)
        return SessionRows(seen, wanted, self.settings.batch_size)

    def flops_per_example(self) -> float:
        """Two operations a multiply-add, and twice the forward pass again for the backward."""
        return 12.0 * (self.items + 1) * self.settings.hidden_units

    def logits(self, seen: Any) -> Any:
        """The network itself: `(B, N + 1)` → `(B, N + 1)`."""
        return self.scores(self.hidden(seen))

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Mark what the history holds and run the network."""
        item = inputs[Input.HISTORY]
        marks = scatter_rows(item, ops.cast(item > 0, "float32"), self.items + 1)
        return {Output.SCORES: self.finish(self.logits(ops.minimum(marks, 1.0)))}

    def loss(self, batch: dict[str, Any]) -> Any:
        """Softmax cross-entropy against the items of the session, weighted by event type."""
        wanted = batch["wanted"]
        log_likelihood = self.finish(self.logits(batch["seen"]))
        return -ops.sum(wanted * log_likelihood) / ops.maximum(ops.sum(wanted), 1e-6)
