"""`bin/ci test`: paths of the caller's folder and options go on, nothing means everything."""

import subprocess
import sys
from pathlib import Path

from ci.testing import KEPT_RUNS, ROOT, pytest_arguments, report_arguments


def test_options_alone_mean_the_whole_suite():
    assert pytest_arguments(["-k", "gate"])[-3:] == ["-k", "gate", str(ROOT / "tests")]


def test_a_path_or_a_test_in_a_file_is_taken_as_it_is(monkeypatch):
    monkeypatch.chdir(ROOT / "tests")
    assert pytest_arguments(["ci/test_testing.py::test_x"])[-1] == "ci/test_testing.py::test_x"


def test_a_run_leaves_its_report_and_the_oldest_are_let_go(tmp_path):
    for moment in range(KEPT_RUNS + 2):
        (tmp_path / f"{moment:017.6f}.xml").touch()
    (option,) = report_arguments(["-k", "gate"], 1_790_000_000.25, tmp_path)
    assert option == f"--junit-xml={tmp_path}/1790000000.250000.xml"
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert (len(kept), kept[0]) == (KEPT_RUNS - 1, "0000000003.000000.xml")


def test_a_report_that_the_caller_wants_elsewhere_goes_there(tmp_path):
    assert report_arguments(["--junit-xml=mine.xml"], 0.0, tmp_path) == []
    assert report_arguments(["--junitxml", "mine.xml"], 0.0, tmp_path) == []


def test_the_projects_settings_hold_from_any_folder(tmp_path):
    case = tmp_path / "test_warns.py"
    case.write_text("import warnings\n\n\ndef test_it():\n    warnings.warn('a warning')\n")
    words = [sys.executable, "-c", "import sys, ci.testing; ci.testing.run(sys.argv[1:])"]
    done = subprocess.run(
        [*words, "test_warns.py", "-p", "no:cacheprovider", "--junit-xml=report.xml"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "UserWarning: a warning" in done.stdout
    assert "UserWarning: a warning" in (tmp_path / "report.xml").read_text()
    assert Path(ROOT / "pyproject.toml").is_file()
