"""What a build does on each occasion, in words: whoever changes it sees the difference."""

from pathlib import Path

import pytest

from ci.jenkins.plan import describe
from ci.jenkins.recording import record
from ci.jenkins.scenarios import SCENARIOS
from tests.services import require_service

PLANS = Path(__file__).with_name("plans")


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_build_does_what_is_written_down(name):
    """After a change on purpose: `bin/ci jenkins show --scenario NAME > tests/…/plans/NAME.txt`."""
    require_service("groovy")
    scenario = SCENARIOS[name]
    (tree,) = record(scenario.jenkinsfile, [scenario.situation])
    assert describe(tree, scenario) == (PLANS / f"{name}.txt").read_text("utf-8")
