"""A shop whose tiny bundle the gate has judged, with manifests and the tables of a dataset."""

import json
from pathlib import Path

from ci.config import Config, Options, load_config
from ci.stages import image, render
from ci.workspace import Workspace, digest_of
from tests.rollout_shop import write_dataset
from tests.tiny import copy_bundle

SETTINGS = """
[shop]
name = "corner"
[storage]
build = "{folder}/build"
state = "{folder}/var"
[serving]
base_image = "{base_image}"
gateway_base_image = "{gateway_base_image}"
engine = "{engine}"
[environments.local]
target = "process"
"""
LIVE = f"sha256:{'d' * 64}"
COMPOSE = '[environments.shop]\ntarget = "compose"\n'


BASES = {"base_image": "pushcart-test-base:1", "gateway_base_image": "pushcart-test-absent:1"}


def open_shop(
    folder: Path, bundle: Path, more: str = "", environment: str = "local", **serving: str
):
    """A shop whose gate has said PROMOTE; `serving` holds keys of that section."""
    values = {"engine": "savedmodel", **BASES, **serving, "folder": folder}
    (folder / "shop.toml").write_text(SETTINGS.format(**values) + more)
    config = load_config(folder / "shop.toml", {}, Options(environment=environment))
    workspace = Workspace(config.build, config.build / "next_item")
    workspace.task.mkdir(parents=True)
    copy_bundle(bundle, workspace.path("bundle/3"))
    digest = digest_of(bundle)
    workspace.write_json(
        "bundle.json", {"model_version": 3, "digest": digest, "bytes": 1, "path": "bundle/3"}
    )
    decide(workspace, "PROMOTE", digest)
    write_dataset(workspace.path("dataset"))
    render.run(config, workspace)
    return config, workspace


def decide(workspace: Workspace, decision: str, digest: str) -> None:
    challenger = {"model_version": 3, "digest": digest}
    workspace.write_json(
        "gate.json",
        {
            "decision": decision,
            "reason": "because",
            "challenger": challenger,
            "baseline": {"model_version": 2, "digest": LIVE},
            "baseline_environment": "production",
        },
    )


def described(config: Config, workspace: Workspace) -> dict:
    """`release.json` as far as it is known before the images."""
    exported = workspace.read_json("bundle.json", "export")
    card = card_of(workspace.path(exported["path"]))
    return image.describe(config, exported, card, workspace.read_json("gate.json", "gate"))


def card_of(bundle: Path) -> dict:
    return json.loads((bundle / "card.json").read_text())
