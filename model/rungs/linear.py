"""Rung `linear`: the next basket by ridge regression on the decayed interest, in closed form."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from scipy import linalg

from model.rungs.interest import InterestRecommender, InterestSettings, largest_weights
from model.rungs.recommender import FitContext, as_model
from model.rungs.sessions import Sessions, targets_of
from model.rungs.validation import Window

COLUMNS_AT_ONCE = 2048
RIDGES = (2.0, 0.5)  # more only invites the noise of one window to choose
DECAYS = (2.0, 10.0)
# Each choice costs one Cholesky factorisation, 8/3 N^3 flops: 2 s at 6,000 items.
CHOSEN_UP_TO_ITEMS = 6_000
MOST_VALIDATION_USERS = 1_000


@dataclass(frozen=True)
class LinearSettings(InterestSettings):
    """How the regression is held back.

    Attributes:
        ridge: lambda as a multiple of the mean of the diagonal of X'X; 0 chooses it, and then
            `decay_sessions`, on the validation window.
    """

    ridge: float = 0.0


@keras.saving.register_keras_serializable(package="pushcart")
class Linear(InterestRecommender):
    """B = (X'X + lambda I)^-1 X'Y: a closed-form autoregressive model over baskets.

    Row t of X is a shopper's interest before a session, row t of Y what the session held. B has no
    seed: equal events give equal weights.
    """

    settings_class = LinearSettings

    def fit(self, dataset: Any, context: FitContext) -> dict[str, Any]:
        """Solve for B; choose lambda and tau first where the context has a validation window."""
        self.assign_popularity(dataset, context.until)
        if not self.settings.ridge and context.choosing and self.items <= CHOSEN_UP_TO_ITEMS:
            self._choose(dataset, context)
        else:
            self.settings = dataclasses.replace(
                self.settings, ridge=self.settings.ridge or RIDGES[0]
            )
            self._solve(*products(dataset, context, self.settings), self.settings.ridge)
        return {"ridge": self.settings.ridge, "decay_sessions": self.settings.decay_sessions}

    def _choose(self, dataset: Any, context: FitContext) -> None:
        """Try every lambda at the given tau, then every tau at the best lambda; keep the best."""
        window = Window.of(dataset, "validation", context, MOST_VALIDATION_USERS)
        model = as_model(self, context.history_length, context.frequent_length)
        best, kept, weights = -1.0, self.settings, self.get_weights()
        for decay in (self.settings.decay_sessions, *DECAYS):
            tried = dataclasses.replace(kept, decay_sessions=decay)
            gram, cross = products(dataset, context, tried)
            for ridge in (kept.ridge,) if kept.ridge else RIDGES:
                self.settings = dataclasses.replace(tried, ridge=ridge)
                self._solve(gram.copy("F"), cross.copy("F"), ridge)
                reached = window.ndcg(model)
                if reached > best:
                    best, kept, weights = reached, self.settings, self.get_weights()
        self.settings = kept
        self.set_weights(weights)

    def _solve(self, gram: np.ndarray, cross: np.ndarray, ridge: float) -> None:
        weight = ridge_solution(gram, cross, ridge)
        rows = (np.ascontiguousarray(weight[first:last]) for first, last in _blocks(self.items))
        self.assign_weights(*largest_weights(rows, self.items, self.kept))


def products(
    dataset: Any, context: FitContext, settings: InterestSettings
) -> tuple[np.ndarray, np.ndarray]:
    """X'X and X'Y, float32[N, N] in Fortran order, over every session that has a past."""
    items = dataset.items
    sessions = Sessions.of(dataset, context.until, settings.session_gap_seconds)
    rows = sessions.with_past()
    targets = targets_of(sessions, rows, settings.type_weights(), items)[:, 1:]
    gram, cross = (np.zeros((items, items), np.float32, order="F") for _ in range(2))
    done = 0
    for piece in sessions.interests(rows, settings, context.history_length, items):
        interest = piece[:, 1:]
        _accumulate(gram, interest, interest)
        _accumulate(cross, interest, targets[done : done + interest.shape[0]])
        done += interest.shape[0]
    return gram, cross


def _accumulate(total: np.ndarray, left: Any, right: Any) -> None:
    """Add left' right by blocks of columns: a sparse product of all columns would not fit."""
    left, right = left.T.tocsr(), right.tocsc()
    for first, last in _blocks(total.shape[1]):
        total[:, first:last] += (left @ right[:, first:last]).toarray()


def _blocks(size: int) -> Iterator[tuple[int, int]]:
    for first in range(0, size, COLUMNS_AT_ONCE):
        yield first, min(first + COLUMNS_AT_ONCE, size)


def ridge_solution(gram: np.ndarray, cross: np.ndarray, ridge: float) -> np.ndarray:
    """(X'X + lambda I)^-1 X'Y by one Cholesky factorisation, in the memory of its arguments.

    Args:
        gram: X'X, float32[N, N], Fortran order; overwritten.
        cross: X'Y, likewise.
        ridge: lambda as a multiple of the mean diagonal of `gram`.

    Returns:
        B, float32[N, N], which is `cross` overwritten.
    """
    mean = float(np.mean(np.diag(gram)))
    gram[np.diag_indices(len(gram))] += ridge * mean if mean > 0 else 1.0
    factor = linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    return linalg.cho_solve(factor, cross, overwrite_b=True, check_finite=False)
