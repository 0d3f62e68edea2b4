"""Stage `export`: the challenger as an immutable bundle, stored and registered by its digest."""

import subprocess
from typing import TYPE_CHECKING, Any

from ci import artifacts, registry
from ci.config import PROJECT, TASK, Config
from ci.errors import UnavailableError, UsageError
from ci.own_code import own_digests
from ci.workspace import Workspace, digest_of, size_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from model.bundle.card import Lineage
    from model.bundle.signatures import Lengths
    from model.data.dataset import Dataset

GOLDEN_SHOPPERS = 30


def outside(config: Config, _: Workspace) -> dict[str, Any]:
    """What the bundle depends on beyond the workspace: the source of a team's own models."""
    return own_digests(config.model.rungs)


def kept(config: Config, workspace: Workspace) -> bool:
    """Whether the registry and the artifact store still have the bundle of `bundle.json`."""
    digest = workspace.read_json("bundle.json", "export")["digest"]
    return artifacts.has(config, digest) and not registry.is_missing(config)


def run(config: Config, workspace: Workspace) -> str:
    """Export `model.keras`; write `bundle/<model_version>/` and `bundle.json`.

    Raises:
        UsageError: The model cannot be served as it is.
        UnavailableError: The registry does not answer, or it was lost while releases live on.
    """
    _refuse_lost_registry(config)
    # TensorFlow takes seconds to import; whoever only asks what this stage depends on goes without.
    from model.bundle.export import export_bundle  # noqa: PLC0415
    from model.bundle.signatures import Lengths  # noqa: PLC0415
    from model.data.dataset import Dataset  # noqa: PLC0415
    from model.rungs.recommender import load  # noqa: PLC0415

    training = workspace.read_json("training.json", "train")
    dataset = Dataset.load(workspace.require("dataset", "prepare"))
    settings = training["settings"]
    top_k = config.model.top_k
    lengths = Lengths(settings["history_length"], settings["frequent_length"], top_k)
    model = load(workspace.require("model.keras", "train"))
    with workspace.new_folder("bundle") as folder:
        made = folder / "made"
        try:
            export_bundle(
                model,
                dataset.item_ids,
                made,
                lineage=lineage(training, config.shop.name, commit()),
                golden_inputs=golden_inputs(dataset, lengths),
                lengths=lengths,
            )
        except ValueError as error:
            raise UsageError(f"The model cannot be exported: {error}") from error
        digest = digest_of(made)
        version = registry.register(config, digest, artifacts.store(config, made, digest), training)
        # The number depends on the digest, so the folder gets its name last.
        made.rename(folder / str(version))
    bundle = workspace.path("bundle") / str(version)
    size = size_of(bundle)
    content = {"model_version": version, "digest": digest, "bytes": size}
    workspace.write_json("bundle.json", {**content, "path": f"bundle/{version}"})
    return f"version {version}, {size / 1e6:.1f} MB, {digest[:19]}…, {dataset.items:,} items"


def _refuse_lost_registry(config: Config) -> None:
    """A registry that begins again would give numbers that a released bundle has already.

    Raises:
        UnavailableError: Environments remember releases, and the registry is not there.
    """
    released = sorted(config.environment_state("*").parent.glob("*/record.json"))
    if registry.is_missing(config) and released:
        raise UnavailableError(
            f"The registry of {config.shop.name} in {config.state} is gone, although "
            f"{released[0]} remembers releases: it was lost. Restore it from a backup, or stop "
            f"serving (`bin/ci serve --stop`) and remove {config.state} to start over."
        )


def lineage(training: dict[str, Any], shop: str, revision: str) -> "Lineage":
    """Where the bundle comes from, as its card tells it.

    Args:
        training: `training.json`.
        shop: Name of the shop.
        revision: Commit of the code.
    """
    from model.bundle.card import Lineage  # noqa: PLC0415

    return Lineage(
        model=training["model"],
        task=TASK,
        shop=shop,
        data_digest=training["data_digest"],
        commit=revision,
        settings=training["settings"],
        validation=training["validation"],
        trained_until=training["trained_until"],
        inputs_read=tuple(training["inputs_read"]),
    )


def golden_inputs(dataset: "Dataset", lengths: "Lengths") -> "dict[str, npt.NDArray[np.generic]]":
    """Requests whose answers every engine must repeat.

    Shoppers from the least to the most active as they stood when the test window opened; after
    them a shopper whose newest act is on an item that no release knows, and one who never came.
    """
    import numpy as np  # noqa: PLC0415

    from model.bundle.reference import string_inputs  # noqa: PLC0415
    from model.schema import Input  # noqa: PLC0415

    activity = np.argsort(np.bincount(dataset.user_index, minlength=dataset.users), kind="stable")
    places = np.linspace(0, dataset.users - 1, min(GOLDEN_SHOPPERS, dataset.users)).astype(int)
    users = activity[places]
    at = dataset.start_of("test")
    states = dataset.states(at, users, lengths.history, lengths.frequent)
    inputs = string_inputs(states, dataset.item_ids)
    stranger = {name: values[-1:].copy() for name, values in inputs.items()}
    stranger[Input.HISTORY][0, -1] = _unknown_id(set(dataset.item_ids))
    newcomer = {name: np.zeros_like(values[:1]) for name, values in states.items()}
    parts = (inputs, stranger, string_inputs(newcomer, dataset.item_ids))
    return {name: np.concatenate([part[name] for part in parts]) for name in inputs}


def commit() -> str:
    """The commit of this checkout, marked `-dirty` where files differ; "" outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # a machine without git runs an unpacked archive
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _unknown_id(known: set[str]) -> str:
    candidate = "unknown"
    while candidate in known:
        candidate += "-"
    return candidate
