"""The table of per-user scores: long on disk, one array a model and metric in memory."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ci.errors import BadDataError
from ci.judging.statistics import Floats

USER = "user"
MODEL = "model"
SLICE_PREFIX = "slice_"
CHALLENGER = "challenger"
LIVE = "live"

Labels = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Scores:
    """What each model scored on each user of the window.

    Attributes:
        users: Salted pseudonyms, shape (users,).
        metrics: Model → metric → values, shape (users,), in the order of `users`.
        slices: Dimension (without prefix) → group of each user, shape (users,).
    """

    users: Labels
    metrics: dict[str, dict[str, Floats]]
    slices: dict[str, Labels] = field(default_factory=dict)

    def difference(self, model: str, reference: str, metric: str) -> Floats:
        """Per-user values of one model minus another's."""
        return self.metrics[model][metric] - self.metrics[reference][metric]


def write_scores(path: Path, scores: Scores) -> None:
    """Write the long format: one row a user and model."""
    import pyarrow as pa  # noqa: PLC0415  a stage that is reused does not need it
    import pyarrow.parquet as pq  # noqa: PLC0415

    models = list(scores.metrics)
    names = list(dict.fromkeys(name for values in scores.metrics.values() for name in values))
    empty = np.full(len(scores.users), np.nan)
    columns: dict[str, Any] = {
        USER: np.tile(scores.users, len(models)),
        MODEL: np.repeat(models, len(scores.users)),
    }
    for name in names:
        values = [scores.metrics[model].get(name, empty) for model in models]
        columns[name] = np.concatenate(values)
    for dimension, groups in scores.slices.items():
        columns[SLICE_PREFIX + dimension] = np.tile(groups, len(models))
    pq.write_table(pa.table(columns), path)


def read_scores(path: Path) -> Scores:
    """Read the long format; metrics that a model lacks come back as NaN.

    Raises:
        BadDataError: The file is no such table, or the models were not scored on the same users.
    """
    table = _read_table(path)
    users, models = _strings(table, USER), _strings(table, MODEL)
    names = [
        name for name in table.column_names
        if name not in (USER, MODEL) and not name.startswith(SLICE_PREFIX)
    ]  # fmt: skip
    reference: Labels | None = None
    metrics: dict[str, dict[str, Floats]] = {}
    first = np.array([], dtype=np.int64)
    for model in dict.fromkeys(models.tolist()):
        rows = np.flatnonzero(models == model)
        rows = rows[np.argsort(users[rows], kind="stable")]
        if reference is None:
            reference, first = users[rows], rows
        _require_same_users(reference, users[rows], str(model), path)
        metrics[str(model)] = {
            name: table[name].to_numpy().astype(np.float64)[rows] for name in names
        }
    if reference is None:
        raise BadDataError(f"{path} holds no rows. Run `bin/ci evaluate --force`.")
    slices = {
        name.removeprefix(SLICE_PREFIX): _strings(table, name)[first]
        for name in table.column_names
        if name.startswith(SLICE_PREFIX)
    }
    return Scores(reference, metrics, slices)


def _read_table(path: Path) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadDataError(f"{path} cannot be read: {error}. Run `bin/ci evaluate`.") from error
    absent = {USER, MODEL} - set(table.column_names)
    if absent:
        raise BadDataError(
            f"{path} has no column {', '.join(sorted(absent))}; it has "
            f"{', '.join(table.column_names)}. Run `bin/ci evaluate --force`."
        )
    return table


def _strings(table: Any, name: str) -> Labels:
    return np.array(table[name].to_pylist(), dtype=np.str_)


def _require_same_users(reference: Labels, users: Labels, model: str, path: Path) -> None:
    if len(set(users.tolist())) != len(users):
        raise BadDataError(
            f"{path} holds a user twice for the model {model}. Run `bin/ci evaluate --force`."
        )
    if not np.array_equal(reference, users):
        differing = len(set(reference.tolist()) ^ set(users.tolist()))
        raise BadDataError(
            f"{path}: {model} was scored on other users than the first model ({differing:,} users "
            "are in one list only), so nothing can be paired. Run `bin/ci evaluate --force`."
        )
