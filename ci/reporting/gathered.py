"""Gathers what the stages left; what is missing, broken or of an earlier state is left out."""

import json
from dataclasses import dataclass, field
from typing import Any

from ci.config import PROJECT, Config
from ci.reporting.progress import Progress, progress_of
from ci.workspace import Workspace, digest_of

Json = dict[str, Any]

MADE_BY = {
    "data.json": "prepare",
    "dataset/meta.json": "prepare",
    "training.json": "train",
    "bundle.json": "export",
    "evaluation.json": "evaluate",
    "gate.json": "gate",
    "../release.json": "image",
    "../deployment.json": "deploy",
}


@dataclass(frozen=True)
class Gathered:
    """Everything the report is made from; an empty object stands for what is not there.

    Attributes:
        shop: Name of the shop.
        margin: `[gate] margin`, a share of the live score.
        metric: `[gate] metric`, the figure that decides.
        settings: All settings, as JSON.
        lock: Digest of the lock that the environment was made from.
        progress: Stage → how far it came.
        catalogue: Item id → title, for the items that the example shows.
        broken: Artifacts that could not be read, with the reason.
    """

    shop: str
    margin: float
    metric: str
    settings: Json
    lock: str
    progress: dict[str, Progress]
    meta: Json = field(default_factory=dict)
    data: Json = field(default_factory=dict)
    training: Json = field(default_factory=dict)
    bundle: Json = field(default_factory=dict)
    card: Json = field(default_factory=dict)
    evaluation: Json = field(default_factory=dict)
    gate: Json = field(default_factory=dict)
    release: Json = field(default_factory=dict)
    deployment: Json = field(default_factory=dict)
    catalogue: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def gather(config: Config, workspace: Workspace) -> Gathered:
    """Read every artifact whose stage's result still holds."""
    progress = progress_of(config, workspace)
    found: dict[str, Json] = {}
    broken: dict[str, str] = {}
    for name, stage in MADE_BY.items():
        found[name] = _read(name, workspace, broken) if progress[stage].holds else {}
    bundle = found["bundle.json"]
    card = f"bundle/{bundle.get('model_version')}/card.json"
    lock = PROJECT / "requirements/ci.lock"
    return Gathered(
        shop=config.shop.name,
        margin=config.gate.margin,
        metric=config.gate.metric,
        settings=config.settings.model_dump(mode="json"),
        lock=digest_of(lock) if lock.exists() else "",
        progress=progress,
        meta=found["dataset/meta.json"],
        data=found["data.json"],
        training=found["training.json"],
        bundle=bundle,
        card=_read(card, workspace, broken) if bundle else {},
        evaluation=found["evaluation.json"],
        gate=found["gate.json"],
        release=found["../release.json"],
        deployment=found["../deployment.json"],
        catalogue=_titles(workspace, broken) if found["dataset/meta.json"] else {},
        broken=broken,
    )


def _read(name: str, workspace: Workspace, broken: dict[str, str]) -> Json:
    try:
        content = workspace.find_json(name) or {}
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        broken[name] = str(error)
        return {}
    if isinstance(content, dict):
        return content
    broken[name] = f"holds a {type(content).__name__}, not an object"
    return {}


def _titles(workspace: Workspace, broken: dict[str, str]) -> dict[str, str]:
    """Item id → title, where the catalogue has titles."""
    import pyarrow  # noqa: PLC0415  only a report with a dataset needs it
    from pyarrow import parquet  # noqa: PLC0415

    name = "dataset/items.parquet"
    path = workspace.path(name)
    if not path.exists():
        return {}
    try:
        if "title" not in parquet.read_schema(path).names:
            return {}
        table = parquet.read_table(path, columns=["item_id", "title"])
    except (pyarrow.ArrowException, OSError) as error:
        broken[name] = str(error)
        return {}
    pairs = zip(table["item_id"].to_pylist(), table["title"].to_pylist(), strict=True)
    return {str(item): title for item, title in pairs if title}
