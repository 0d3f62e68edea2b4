"""Makes an evaluation: every model on the same shoppers, parity and cost of what will be served."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ci.evaluating.contenders import bundle_lists, measure_parity, rung_lists
from ci.evaluating.cost import measure_cost
from ci.evaluating.figures import summarise
from ci.evaluating.per_user import CHALLENGER, LIVE, Scores
from ci.evaluating.pseudonyms import pseudonyms
from ci.evaluating.scoring import (
    JudgedWindow,
    Metric,
    events_before,
    number_items,
    open_window,
    score_lists,
    slices_of,
)
from ci.judging.admission import require_unseen
from ci.settings import GateSettings
from model.bundle.export import read_card
from model.data.dataset import Dataset

# Why a guard is not measured, as the gate reads it.
NO_CATEGORIES = {"miscalibration": "The catalogue names no categories."}


@dataclass(frozen=True)
class Bundle:
    """A servable bundle under its name in the registry."""

    model_version: int
    digest: str
    path: Path


@dataclass(frozen=True)
class Contest:
    """Everything that an evaluation is made from.

    Attributes:
        dataset: Whose test window is judged.
        challenger: The bundle that would be served.
        trained: The Keras model that it was exported from.
        live: The bundle that is served, if any.
        rungs: Name → Keras model of each simpler rung.
        lengths: History and frequent length of the rungs.
        own: The team's metrics by name.
        salt: Of the pseudonyms.
        engine: What computes in production, whose cost counts.
    """

    dataset: Dataset
    challenger: Bundle
    trained: Path
    live: Bundle | None
    rungs: Mapping[str, Path]
    lengths: tuple[int, int]
    own: Mapping[str, Metric]
    salt: bytes
    engine: str

    @property
    def bundles(self) -> dict[str, Bundle]:
        """The bundles by role."""
        return {CHALLENGER: self.challenger} | ({LIVE: self.live} if self.live else {})


def evaluate(contest: Contest, settings: GateSettings) -> tuple[dict[str, Any], Scores]:
    """Score every model on the shoppers of the test window.

    Returns:
        `evaluation.json` and the per-user table.

    Raises:
        BadDataError: Nobody can be judged, or a model has seen the judged rows in training.
    """
    dataset, live = contest.dataset, contest.live
    window = open_window(dataset)
    models = _admitted(contest, window)
    scores, coverage = _score_all(contest, window)
    for model, figures in summarise(scores, coverage, settings).items():
        models.setdefault(model, {})["metrics"] = figures
    evaluation = {
        "window": _described(dataset, window),
        "models": {LIVE: None, **models},
        "parity": measure_parity(contest.challenger.path, contest.trained, dataset, window),
        "cost": measure_cost(
            contest.challenger.path, live.path if live else None, contest.engine, settings.seed
        ),
        "guards": {"not_applicable": {} if any(window.category) else NO_CATEGORIES},
        "oracle": dataset.meta["oracle"],
    }
    return evaluation, scores


def _admitted(contest: Contest, window: JudgedWindow) -> dict[str, dict[str, Any]]:
    """Challenger and live by version, digest and end of training.

    Raises:
        BadDataError: One was trained past the start of the window.
    """
    models = {}
    for role, bundle in contest.bundles.items():
        until = read_card(bundle.path)["trained_until"]
        models[role] = {
            "model_version": bundle.model_version,
            "digest": bundle.digest,
            "trained_until": until,
            "rows_seen": events_before(contest.dataset, window, until),
        }
    require_unseen(
        _described(contest.dataset, window),
        {role: model["trained_until"] for role, model in models.items()},
        {role: model["rows_seen"] for role, model in models.items()},
    )
    return models


def _described(dataset: Dataset, window: JudgedWindow) -> dict[str, Any]:
    """The `window` object of `evaluation.json`."""
    return {
        "start": dataset.meta["test_start"],
        "end": dataset.meta["test_end"],
        "users": len(window.users),
        "new_users": int((window.past_events == 0).sum()),
    }


def _score_all(contest: Contest, window: JudgedWindow) -> tuple[Scores, dict[str, float]]:
    """Per-user scores of bundles and rungs, and the coverage of each."""
    dataset = contest.dataset
    lists = {
        role: number_items(bundle_lists(bundle.path, dataset, window), window.numbers)
        for role, bundle in contest.bundles.items()
    }
    for name, path in contest.rungs.items():
        lists[name] = rung_lists(path, dataset, window, contest.lengths)
    scored = {name: score_lists(top, window, contest.own) for name, top in lists.items()}
    names = pseudonyms((dataset.user_ids[index] for index in window.users), contest.salt)
    metrics = {name: values for name, (values, _) in scored.items()}
    coverage = {name: share for name, (_, share) in scored.items()}
    return Scores(np.array(names), metrics, slices_of(window)), coverage
