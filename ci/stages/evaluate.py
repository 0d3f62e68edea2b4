"""Stage `evaluate`: score the bundle that will be served and the live one on the same rows."""

import os
from pathlib import Path
from typing import Any

from ci.baseline import Baseline, find_baseline
from ci.config import Config
from ci.errors import RefusedError
from ci.evaluating.figures import describe_evaluation
from ci.evaluating.per_user import Scores, write_scores
from ci.evaluating.pseudonyms import read_salt
from ci.own_code import own_digests
from ci.reference import facts_of, home_of
from ci.workspace import Workspace, digest_of


def outside(config: Config, _: Workspace) -> dict[str, Any]:
    """What the result depends on beyond the workspace: which bundle is live, a team's own code."""
    live = find_baseline(config)
    own = own_digests((*config.model.rungs, *config.model.metrics))
    return {"live": live.digest if live else None, **own}


def run(config: Config, workspace: Workspace) -> str:
    """Write `evaluation.json` and `per_user.parquet`.

    Raises:
        UnavailableError: The ledger names a live bundle that cannot be loaded.
        BadDataError: Nobody can be judged, or a model has seen the judged rows in training.
        RefusedError: The challenger's bundle was altered after `export`.
    """
    baseline = find_baseline(config)  # first: a lost baseline ends it before any work
    evaluation, scores = compare(config, workspace, baseline)
    write_scores(workspace.path("per_user.parquet"), scores)
    if config.options.reference:
        evaluation["reference"] = facts_of(home_of(config))
    workspace.write_json("evaluation.json", evaluation)
    return describe_evaluation(evaluation, config.gate.metric)


def compare(
    config: Config, workspace: Workspace, baseline: Baseline | None
) -> tuple[dict[str, Any], Scores]:
    """Score the challenger beside another bundle on the same shoppers.

    Args:
        config: All settings.
        workspace: Holds the challenger, the rungs below it and the dataset.
        baseline: The other bundle, if any.

    Returns:
        The content of `evaluation.json`, and the per-user table.

    Raises:
        BadDataError: Nobody can be judged, or a model has seen the judged rows in training.
        RefusedError: The challenger's bundle was altered after `export`.
    """
    described = workspace.read_json("bundle.json", "export")
    challenger = bundle_folder(workspace, described)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ci.evaluating.evaluation import Bundle, Contest, evaluate  # noqa: PLC0415  imports TensorFlow
    from ci.evaluating.scoring import load_metrics  # noqa: PLC0415
    from model.data.dataset import Dataset  # noqa: PLC0415

    trained_with = workspace.read_json("training.json", "train")["settings"]
    rungs = sorted(workspace.require("ladder", "train").glob("*.keras"))
    contest = Contest(
        dataset=Dataset.load(workspace.require("dataset", "prepare")),
        challenger=Bundle(described["model_version"], described["digest"], challenger),
        trained=workspace.require("model.keras", "train"),
        live=Bundle(baseline.model_version, baseline.digest, baseline.path) if baseline else None,
        rungs={rung.stem: rung for rung in rungs},
        lengths=(trained_with["history_length"], trained_with["frequent_length"]),
        own=load_metrics(config.model.metrics),
        salt=read_salt(config.state / "salt"),
        engine=config.serving.engine,
    )
    return evaluate(contest, config.gate)


def bundle_folder(workspace: Workspace, described: dict[str, Any]) -> Path:
    """The challenger's folder, unaltered.

    Raises:
        RefusedError: It was altered after `export`.
    """
    path = workspace.path("bundle") / str(described["model_version"])
    if (seen := digest_of(path)) != described["digest"]:
        raise RefusedError(
            f"{path} was altered after `export`: its digest is {seen}, not {described['digest']}. "
            "Run `bin/ci export --force`."
        )
    return path
