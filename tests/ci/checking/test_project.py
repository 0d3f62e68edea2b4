"""This repository itself stands its own checks: whoever pushes a defect is told by the tests."""

import pytest

from ci.checking.running import run_checks
from ci.checking.table import CHECKS
from ci.config import PROJECT, load_config

# The tests are running already, and new advisories are no fault of a push.
HERE = [check for check in CHECKS if check.name not in {"tests", "advisories"}]


@pytest.mark.parametrize("check", HERE, ids=lambda check: check.name)
def test_the_repository_is_clean(check, tmp_path):
    if check.service:
        from tests.services import require_service

        require_service(check.service)
    config = load_config(PROJECT / "pipeline.toml")
    (result,) = run_checks([check], config, PROJECT, tmp_path / "reports", {})
    assert not result.findings, "\n".join(map(str, result.findings))
