"""Command `test`: pytest with the project's settings, from whichever folder it is called."""

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "build" / "reports" / "runs"  # a JUnit report a run, which `scorecard` reads
KEPT_RUNS = 50


def pytest_arguments(arguments: list[str]) -> list[str]:
    """Return pytest's command line: the caller's paths and options, or the whole suite."""
    named = any(Path(word.partition("::")[0]).exists() for word in arguments)
    return [
        *("-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}"),
        *arguments,
        *([] if named else [str(ROOT / "tests")]),
    ]


def report_arguments(arguments: list[str], moment: float, runs: Path = RUNS) -> list[str]:
    """Return the option that leaves this run's report, unless the caller wants it elsewhere.

    Args:
        arguments: As typed.
        moment: Seconds since 1970, which name the report.
        runs: Folder of the reports; the oldest beyond the last fifty are removed.
    """
    if any(word.startswith(("--junit-xml", "--junitxml")) for word in arguments):
        return []
    for report in sorted(runs.glob("*.xml"))[: -KEPT_RUNS + 1]:
        report.unlink(missing_ok=True)
    return [f"--junit-xml={runs / f'{moment:017.6f}.xml'}"]


def run(arguments: list[str]) -> int:
    """Become pytest; its exit code is the command's."""
    report = report_arguments(arguments, time.time())
    command = [sys.executable, "-m", "pytest", *report, *pytest_arguments(arguments)]
    os.execv(sys.executable, command)  # noqa: S606  no shell: the words go on as they came
