"""What the runner records about stages that end well, with a verdict, or not at all."""

import sys
from types import ModuleType

import pytest

from ci import runner
from ci.config import Config, Options
from ci.errors import BadDataError, HeldError, UnavailableError, UsageError
from ci.pipeline import Stage
from ci.settings import EnvironmentSettings, Settings
from ci.workspace import Workspace
from model.schema import DataError, SourceUnavailableError


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path, tmp_path / "next_item")


@pytest.fixture
def config(tmp_path):
    return Config(Settings(), tmp_path / "pipeline.toml")


@pytest.fixture
def stage(monkeypatch):
    """A stage whose code each test writes as a plain function."""

    def made(run, *, reusable=True, outside=None):
        module = ModuleType("ci.stages.sample")
        module.run, module.outside = run, outside
        monkeypatch.setitem(sys.modules, "ci.stages.sample", module)
        looks = outside is not None
        return Stage("sample", "", settings=("shop",), looks_outside=looks, reusable=reusable)

    return made


def failing(error):
    def run(config, workspace):
        raise error

    return run


def twelve_rows(config, workspace):
    return "12 rows"


def test_a_failure_is_recorded_and_forgotten_when_the_stage_runs_again(stage, config, workspace):
    with pytest.raises(BadDataError):
        runner.run_stage(stage(failing(BadDataError("no rows"))), config, workspace)
    record = workspace.find_json(".stages/sample.failed.json")
    assert record == {"error": "BadDataError", "message": "no rows"}
    runner.run_stage(stage(twelve_rows), config, workspace)
    assert workspace.find_json(".stages/sample.failed.json") is None
    assert workspace.find_json(".stages/sample.json")["result"]["line"] == "12 rows"


def test_a_failure_is_forgotten_when_an_earlier_result_is_reused(stage, config, workspace):
    runner.run_stage(stage(twelve_rows), config, workspace)
    workspace.write_json(".stages/sample.failed.json", {"error": "X", "message": "other settings"})
    runner.run_stage(stage(failing(AssertionError("ran again"))), config, workspace)
    assert workspace.find_json(".stages/sample.failed.json") is None


@pytest.mark.parametrize("reusable", [True, False])
def test_a_verdict_ends_any_stage_and_is_recorded_as_its_result(stage, config, workspace, reusable):
    sample = stage(failing(HeldError("worse\nbecause")), reusable=reusable)
    with pytest.raises(HeldError, match="because"):
        runner.run_stage(sample, config, workspace)
    assert workspace.find_json(".stages/sample.failed.json") is None
    result = workspace.find_json(".stages/sample.json")["result"]
    assert (result["line"], result["error"]) == ("worse", "HeldError")


@pytest.mark.parametrize(
    ("raised", "told"), [(DataError, BadDataError), (SourceUnavailableError, UnavailableError)]
)
def test_a_source_that_fails_when_it_is_fingerprinted_is_told_as_the_stages_own(
    stage, config, workspace, raised, told
):
    sample = stage(twelve_rows, outside=failing(raised("no such table")))
    with pytest.raises(told, match="no such table"):
        runner.run_stage(sample, config, workspace)
    assert workspace.find_json(".stages/sample.failed.json")["message"] == "no such table"


def test_a_fleet_whose_ledger_would_be_one_machines_file_is_told_before_anything_runs(tmp_path):
    hosts = EnvironmentSettings(target="hosts")
    settings = Settings(environments={"local": EnvironmentSettings(), "shop": hosts})
    config = Config(settings, tmp_path / "pipeline.toml", options=Options(environment="shop"))
    with pytest.raises(UsageError, match="--single-machine"):
        runner.run_pipeline(config)
    assert list(tmp_path.iterdir()) == []
