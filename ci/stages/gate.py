"""Stage `gate`: PROMOTE, HOLD or INCONCLUSIVE, with the reason."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ci import registry
from ci.config import Config
from ci.errors import BadDataError, HeldError, InconclusiveError
from ci.evaluating.per_user import LIVE, read_scores
from ci.judging.admission import Beginning
from ci.judging.judge import Verdict, judge
from ci.judging.verdict import write_verdict
from ci.notifying import telling
from ci.workspace import Workspace, remove
from serving.host import record


def run(config: Config, workspace: Workspace) -> str:
    """Judge the challenger and write `gate.json` and `gate.md`, whatever the verdict.

    Raises:
        HeldError: The verdict is HOLD.
        InconclusiveError: The verdict is INCONCLUSIVE.
        BadDataError: The evaluation cannot be judged; no verdict is left behind.
    """
    for name in ("gate.json", "gate.md"):
        remove(workspace.path(name))
    evaluation = workspace.read_json("evaluation.json", "evaluate")
    bundle = workspace.read_json("bundle.json", "export")
    require_same_bundle(evaluation, bundle)
    scores = read_scores(workspace.require("per_user.parquet", "evaluate"))
    beginning = None if has_live(evaluation) else beginning_of(config)
    verdict = judge(evaluation, scores, config.gate, beginning)
    workspace.write_text("gate.md", write_verdict(verdict, evaluation, config.gate))
    workspace.write_json("gate.json", _record(verdict, evaluation, config))
    news = telling.news_of(
        config,
        "verdict",
        verdict.decision,
        environment=config.gate.baseline_environment,
        model_version=bundle["model_version"],
        decision=verdict.decision,
        reason=verdict.reason,
    )
    telling.tell(config, news)
    return tell(verdict, workspace.path("gate.md"))


def outside(config: Config, workspace: Workspace) -> dict[str, Any]:
    """What the verdict depends on beyond the workspace: without a live model, earlier releases."""
    evaluation = workspace.find_json("evaluation.json")
    return asdict(beginning_of(config)) if evaluation and not has_live(evaluation) else {}


def has_live(evaluation: dict[str, Any]) -> bool:
    """Whether there was a live model to compare with."""
    return bool(evaluation.get("models", {}).get(LIVE))


def require_same_bundle(evaluation: dict[str, Any], bundle: dict[str, Any]) -> None:
    """The figures must be those of the bundle that would be released.

    Raises:
        BadDataError: They belong to another bundle.
    """
    judged = evaluation.get("models", {}).get("challenger", {}).get("digest")
    if judged != bundle["digest"]:
        raise BadDataError(
            f"evaluation.json is about the bundle {judged}, but bundle.json names "
            f"{bundle['digest']}. Run `bin/ci evaluate`."
        )


def beginning_of(config: Config) -> Beginning:
    """What is known about earlier releases of the baseline's environment.

    Raises:
        UnavailableError: The registry does not answer.
    """
    name = config.gate.baseline_environment
    return Beginning(
        target=config.settings.environments[name].target,
        promoted=registry.count_promoted(config),
        deployed=healthy_releases(config.environment_state(name)),
        allowed=config.options.first_release,
    )


def healthy_releases(home: Path) -> int:
    """How many releases an environment's own record says were once verified healthy.

    Raises:
        BadDataError: There is a record, but it cannot be read.
    """
    try:
        known = record.load(home)
    except record.RecordError as error:
        raise BadDataError(
            f"{error} It says what was released here; restore it, or start over with another "
            "`shop.name`."
        ) from error
    healthy = ("live", "previous", "withdrawn")
    return sum(release.state in healthy for release in known.history) if known else 0


def _record(verdict: Verdict, evaluation: dict[str, Any], config: Config) -> dict[str, Any]:
    """The content of `gate.json`."""
    models = evaluation["models"]
    keys = ("model_version", "digest")
    live = models.get("live")
    content = verdict.as_json()
    clauses = content.pop("clauses")
    return {
        **content,
        "first_release_flag": config.options.first_release,
        "metric": config.gate.metric,
        "window": evaluation["window"],
        "challenger": {key: models["challenger"].get(key) for key in keys},
        "baseline": {key: live.get(key) for key in keys} if live else None,
        "baseline_environment": config.gate.baseline_environment,
        "clauses": clauses,
    }


def tell(verdict: Verdict, report: Path) -> str:
    """The line of a PROMOTE; any other verdict is raised, and the file says it in full.

    Raises:
        HeldError: The verdict is HOLD.
        InconclusiveError: The verdict is INCONCLUSIVE.
    """
    line = f"{verdict.decision}: {verdict.reason}"
    if verdict.decision == "HOLD":
        raise HeldError(f"{line}\nRead {report}.")
    if verdict.decision == "INCONCLUSIVE":
        raise InconclusiveError(f"{line}\nRead {report}.")
    superior = " The challenger is better than the live model." if verdict.superior else ""
    return f"{line}{superior}"
