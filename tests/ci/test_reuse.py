"""Reuse: an earlier result holds exactly while nothing that it depends on has changed."""

from dataclasses import replace

import pytest

from ci import reuse
from ci.config import load_config
from ci.pipeline import STAGES, TRAINING_SETTINGS, Stage
from ci.settings import ModelSettings
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


OWN_LOG = """
[shop]
name = "kiosk"
[storage]
build = "{folder}/build"
state = "{folder}/var"
[data]
source = "events.csv"
"""
DEPEND_ON = {
    "shop.name='corner'": {"prepare", "export", "reference", "render"},
    "simulator.seed=8": set(),  # the shop has a log of its own
    "data.test_days=7": {"prepare", "reference"},
    "model.seed=8": {"train", "reference"},
    "model.history_length=9": {"train", "reference"},
    "model.top_k=9": {"export", "reference"},
    "model.metrics=['our_shop:rare']": {"evaluate", "reference"},
    "gate.margin=0.01": {"gate"},
    "gate.seed=8": {"evaluate", "gate"},
    "serving.engine=litert": {"evaluate", "render"},
    "serving.drain_seconds=5": {"render"},
    "environments.local.port=9000": {"render"},
    "registry.uri=sqlite://": {"export"},  # another, of this process alone
    "check.coverage=0.5": set(),
    "signing.key_env=OTHER": set(),
    "profile=full": {"train", "reference"},  # its budget
}


@pytest.mark.parametrize("setting", DEPEND_ON)
def test_a_setting_ends_the_reuse_of_exactly_the_stages_that_use_it(tmp_path, setting):
    (tmp_path / "events.csv").write_text(
        "user_id,item_id,event_type,timestamp\nu,i,view,2026-03-01"
    )
    (tmp_path / "pipeline.toml").write_text(OWN_LOG.format(folder=tmp_path))
    workspace = Workspace(tmp_path, tmp_path / "next_item")

    def keys(overrides):
        config = load_config(tmp_path / "pipeline.toml", overrides)
        reusable = [stage for stage in STAGES if stage.reusable]
        return {stage.name: reuse.key_of(stage, config, workspace) for stage in reusable}

    key, _, value = setting.partition("=")
    before, after = keys({}), keys({key: value})
    assert {name for name in before if before[name] != after[name]} == DEPEND_ON[setting]


def test_another_simulated_shop_is_another_log(tmp_path):
    small = "shoppers = 40\nitems = 20\nevents = 400\ndays = 60\nbots = 0\n"
    head = OWN_LOG.format(folder=tmp_path).replace("events.csv", "simulator")
    workspace = Workspace(tmp_path, tmp_path / "next_item")
    prepare = next(stage for stage in STAGES if stage.name == "prepare")

    def key(seed):
        config = configured(tmp_path, f"{head}[simulator]\n{small}seed = {seed}\n")
        return reuse.key_of(prepare, config, workspace)

    first = key(7)
    assert key(7) == first
    assert key(8) != first


def test_training_settings_are_what_training_takes():
    from dataclasses import fields

    from model.rungs.training import TrainSettings

    assert {field.name for field in fields(TrainSettings)} == {*TRAINING_SETTINGS}
    assert {*ModelSettings.model_fields} - {*TRAINING_SETTINGS} == {"metrics", "top_k"}
