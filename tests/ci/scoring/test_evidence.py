"""A proof counts when it exists and passed, by what pytest and the stages really leave."""

import os
import subprocess
import sys

import pytest

from ci.checking.table import CHECKS
from ci.errors import HeldError
from ci.pipeline import STAGE
from ci.reuse import Result, remember, remember_failure
from ci.scoring.evidence import NOT_RUN, Evidence
from ci.stages.check import RECORD
from ci.workspace import Workspace

SUITE = """
import pytest


def test_good():
    pass


def test_bad():
    raise ValueError("no")


def test_left_out():
    pytest.skip("no engine here")


@pytest.fixture
def broken():
    raise ValueError("no")


def test_without_its_fixture(broken):
    pass


@pytest.mark.parametrize("number", [1, 2])
def test_of_numbers(number):
    assert number < 2


@pytest.mark.parametrize("number", [1, 2])
def test_partly(number):
    if number == 2:
        pytest.skip("not here")
"""


class Project:
    """A folder with a suite that real pytest runs."""

    def __init__(self, folder):
        self.folder = folder
        self.suite = folder / "tests/test_it.py"
        self.suite.parent.mkdir()
        self.suite.write_text(SUITE)
        self.workspace = Workspace(folder / "build/shop", folder / "build/shop/next_item")
        self.age(60)

    def age(self, seconds):
        """As if the suite had been written that many seconds ago."""
        written = self.suite.stat().st_mtime - seconds
        os.utime(self.suite, (written, written))

    def run(self, report, *words):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
        command += [f"--junit-xml={self.folder / report}"]
        subprocess.run(command, cwd=self.folder, capture_output=True, check=False)

    def of(self, proof):
        reports = tuple(self.folder.glob("*.xml"))
        return Evidence(self.folder, self.workspace, reports).of(proof)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_what_pytest_reports_is_told_apart(project):
    project.run("1.xml")
    told = {name: project.of(f"tests/test_it.py::test_{name}") for name in (
        "good", "bad", "left_out", "without_its_fixture", "of_numbers", "partly", "never_written",
    )}  # fmt: skip
    assert {name for name, seen in told.items() if seen.passed} == {"good", "partly"}
    assert "failed on 20" in told["bad"].why
    assert "failed on 20" in told["without_its_fixture"].why
    assert "failed on 20" in told["of_numbers"].why
    assert told["left_out"].why == "was skipped: no engine here"
    assert told["never_written"].why.startswith("there is no such test")


def test_what_never_ran_proves_nothing(project):
    assert project.of("tests/test_it.py::test_good").why == NOT_RUN
    assert project.of("tests/test_gone.py::test_good").why.startswith("there is no such test")


def test_the_newest_run_of_each_variant_counts(project):
    project.run("2.xml")
    assert not project.of("tests/test_it.py::test_of_numbers").passed
    project.suite.write_text(SUITE.replace("number < 2", "number < 3"))
    project.age(60)
    project.run("1.xml", "tests/test_it.py::test_of_numbers[1]")
    assert not project.of("tests/test_it.py::test_of_numbers").passed
    project.run("1.xml", "tests/test_it.py::test_of_numbers")
    assert project.of("tests/test_it.py::test_of_numbers").passed
    assert project.of("tests/test_it.py::test_good").passed


def test_a_deleted_test_proves_nothing_whatever_the_report_says(project):
    project.run("1.xml")
    project.suite.write_text(SUITE.replace("test_good", "test_goods"))
    project.age(60)
    assert project.of("tests/test_it.py::test_good").why.startswith("there is no such test")


def test_a_test_that_changed_since_must_run_again(project):
    project.run("1.xml")
    project.age(-3600)
    assert project.of("tests/test_it.py::test_good").why == "its file has changed since it ran"


def test_a_report_cut_short_counts_for_nothing(project):
    project.run("1.xml")
    report = project.folder / "1.xml"
    report.write_text(report.read_text()[:-20])
    assert project.of("tests/test_it.py::test_good").why == NOT_RUN


def test_a_stage_passed_when_it_has_a_result(project):
    assert project.of("stage:gate").why == NOT_RUN
    remember(STAGE["gate"], {}, project.workspace, Result("PROMOTE", 0.1))
    assert project.of("stage:gate").passed
    remember_failure(STAGE["gate"], ValueError("no bundle\nmore"), project.workspace)
    assert project.of("stage:gate").why == "ended with ValueError: no bundle"
    assert project.of("stage:embellish").why == "there is no such stage"


def test_a_gate_that_holds_has_done_its_work(project):
    held = Result("HOLD", 0.1, HeldError.__name__, "worse")
    remember(STAGE["gate"], {}, project.workspace, held)
    assert project.of("stage:gate").passed


def test_a_check_passed_when_it_was_clean(project):
    assert project.of("check:ruff").why == NOT_RUN
    states = {"ruff": "clean", "types": "reused", "docker": "skipped", "shell": "failed"}
    checks = [{"name": name, "state": state} for name, state in states.items()]
    project.workspace.write_json(RECORD, {"checks": checks})
    assert {*states} <= {check.name for check in CHECKS}
    assert [project.of(f"check:{name}").why for name in states] == [
        "", "", "ended skipped", "ended failed",
    ]  # fmt: skip
    assert project.of("check:spelling").why == "there is no such check"
