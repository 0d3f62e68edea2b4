"""How far the pipeline came: which stages have a result that still holds, and which have not."""

from dataclasses import dataclass
from typing import Any, Literal

from ci.config import Config
from ci.pipeline import BESIDE, STAGES, Stage
from ci.reuse import failure_record, record_of, setting_of
from ci.workspace import Workspace

State = Literal["done", "verdict", "failed", "outdated", "not run"]


@dataclass(frozen=True)
class Progress:
    """One stage's row.

    Attributes:
        stage: Its name.
        state: `verdict` is a HOLD or INCONCLUSIVE, `outdated` a result of earlier inputs.
        line: The figures it printed, or why it has none.
        seconds: How long it took, where that was recorded.
    """

    stage: str
    state: State
    line: str
    seconds: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the stage's artifacts describe the present state."""
        return self.state in {"done", "verdict"}


def progress_of(config: Config, workspace: Workspace) -> dict[str, Progress]:
    """Judge every stage but the report by its record, its settings and what it has read.

    A stage holds when what it read is what the stage before it wrote and its settings are the
    present ones. After a stage that failed, or a verdict that keeps the live model, nothing holds.
    """
    found: dict[str, Progress] = {}
    written: dict[str, str] = {}
    stopped = ""
    for stage in STAGES[:-1]:
        record = workspace.find_json(record_of(stage))
        failure = workspace.find_json(failure_record(stage))
        if stage.name == "reference" and record is None and failure is None:
            continue  # only the main branch publishes one
        if stopped:
            row = Progress(stage.name, "not run", f"not reached: {stopped}")
        elif failure is not None:
            row = Progress(stage.name, "failed", failure["message"] or failure["error"])
            stopped = "" if stage.name in BESIDE else f"{stage.name} failed"
        elif record is None:
            # Made on another machine its artifacts came and its record did not.
            made = any(workspace.path(name).exists() for name in stage.writes)
            row = Progress(stage.name, *(("done", "") if made else ("not run", "")))
        else:
            row = _judge(stage, record, _Before(found, written, config))
            written |= record["outputs"]
            stopped = f"the verdict of {stage.name}" if row.state == "verdict" else ""
        found[stage.name] = row
    return found


@dataclass(frozen=True)
class _Before:
    """What is known when a stage is judged: rows so far, digests written so far, settings."""

    rows: dict[str, Progress]
    written: dict[str, str]
    config: Config


def _judge(stage: Stage, record: dict[str, Any], before: _Before) -> Progress:
    why = _outdated(stage, record["key"], before)
    if why:
        return Progress(stage.name, "outdated", f"did not run again: {why}")
    result = record["result"]
    state: State = "verdict" if result["error"] else "done"
    return Progress(stage.name, state, result["line"], result["seconds"])


def _outdated(stage: Stage, key: dict[str, Any], before: _Before) -> str:
    """What a stage's result does not know yet, or ""."""
    for name, digest in key.get("reads", {}).items():
        maker = before.rows.get(_maker(name, stage))
        if maker and not maker.holds:
            return f"{maker.stage} {'is outdated' if maker.state == 'outdated' else 'did not run'}"
        if maker and before.written.get(name, digest) != digest:
            return f"{maker.stage} has a newer result"
    for name, value in key.get("settings", {}).items():
        if setting_of(before.config, name) != value:
            return f"[{name}] has changed"
    return ""


def _maker(artifact: str, reader: Stage) -> str:
    """The stage before `reader` that writes an artifact."""
    before = STAGES[: STAGES.index(reader)]
    return next((stage.name for stage in before if artifact in stage.writes), "")
