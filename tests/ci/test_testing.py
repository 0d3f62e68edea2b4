"""`bin/ci test`: paths of the caller's folder and options go on, nothing means everything."""

import subprocess
import sys
from pathlib import Path

from ci.testing import ROOT, pytest_arguments


def test_options_alone_mean_the_whole_suite():
    assert pytest_arguments(["-k", "gate"])[-3:] == ["-k", "gate", str(ROOT / "tests")]


def test_a_path_or_a_test_in_a_file_is_taken_as_it_is(monkeypatch):
    monkeypatch.chdir(ROOT / "tests")
    assert pytest_arguments(["ci/test_testing.py::test_x"])[-1] == "ci/test_testing.py::test_x"


def test_the_projects_settings_hold_from_any_folder(tmp_path):
    case = tmp_path / "test_warns.py"
    case.write_text("import warnings\n\n\ndef test_it():\n    warnings.warn('a warning')\n")
    words = [sys.executable, "-c", "import sys, ci.testing; ci.testing.run(sys.argv[1:])"]
    done = subprocess.run(
        [*words, "test_warns.py", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "UserWarning: a warning" in done.stdout
    assert Path(ROOT / "pyproject.toml").is_file()
