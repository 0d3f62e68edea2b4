"""The tests as a check: pytest with JUnit and coverage, each failure a finding."""

import os
import subprocess
import sys
from xml.etree import ElementTree as Xml

from ci.checking.check import Finding, Outcome, Scene

ROOMS = ("ci", "model", "serving")


def tests(scene: Scene) -> Outcome:
    """Failed tests, and less coverage than `[check] coverage` asks for."""
    junit, coverage = scene.reports / "tests.xml", scene.reports / "coverage/cobertura.xml"
    threshold = scene.config.settings.check.coverage
    command = [sys.executable, "-m", "pytest", f"--junit-xml={junit}"]
    command += [f"--cov={room}" for room in ROOMS]
    command += [f"--cov-report=xml:{coverage}", f"--cov-report=html:{scene.reports / 'coverage'}"]
    environment = {**os.environ, "COVERAGE_FILE": str(scene.reports / ".coverage")}
    coverage.parent.mkdir(parents=True, exist_ok=True)
    junit.unlink(missing_ok=True)
    coverage.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=scene.project, env=environment, check=False)
    if not junit.exists():
        why = f"pytest ended with code {done.returncode} before any test; its output stands above"
        return Outcome((Finding("tests", 0, "pytest", why),), looked_at=1)
    suite = Xml.parse(junit).getroot().find("testsuite")  # noqa: S314  pytest wrote it just now
    cases = [] if suite is None else suite.findall("testcase")
    findings = [_failure(case) for case in cases if _failed(case) is not None]
    covered = _covered(coverage) if coverage.exists() else 0.0
    if covered < threshold:
        why = (
            f"the tests reach {covered:.1%} of the lines, [check] coverage asks for {threshold:.0%}"
        )
        findings.append(Finding("tests", 0, "coverage", why, f"see {scene.reports}/coverage"))
    return Outcome(tuple(findings), f"coverage {covered:.1%}", len(cases))


def _failed(case: Xml.Element) -> Xml.Element | None:
    failure = case.find("failure")
    return case.find("error") if failure is None else failure


def _failure(case: Xml.Element) -> Finding:
    failed = _failed(case)
    message = "" if failed is None else failed.get("message", "").partition("\n")[0]
    file = case.get("classname", "").replace(".", "/") + ".py"
    return Finding(file, 0, case.get("name", "?"), message, "its output stands above")


def _covered(path: object) -> float:
    root = Xml.parse(str(path)).getroot()  # noqa: S314  coverage wrote it just now
    return float(root.get("line-rate", "0"))
