"""Copies a release to the host that will serve it, whole or not at all; lets old ones go."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ci.config import TASK, Config
from ci.errors import RefusedError
from ci.rollout.users import write_users
from ci.workspace import Workspace, digest_of, remove
from serving.gateway.shoppers import example_user
from serving.host import releases
from serving.host.record import Record
from serving.host.releases import RELEASES_KEPT, Placed, folder_of


def place(config: Config, workspace: Workspace) -> Placed:
    """Put the exported bundle and the shoppers' events where the host keeps its releases.

    Raises:
        RefusedError: The bundle is not what `export` made.
        UsageError: A stage before this one has not run.
    """
    home = config.environment_state()
    placed = describe(config, workspace)
    digest, version = placed.digest, placed.model_version
    bundle = workspace.require(f"bundle/{version}", "export")
    dataset = workspace.require("dataset", "prepare")
    target = placed.folder(home)
    if target.exists():
        # The settings of this deploy hold, the content is the same.
        placed = replace(placed, example_user=example_user(placed.users(home)))
        placed.write(target)
        return placed
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".placing-", dir=target.parent))
    try:
        # Copied, not linked: a file changed in place under build/ must not change a release.
        shutil.copytree(bundle, scratch / TASK / str(version))
        if (seen := digest_of(scratch / TASK / str(version))) != digest:
            raise RefusedError(
                f"{bundle} was altered after it was made: its digest is {seen}, not {digest}. "
                "Run `bin/ci export --force`."
            )
        write_users(dataset, scratch / releases.USERS)
        placed = replace(placed, example_user=example_user(scratch / releases.USERS))
        placed.write(scratch)
        scratch.chmod(0o755)
        scratch.rename(target)
    finally:
        remove(scratch)
    return placed


def describe(
    config: Config, workspace: Workspace, images: Mapping[str, str] | None = None, example: str = ""
) -> Placed:
    """The release at hand as a host is told of it.

    Args:
        config: All settings.
        workspace: Holds the bundle and the dataset.
        images: What it is started from, by part, where that is images.
        example: A shopper to try it with, where one is known already.

    Raises:
        UsageError: A stage before this one has not run.
    """
    exported = workspace.read_json("bundle.json", "export")
    version = int(exported["model_version"])
    dataset = workspace.require("dataset", "prepare")
    return Placed(
        task=TASK,
        model_version=version,
        digest=str(exported["digest"]),
        engine=config.serving.engine,
        commit=read_card(workspace, version).get("commit") or "",
        start_timeout_seconds=config.serving.start_timeout_seconds,
        drain_seconds=config.serving.drain_seconds,
        example_user=example or "nobody",
        at=_moment(dataset) if _has_stopped(config) else None,
        images=dict(images or {}),
    )


def read_card(workspace: Workspace, version: int) -> dict[str, Any]:
    """The card of the bundle at hand.

    Raises:
        UsageError: The stage `export` has not run.
    """
    return workspace.read_json(f"bundle/{version}/card.json", "export")


def _has_stopped(config: Config) -> bool:
    """Whether events are as old as at the end of the log, not as old as they are now."""
    is_simulated = config.data.source == "simulator"
    return (config.serving.clock or ("as_of" if is_simulated else "now")) == "as_of"


def _moment(dataset: Path) -> float:
    """The end of the log in seconds: the first moment at which all its events are past."""
    meta = json.loads((dataset / "meta.json").read_text(encoding="utf-8"))
    return datetime.fromisoformat(meta["as_of"]).timestamp() + 1.0


def prune(home: Path, known: Record) -> list[int]:
    """Remove releases that no rollback will want: all but the newest verified ones.

    Returns:
        The model versions that were removed.
    """
    wanted = known.wanted(RELEASES_KEPT)
    removed = set()
    for line in known.history:
        folder = folder_of(home, line.key)
        if line.key not in wanted and folder.exists():
            remove(folder)
            removed.add(line.model_version)
    return sorted(removed)
