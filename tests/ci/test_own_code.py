"""A team's own modules are watched without being run."""

import pytest

from ci import reuse
from ci.config import load_config
from ci.own_code import own_digests
from ci.pipeline import STAGE
from ci.workspace import Workspace

LOUD = "raise AssertionError('was imported')\n"
SETTINGS = """
[storage]
state = "{folder}/var"
[model]
name = "blend"
parts = ["linear", "team_models.fading:Fading"]
metrics = ["team_metrics:rare"]
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A package of models and a module of metrics that tell when they are imported."""
    package = tmp_path / "team_models"
    package.mkdir()
    for name in ("__init__", "fading", "layers"):
        (package / f"{name}.py").write_text(LOUD)
    (tmp_path / "team_metrics.py").write_text(LOUD)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def append(path):
    path.write_text(path.read_text() + "# edited\n")


def test_only_own_modules_are_watched_and_one_that_is_not_there_has_no_digest():
    assert own_digests(["linear", "blend"]) == {}
    assert own_digests(["not_there.at_all:Model"]) == {"module not_there": ""}


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("team_models/fading.py", {"train", "export", "evaluate"}),
        ("team_models/layers.py", {"train", "export", "evaluate"}),  # a neighbour that it may use
        ("team_metrics.py", {"evaluate"}),
    ],
)
def test_an_edit_ends_the_reuse_of_the_stages_that_use_the_module(modules, file, again):
    (modules / "shop.toml").write_text(SETTINGS.format(folder=modules))
    config = load_config(modules / "shop.toml")
    workspace = Workspace(modules / "build", modules / "build/next_item")

    def keys():
        names = ("train", "export", "evaluate", "render")
        return {name: reuse.key_of(STAGE[name], config, workspace) for name in names}

    before = keys()
    append(modules / file)
    after = keys()
    assert {name for name in before if before[name] != after[name]} == again
