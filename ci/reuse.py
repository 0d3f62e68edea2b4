"""Decides whether a stage's earlier result still holds, by the digests of all it depends on."""

import hashlib
import importlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ci.config import PROJECT, Config
from ci.pipeline import Stage
from ci.workspace import Workspace, digest_of


@dataclass(frozen=True)
class Result:
    """How a stage ended.

    Attributes:
        line: The figures it printed.
        seconds: How long it took.
        error: Name of the verdict's error class (`HeldError`), or "" when it ended well.
        message: That error's message.
    """

    line: str
    seconds: float
    error: str = ""
    message: str = ""


def key_of(stage: Stage, config: Config, workspace: Workspace) -> dict[str, Any]:
    """Everything that a stage's result depends on, as digests and plain values."""
    return {
        "settings": {name: setting_of(config, name) for name in stage.settings},
        "reads": reads_of(stage, workspace),
        "code": code_digest(stage.code),
        "lock": digest_of(lock) if (lock := PROJECT / "requirements/ci.lock").exists() else "",
        "outside": _outside(stage, config, workspace),
    }


def reads_of(stage: Stage, workspace: Workspace) -> dict[str, str]:
    """The digests of the artifacts that a stage reads."""
    return {name: _artifact(workspace, name) for name in stage.reads}


def find(stage: Stage, key: dict[str, Any], config: Config, workspace: Workspace) -> Result | None:
    """The earlier result, if its inputs and all that it left are still what they were."""
    record = workspace.find_json(record_of(stage))
    if record is None or record["key"] != key:
        return None
    if record["outputs"] != _outputs(stage, workspace):
        return None
    if stage.keeps_outside and not _module(stage).kept(config, workspace):
        return None
    return Result(**record["result"])


def remember(stage: Stage, key: dict[str, Any], workspace: Workspace, result: Result) -> None:
    """Record a result for the next run."""
    content = {"key": key, "outputs": _outputs(stage, workspace), "result": asdict(result)}
    workspace.write_json(record_of(stage), content)


def output_of(stage: Stage, name: str, workspace: Workspace) -> str:
    """The digest of an artifact as its stage left it; "" where the stage has no result."""
    record = workspace.find_json(record_of(stage))
    return str(record["outputs"].get(name, "")) if record else ""


def remember_failure(stage: Stage, error: Exception, workspace: Workspace) -> None:
    """Record why a stage ended without a result, for the report."""
    content = {"error": type(error).__name__, "message": str(error)}
    workspace.write_json(failure_record(stage), content)


def forget_failure(stage: Stage, workspace: Workspace) -> None:
    """The stage has a result again."""
    workspace.path(failure_record(stage)).unlink(missing_ok=True)


def changed(stage: Stage, key: dict[str, Any], workspace: Workspace) -> str:
    """What differs from the last run, for a person: `settings model`, `reads dataset`."""
    record = workspace.find_json(record_of(stage))
    if record is None:
        return "first run"
    before = record["key"]
    differing = [
        f"{kind} {name}"
        for kind in ("settings", "reads", "outside")
        for name in key[kind]
        if key[kind][name] != before.get(kind, {}).get(name)
    ]
    differing += [kind for kind in ("code", "lock") if key[kind] != before.get(kind)]
    return ", ".join(differing) or "its results were altered or lost"


def record_of(stage: Stage) -> str:
    """Where a stage's key, outputs and result are recorded."""
    return f".stages/{stage.name}.json"


def failure_record(stage: Stage) -> str:
    """Where the reason is recorded that a stage has no result."""
    return f".stages/{stage.name}.failed.json"


def setting_of(config: Config, name: str) -> Any:
    """A section or `section.key` of the settings, as JSON."""
    value: Any = config.settings.model_dump(mode="json")
    for part in name.split("."):
        value = value[part]
    return value


def _artifact(workspace: Workspace, name: str) -> str:
    path = workspace.path(name)
    return digest_of(path) if path.exists() else ""


def _outputs(stage: Stage, workspace: Workspace) -> dict[str, str]:
    return {name: _artifact(workspace, name) for name in stage.writes}


def code_digest(globs: Iterable[str]) -> str:
    """One digest of all source files that the globs name."""
    files = sorted({path for glob in globs for path in PROJECT.glob(glob) if path.is_file()})
    listing = "".join(f"{path.relative_to(PROJECT)} {_file(path)}\n" for path in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def _file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _outside(stage: Stage, config: Config, workspace: Workspace) -> dict[str, Any]:
    """Facts of the outside world that the stage's module says its result depends on."""
    if not stage.looks_outside:
        return {}
    facts: dict[str, Any] = json.loads(json.dumps(_module(stage).outside(config, workspace)))
    return facts


def _module(stage: Stage) -> ModuleType:
    return importlib.import_module(f"ci.stages.{stage.name}")
