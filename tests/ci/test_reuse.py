"""Reuse: an earlier result holds exactly while nothing that it depends on has changed."""

from dataclasses import replace

import pytest

from ci import reuse
from ci.config import load_config
from ci.pipeline import STAGES, Stage
from ci.workspace import Workspace

# The name borrows a stage that says nothing of the outside world.
STAGE = Stage(
    "check", "", reads=("in",), writes=("out",), settings=("gate", "model.seed"), code=("LICENSE",)
)
RESULT = reuse.Result("3 rows", 1.5)


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path, tmp_path / "next_item")
    workspace.write_text("in", "input")
    workspace.write_text("out", "output")
    return workspace


def configured(folder, text=""):
    path = folder / "pipeline.toml"
    path.write_text(text)
    return load_config(path)


@pytest.fixture
def remembered(tmp_path, workspace):
    config = configured(tmp_path)
    reuse.remember(STAGE, reuse.key_of(STAGE, config, workspace), workspace, RESULT)
    return config


def holds(config, workspace, stage=STAGE):
    return reuse.find(stage, reuse.key_of(stage, config, workspace), config, workspace)


def test_nothing_is_reused_before_the_first_run(tmp_path, workspace):
    assert holds(configured(tmp_path), workspace) is None


def test_equal_inputs_bring_the_result_back(remembered, workspace):
    assert holds(remembered, workspace) == RESULT


def test_a_verdict_comes_back_with_its_error(tmp_path, workspace):
    config = configured(tmp_path)
    held = reuse.Result("HOLD", 1.0, "HeldError", "HOLD: worse by 0.02")
    reuse.remember(STAGE, reuse.key_of(STAGE, config, workspace), workspace, held)
    assert holds(config, workspace) == held


@pytest.mark.parametrize("text", ["[gate]\nmargin = 0.02\n", "[model]\nseed = 8\n"])
def test_a_setting_it_depends_on_ends_the_reuse(tmp_path, remembered, workspace, text):
    assert holds(configured(tmp_path, text), workspace) is None


@pytest.mark.parametrize("text", ["[data]\ntest_days = 3\n", "[model]\nbatch_size = 8\n"])
def test_another_setting_does_not(tmp_path, remembered, workspace, text):
    assert holds(configured(tmp_path, text), workspace) == RESULT


@pytest.mark.parametrize("name", ["in", "out"])
def test_an_altered_or_missing_artifact_ends_the_reuse(remembered, workspace, name):
    workspace.write_text(name, "altered")
    assert holds(remembered, workspace) is None
    workspace.path(name).unlink()
    assert holds(remembered, workspace) is None


def test_other_code_ends_the_reuse(remembered, workspace):
    assert holds(remembered, workspace, replace(STAGE, code=("CHANGELOG.md",))) is None


def test_the_change_is_named(tmp_path, remembered, workspace):
    workspace.write_text("in", "altered")
    config = configured(tmp_path, "[model]\nseed = 8\n")
    key = reuse.key_of(STAGE, config, workspace)
    assert reuse.changed(STAGE, key, workspace) == "settings model.seed, reads in"


def test_every_declared_setting_and_source_exists(tmp_path, workspace):
    """A glob that matches nothing or a section that is gone would never end a reuse."""
    from ci.config import PROJECT

    settings = configured(tmp_path).settings.model_dump()
    for stage in STAGES:
        assert all(list(PROJECT.glob(glob)) for glob in stage.code), stage.name
        assert all(name.split(".")[0] in settings for name in stage.settings), stage.name
        assert all(any(name in maker.writes for maker in STAGES) for name in stage.reads)


def test_a_stage_that_knows_of_the_outside_is_asked():
    from ci.config import PROJECT

    for stage in STAGES:
        source = (PROJECT / f"ci/stages/{stage.name}.py").read_text("utf-8")
        assert stage.looks_outside == ("def outside(" in source), stage.name
        assert stage.keeps_outside == ("def kept(" in source), stage.name
