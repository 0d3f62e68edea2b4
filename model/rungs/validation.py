"""How good a model is on the window after the moment it was fitted for."""

from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from model.data.dataset import Dataset
from model.data.targets import Targets
from model.rungs import metrics
from model.rungs.recommender import FitContext, recommend
from model.schema import DataError


@dataclass(frozen=True)
class Window:
    """Shoppers of one window of time: their state when it opens, and what they took first.

    Attributes:
        inputs: The five inputs, row r of shopper `targets.user_index[r]`.
        targets: What they took.
        train_count: int64[N + 1].
    """

    inputs: dict[str, np.ndarray]
    targets: Targets
    train_count: np.ndarray

    @staticmethod
    def of(
        dataset: Dataset,
        window: Literal["validation", "test"],
        context: FitContext,
        most_users: int = 0,
    ) -> "Window":
        """Build the states of a window's shoppers; at most `most_users` of them, 0 for all.

        A sample is every n-th shopper: it depends on nothing random.
        """
        targets = dataset.targets(window)
        if most_users and len(targets.user_index) > most_users:
            places = np.linspace(0, len(targets.user_index) - 1, most_users).astype(np.int64)
            targets = chosen(targets, np.unique(places))
        start = dataset.start_of(window)
        users = targets.user_index.astype(np.int64)
        inputs = dataset.states(start, users, context.history_length, context.frequent_length)
        counts = np.zeros(dataset.items + 1, np.int64)
        counts[1:] = dataset.item_table["train_count"].to_numpy()
        return Window(inputs, targets, counts)

    def metrics(self, model: keras.Model) -> dict[str, float]:
        """Means of all metrics."""
        return metrics.summary(recommend(model, self.inputs), self.targets, self.train_count)

    def ndcg(self, model: keras.Model) -> float:
        """Mean NDCG@10."""
        return float(metrics.ndcg(recommend(model, self.inputs), self.targets).mean())


def refuse_empty_windows(dataset: Dataset) -> None:
    """See that both windows have shoppers to judge by.

    Raises:
        DataError: Nobody took anything in one of them.
    """
    for window in ("validation", "test"):
        if len(dataset.targets(window).user_index):
            continue
        took = "bought" if dataset.meta["target"] == "purchase" else "took"
        raise DataError(
            f"No shopper {took} anything in the {window} window, which begins at "
            f"{dataset.meta[f'{window}_start']}: nothing can be judged by it. Set a longer "
            f"data.{window}_days, another data.as_of or, for a log without purchases, "
            "data.target=session, and run `bin/ci prepare` again."
        )


def chosen(targets: Targets, rows: np.ndarray) -> Targets:
    """The targets of some of the shoppers, in the order of `rows`."""
    sizes = np.diff(targets.offsets)[rows]
    starts = targets.offsets[:-1][rows]
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes)
    return Targets(
        targets.user_index[rows], offsets, targets.items[places], targets.revenue[places]
    )
