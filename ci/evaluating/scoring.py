"""Scores lists of recommended items on the shoppers of the judged window, one value a shopper."""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from ci.errors import BadDataError, UsageError
from ci.evaluating.calibration import miscalibration, popularity
from ci.evaluating.per_user import Labels
from ci.evaluating.slices import by_activity, by_category, by_novelty, by_price
from ci.judging.judge import MISCALIBRATION, POPULARITY
from ci.judging.statistics import Floats
from model.data.dataset import Dataset
from model.data.targets import Targets
from model.rungs import metrics

K = 10
Ints = npt.NDArray[np.integer]
Ids = npt.NDArray[np.object_]
Metric = Callable[[Ints, Targets, Ints], Floats]


@dataclass(frozen=True)
class JudgedWindow:
    """The shoppers of the test window: what they took first, and what is known of them.

    Items are numbered over all the ids that anybody may recommend or take: first the dataset's
    vocabulary (1..N), then the items that appeared only in the window, so that a live model that
    knows such an item is given its hits.

    Attributes:
        start: Seconds UTC when the window opens: the moment of the states.
        users: Index of each shopper in the dataset.
        targets: What they took, in these numbers.
        train_count: By number; 0 for items outside the vocabulary.
        category: Category of each number, None where it is not known.
        price: Price of each number, NaN where it is not known.
        past_owner: Row of each past event's shopper, ascending.
        past_item: Item number of each past event.
        numbers: Item id → number.
    """

    start: int
    users: Ints
    targets: Targets
    train_count: Ints
    category: Sequence[str | None]
    price: Floats
    past_owner: Ints
    past_item: Ints
    numbers: Mapping[str, int]

    @property
    def past_events(self) -> Ints:
        """How many events each shopper had before the window."""
        return np.bincount(self.past_owner, minlength=len(self.users))


def open_window(dataset: Dataset) -> JudgedWindow:
    """The test window of a dataset.

    Raises:
        BadDataError: Nobody is active in it.
    """
    outside = dataset.outside_ids
    targets = _numbered(dataset).targets("test")
    users = targets.user_index
    if not len(users):
        raise BadDataError(
            f"Nobody can be judged: no {dataset.meta['target']} lies between "
            f"{dataset.meta['test_start']} and {dataset.meta['test_end']}. Widen `data.test_days`, "
            "or check `data.as_of`."
        )
    row_of = np.full(dataset.users, -1)
    row_of[users] = np.arange(len(users))
    start = dataset.start_of("test")
    past = (dataset.timestamp < start) & (row_of[dataset.user_index] >= 0)
    table = dataset.item_table
    category = [_text(name) for name in table["category"]] if "category" in table else []
    return JudgedWindow(
        start=start,
        users=users,
        targets=targets,
        train_count=_extended(table["train_count"].to_numpy(np.int64), len(outside), 0),
        category=[None, *(category or [None] * dataset.items), *[None] * len(outside)],
        price=_extended(_prices(dataset), len(outside), np.nan),
        past_owner=row_of[dataset.user_index[past]],
        past_item=dataset.item_index[past],
        numbers={name: place for place, name in enumerate([*dataset.item_ids, *outside], start=1)},
    )


def events_before(dataset: Dataset, window: JudgedWindow, until: str) -> int:
    """How many judged events, those of the window's shoppers, lie before a moment (ISO 8601)."""
    moment = datetime.fromisoformat(until).timestamp()
    judged = (dataset.timestamp >= window.start) & (dataset.timestamp < moment)
    return int(np.isin(dataset.user_index[judged], window.users).sum())


def _numbered(dataset: Dataset) -> Dataset:
    """The dataset with numbers of their own for the items outside the vocabulary."""
    number = np.where(
        dataset.item_index > 0, dataset.item_index, dataset.items + dataset.outside_index
    )
    return replace(dataset, item_index=number, outside_index=np.zeros_like(dataset.outside_index))


def _extended(values: npt.NDArray[Any], outside: int, filler: float) -> npt.NDArray[Any]:
    """By number: the filler for padding (0), the vocabulary's values, the filler for the rest."""
    edge = np.array([filler]).astype(values.dtype)
    return np.concatenate([edge, values, np.repeat(edge, outside)])


def _prices(dataset: Dataset) -> Floats:
    table = dataset.item_table
    if "price" not in table:
        return np.full(dataset.items, np.nan)
    prices: Floats = table["price"].to_numpy(np.float64)
    return prices


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def number_items(ids: Ids, numbers: Mapping[str, int]) -> Ints:
    """Numbers of recommended ids, shape kept; new numbers for ids that the dataset lacks."""
    known = dict(numbers)
    found = [known.setdefault(name, len(known) + 1) if name else 0 for name in ids.ravel()]
    return np.array(found, dtype=np.int64).reshape(ids.shape)


def score_lists(
    top: Ints, window: JudgedWindow, own: Mapping[str, Metric]
) -> tuple[dict[str, Floats], float]:
    """Per-user metrics at 10 of one model, and the share of the catalogue that it recommends.

    Args:
        top: Item numbers, shape (users, 10), best first; 0 where there was none.
        window: The shoppers.
        own: The team's metrics by name.

    Raises:
        BadDataError: A metric of the team gives no number for each shopper.
    """
    counts = window.train_count
    wanted: Any = window.targets  # a named tuple, which mypy holds not to be a `metrics.Wanted`
    values = metrics.per_user(top, wanted, counts)
    for name, metric in own.items():
        values[name] = _own(name, metric, top, window)
    highest = max(int(top.max(initial=0)), len(counts) - 1) + 1
    padded = np.concatenate([counts, np.zeros(highest - len(counts), counts.dtype)])
    values[POPULARITY] = popularity(top, padded)
    if any(window.category):
        values[MISCALIBRATION] = _miscalibration(top, window, highest)
    coverage = len(np.unique(top[top > 0])) / (len(counts) - 1)
    return values, coverage


def _own(name: str, metric: Metric, top: Ints, window: JudgedWindow) -> Floats:
    values = np.asarray(metric(top, window.targets, window.train_count), dtype=np.float64)
    if values.shape != (len(top),):
        raise BadDataError(
            f"The metric {name} must give one number a shopper, shape ({len(top)},); it gave "
            f"shape {values.shape}."
        )
    return values


def _miscalibration(top: Ints, window: JudgedWindow, numbers: int) -> Floats:
    names = sorted({name for name in window.category if name})
    code = {name: place for place, name in enumerate(names)}
    category = np.full(numbers, -1)
    category[: len(window.category)] = [code[name] if name else -1 for name in window.category]
    return miscalibration(top, category, window.past_owner, window.past_item, len(names))


def slices_of(window: JudgedWindow) -> dict[str, Labels]:
    """The groups that the gate judges one by one."""
    past, targets = window.past_events, window.targets
    return {
        "new_user": by_novelty(past),
        "activity": by_activity(past),
        "category": by_category(targets.offsets, targets.items, window.category),
        "price_band": by_price(targets.offsets, targets.items, window.price),
    }


def load_metrics(names: Iterable[str]) -> dict[str, Metric]:
    """A team's own metrics, `package.module:function`, by the function's name.

    A metric is `function(top, targets, train_count) -> float[n]`, as in `model/rungs/metrics.py`.

    Raises:
        UsageError: A name cannot be imported.
    """
    return {name.partition(":")[2]: _load_metric(name) for name in names}


def _load_metric(name: str) -> Metric:
    module, _, attribute = name.partition(":")
    try:
        found: Metric = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"[model] metrics: {name!r} cannot be loaded: {error}. Write it as "
            '"package.module:function", importable from the project\'s folder.'
        ) from error
    return found
