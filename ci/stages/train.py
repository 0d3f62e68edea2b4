"""Stage `train`: fit the challenger and the rungs below it, from `dataset/` alone."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ci import artifacts, reuse
from ci.config import Config
from ci.errors import UsageError
from ci.own_code import own_digests
from ci.pipeline import STAGE, TRAINING_SETTINGS
from ci.workspace import Workspace

if TYPE_CHECKING:
    from model.data.dataset import Dataset
    from model.rungs.training import TrainSettings


class Bar:
    """A progress bar on the error stream; says nothing where that is no terminal."""

    def __init__(self) -> None:
        console = Console(file=sys.stderr)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(
            *columns, TextColumn("{task.fields[figures]}"), console=console,
            transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._progress.stop()

    def __call__(self, task: str, share: float, figures: Mapping[str, float]) -> None:
        """Show how far a task is, with at most three of its figures."""
        if task not in self._tasks:
            self._tasks[task] = self._progress.add_task(task, total=1.0, figures="")
        shown = "  ".join(f"{name} {value:.4f}" for name, value in list(figures.items())[:3])
        self._progress.update(self._tasks[task], completed=share, figures=shown)


def outside(config: Config, _: Workspace) -> dict[str, Any]:
    """What the models depend on beyond the workspace: the source of a team's own."""
    return own_digests(config.model.rungs)


def run(config: Config, workspace: Workspace) -> str:
    """Train on `dataset/`; write `model.keras`, `ladder/` and `training.json`.

    Raises:
        UsageError: The configured model cannot be made.
        DataError: The dataset is not whole.
    """
    # TensorFlow takes seconds to import; whoever only asks what this stage depends on goes without.
    from model.data.dataset import Dataset  # noqa: PLC0415
    from model.rungs.recommender import save  # noqa: PLC0415
    from model.rungs.training import TrainSettings, train  # noqa: PLC0415

    dataset = Dataset.load(workspace.require("dataset", made_by="prepare"))
    settings = TrainSettings(**config.model.model_dump(include={*TRAINING_SETTINGS}))
    try:
        with artifacts.checkpoints(config, _key(dataset, settings)) as folder, Bar() as bar:
            trained = train(dataset, settings, folder, bar)
    except ValueError as error:
        raise UsageError(f"The model cannot be trained: {error}") from error
    with workspace.new_folder("ladder") as folder:
        for name, model in trained.ladder.items():
            save(model, folder / f"{name}.keras")
    save(trained.model, workspace.path("model.keras"))
    workspace.write_json("training.json", trained.record)
    return line(trained.record)


def _key(dataset: "Dataset", settings: "TrainSettings") -> str:
    """Names the checkpoints of this very training: other code may mean other weights."""
    facts = [reuse.code_digest(STAGE["train"].code), dataset.meta["digest"], asdict(settings)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def line(record: dict[str, Any]) -> str:
    """The one line of figures that is printed."""
    validation = record["validation"]
    return (
        f"{record['model']}: NDCG@10 {validation['ndcg_at_10']:.4f}, "
        f"HR@10 {validation['hit_rate_at_10']:.4f} on the validation window; "
        f"{record['cpu_seconds']:.0f} CPU-seconds, {record['peak_memory_mb']} MB{_resumed(record)}"
    )


def _resumed(record: dict[str, Any]) -> str:
    """Which rungs went on from a checkpoint of a run that was lost, and where."""
    rungs = {record["model"]: record, **record["ladder"]}
    steps = {
        name: notes["resumed_at_step"]
        for name, one in rungs.items()
        for notes in (one["notes"], one["final_notes"])
        if notes.get("resumed_at_step")
    }
    told = ", ".join(f"{name} at step {step:,}" for name, step in steps.items())
    return f"; resumed {told}" if told else ""
