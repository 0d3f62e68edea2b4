"""Stage `export`: the trained model as an immutable bundle, stored, registered and numbered."""

import subprocess
from typing import Any

import numpy as np

from ci import artifacts, registry
from ci.config import PROJECT, TASK, Config
from ci.workspace import Workspace, digest_of
from model.dataset import Dataset
from model.schema import INPUTS, PADDING_ID, Input

GOLDEN_USERS = 24
UNKNOWN_ITEM = "no-such-item"


def run(config: Config, workspace: Workspace) -> str:
    """Write `bundle/<model_version>/` and `bundle.json`.

    Raises:
        UsageError: A stage before has not run.
        UnavailableError: The registry does not answer.
    """
    from model.bundle import Lengths, export_bundle  # noqa: PLC0415  TensorFlow
    from model.recommender import load  # noqa: PLC0415  TensorFlow

    dataset = Dataset.load(workspace.require("dataset", made_by="prepare"))
    training = workspace.read_json("training.json", made_by="train")
    model = load(workspace.require("model.keras", made_by="train"))
    settings = config.model
    with workspace.new_folder("bundle") as folder:
        made = folder / "made"
        export_bundle(
            model,
            dataset.item_ids,
            made,
            lineage=_lineage(config, dataset, training),
            golden_inputs=golden_inputs(dataset, settings.history_length, settings.frequent_length),
            lengths=Lengths(settings.history_length, settings.frequent_length, settings.top_k),
        )
        digest = digest_of(made)
        stored = artifacts.store(config, made, digest)
        version = registry.register(config, digest, stored, training)
        made.rename(folder / str(version))
    size = sum(file.stat().st_size for file in stored.rglob("*") if file.is_file())
    bundle = {
        "model_version": version,
        "digest": digest,
        "bytes": size,
        "path": f"bundle/{version}",
    }
    workspace.write_json("bundle.json", bundle)
    return f"model version {version}, {size / 1e6:.1f} MB, {digest[:19]}…"


def golden_inputs(dataset: Dataset, length: int, frequent: int) -> dict[str, np.ndarray]:
    """Requests whose answers the bundle must repeat wherever it is served.

    The most active shoppers as they were when the test window opened, one shopper whose last item
    the model does not know, and one of whom nothing is known.

    Args:
        dataset: The prepared dataset.
        length: L, of the histories.
        frequent: F, of the lists of frequent items.

    Returns:
        The five inputs as text and float32, (users + 2, L or F).
    """
    from model.reference import string_inputs  # noqa: PLC0415  TensorFlow

    events = np.bincount(dataset.user_index[dataset.split < 2], minlength=dataset.users)
    users = np.argsort(-events, kind="stable")[:GOLDEN_USERS].astype(np.int32)
    states = dataset.states(dataset.start_of("test"), users, length, frequent)
    inputs = string_inputs(states, dataset.item_ids)
    unknown = {name: inputs[name][:1].copy() for name in INPUTS}
    unknown[Input.HISTORY][0, -1] = UNKNOWN_ITEM
    nobody = {name: np.full_like(inputs[name][:1], _nothing(inputs[name])) for name in INPUTS}
    return {name: np.concatenate([inputs[name], unknown[name], nobody[name]]) for name in INPUTS}


def _nothing(values: np.ndarray) -> Any:
    return PADDING_ID if values.dtype == object else 0.0


def _lineage(config: Config, dataset: Dataset, training: dict[str, Any]) -> Any:
    from model.card import Lineage  # noqa: PLC0415

    return Lineage(
        model=training["model"],
        task=TASK,
        shop=config.shop.name,
        data_digest=dataset.meta["digest"],
        commit=_commit(),
        settings=training["settings"],
        validation=training["validation"],
        trained_until=training["trained_until"],
        inputs_read=tuple(training["inputs_read"]),
    )


def _commit() -> str:
    """The commit of the code, marked when the working tree differs from it; "" outside git."""
    described = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip()
