"""Runs checks side by side, keeps what is known to be clean, and writes what was found."""

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from ci.checking.check import (
    BrokenCheckError,
    Check,
    Finding,
    Outcome,
    Scene,
    listed,
    matching,
)
from ci.config import Config, in_ci
from ci.console import duration, say
from ci.errors import UsageError
from ci.services import missing_programs
from ci.workspace import write_atomically

SHOWN = 20  # findings of one check on the screen; all are in its report


@dataclass(frozen=True)
class Result:
    """How one check ended.

    Attributes:
        name: The check.
        files: How many files (or pins, or tests) it looked at.
        seconds: How long it took.
        findings: What to mend.
        note: What else it told.
        state: `clean`, `failed`, `reused` (unchanged since it was clean) or `skipped`.
        key: Digest of all that it looked at.
        unseen: What it could not look at.
    """

    name: str
    files: int
    seconds: float
    findings: tuple[Finding, ...]
    note: str
    state: str
    key: str
    unseen: str = ""

    def as_json(self) -> dict[str, Any]:
        """As `check.json` has it."""
        return {**vars(self), "findings": [vars(finding) for finding in self.findings]}


def run_checks(
    checks: Sequence[Check], config: Config, project: Path, reports: Path, known: dict[str, str]
) -> list[Result]:
    """Run all checks, also after one has failed.

    Args:
        checks: Which.
        config: All settings.
        project: Where they look.
        reports: Where each leaves its JUnit report.
        known: Name of a check → key with which it was clean before.
    """
    reports.mkdir(parents=True, exist_ok=True)
    files = listed(project)

    def one(check: Check) -> Result:
        scene = Scene(project, config, matching(files, project, check.files), reports)
        further = matching(files, project, check.depends)
        result = _result(check, scene, digest((*scene.files, *further), project), known)
        tell(result)
        write_junit(reports / f"{check.name}.xml", result)
        return result

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(one, checks))


def digest(files: Iterable[Path], project: Path) -> str:
    """Digest of files by name and content, and of the tools that look at them."""
    whole = hashlib.sha256((project / "requirements/dev.lock").read_bytes())
    tools = sorted((project / "ci/checking").glob("*.py"))
    for path in [*tools, *files]:
        whole.update(f"{path.relative_to(project)}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def _result(check: Check, scene: Scene, key: str, known: dict[str, str]) -> Result:
    started = time.monotonic()
    files = len(scene.files)
    if not files:
        why = f"no file is like {', '.join(check.files)}: it looked at nothing"
        findings = (Finding(".", 0, "nothing-to-check", why, "put the files back, or the globs"),)
        return Result(check.name, 0, 0.0, findings, "", "failed", key)
    if check.is_cached and known.get(check.name) == key:
        return Result(check.name, files, 0.0, (), "unchanged since it was clean", "reused", key)
    if lacking := missing_programs(check.service):
        return _without(check, files, lacking, key)
    outcome = _looked(check, scene)
    seconds = round(time.monotonic() - started, 3)
    state = "failed" if outcome.findings else "clean"
    count = files if outcome.looked_at is None else outcome.looked_at
    found, note, unseen = outcome.findings, outcome.note, outcome.unseen
    return Result(check.name, count, seconds, found, note, state, key, unseen)


def _looked(check: Check, scene: Scene) -> Outcome:
    try:
        return check.look(scene)
    except (BrokenCheckError, UsageError, OSError, ValueError) as error:
        return Outcome((Finding(".", 0, f"{check.name}-broken", str(error)),))


def _without(check: Check, files: int, lacking: Sequence[str], key: str) -> Result:
    """A check whose program is absent: a failure in CI, else said aloud."""
    why = f"{', '.join(lacking)} is not installed"
    fix = f"run `bin/ci services {check.service}`"
    if in_ci():
        finding = Finding(".", 0, "no-program", why, fix)
        return Result(check.name, files, 0.0, (finding,), "", "failed", key)
    return Result(check.name, files, 0.0, (), f"{why}: {fix}", "skipped", key, why)


def tell(result: Result) -> None:
    """Print one check's result, its first findings below."""
    note = f"; {result.note}" if result.note else ""
    took = f"  [{duration(result.seconds)}]" if result.state in ("clean", "failed") else ""
    count = f"{len(result.findings)} findings in " if result.findings else ""
    lines = [
        f"{'':<9} {result.name}: {result.state}, {count}{result.files:,} looked at{note}{took}"
    ]
    lines += [f"{'':<11} {finding}" for finding in result.findings[:SHOWN]]
    more = len(result.findings) - SHOWN
    lines += [f"{'':<11} … and {more} more in {result.name}.xml"] if more > 0 else []
    say("\n".join(lines))


def write_junit(path: Path, result: Result) -> None:
    """One test case a finding, or one that passed; the report of the tests is pytest's own."""
    if result.name == "tests" and path.exists():
        return
    suite = Xml.Element("testsuite", name=result.name, tests=str(max(1, len(result.findings))))
    if not result.findings:
        case = Xml.SubElement(suite, "testcase", name=result.name, classname="check")
        if result.state == "skipped":
            Xml.SubElement(case, "skipped", message=result.note)
    for finding in result.findings:
        name = f"{finding.rule} {finding.file}:{finding.line}"
        case = Xml.SubElement(suite, "testcase", name=name, classname=f"check.{result.name}")
        Xml.SubElement(case, "failure", message=finding.why).text = str(finding)
    write_atomically(path, Xml.tostring(suite, encoding="unicode"))
