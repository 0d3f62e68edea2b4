"""Looks up whether a test, a stage or a check exists and passed when it last ran."""

import ast
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree as Xml

from ci.checking.table import CHECKS
from ci.pipeline import STAGE
from ci.reuse import failure_record, record_of
from ci.workspace import Workspace

CLEAN = ("clean", "reused")
NOT_RUN = "has not run here"


@dataclass(frozen=True)
class Seen:
    """What is known of one proof.

    Attributes:
        passed: Whether it exists and passed.
        why: What is wrong; "" where it passed.
    """

    passed: bool
    why: str = ""


@dataclass(frozen=True)
class Case:
    """How one test case ended: `passed`, `failed` or `skipped`, and when its run began."""

    outcome: str
    began: dt.datetime
    reason: str = ""


@dataclass(frozen=True)
class Evidence:
    """What the last runs left behind.

    Attributes:
        project: The repository's folder.
        workspace: Where stages leave their records.
        reports: JUnit reports of pytest, in any order.
    """

    project: Path
    workspace: Workspace
    reports: tuple[Path, ...]
    _functions: dict[Path, frozenset[str]] = field(default_factory=dict, compare=False)

    @cached_property
    def cases(self) -> dict[tuple[str, str], dict[str, Case]]:
        """(module, test) → variant → how it ended when it last ran."""
        return read_cases(self.reports)

    def of(self, proof: str) -> Seen:
        """What is known of a proof."""
        kind, _, name = proof.partition(":")
        if kind == "stage":
            return self._stage(name)
        if kind == "check":
            return self._check(name)
        return self._test(proof)

    def _test(self, proof: str) -> Seen:
        file, _, name = proof.partition("::")
        if name not in self._tests_in(self.project / file):
            return Seen(False, "there is no such test; write it, or map another")
        cases = list(self.cases.get((_module(file), name), {}).values())
        if not cases:
            return Seen(False, NOT_RUN)
        if failed := [case for case in cases if case.outcome == "failed"]:
            return Seen(False, f"failed on {failed[0].began:%Y-%m-%d at %H:%M} UTC")
        changed = dt.datetime.fromtimestamp((self.project / file).stat().st_mtime, dt.UTC)
        if min(case.began for case in cases) < changed:
            return Seen(False, "its file has changed since it ran")
        if all(case.outcome == "skipped" for case in cases):
            return Seen(False, f"was skipped: {cases[0].reason}")
        return Seen(True)

    def _tests_in(self, path: Path) -> frozenset[str]:
        if path not in self._functions:
            source = path.read_text("utf-8") if path.is_file() else ""
            nodes = ast.parse(source).body
            names = (node.name for node in nodes if isinstance(node, ast.FunctionDef))
            self._functions[path] = frozenset(names)
        return self._functions[path]

    def _stage(self, name: str) -> Seen:
        if name not in STAGE:
            return Seen(False, "there is no such stage")
        stage = STAGE[name]
        if failure := self.workspace.find_json(failure_record(stage)):
            why = failure["message"].partition("\n")[0]
            return Seen(False, f"ended with {failure['error']}: {why}")
        if self.workspace.find_json(record_of(stage)) is None:
            return Seen(False, NOT_RUN)
        return Seen(True)  # also with the verdict HOLD: to judge is what the stage is for

    def _check(self, name: str) -> Seen:
        if name not in {check.name for check in CHECKS}:
            return Seen(False, "there is no such check")
        record = self.workspace.find_json("../check.json") or {}
        states = {one["name"]: one["state"] for one in record.get("checks", [])}
        if name not in states:
            return Seen(False, NOT_RUN)
        if states[name] not in CLEAN:
            return Seen(False, f"ended {states[name]}")
        return Seen(True)


def read_cases(reports: Iterable[Path]) -> dict[tuple[str, str], dict[str, Case]]:
    """The newest outcome of every test case in pytest's JUnit reports.

    A report that is no XML, of a run that was killed while it wrote, counts for nothing.
    """
    suites = [suite for report in reports for suite in _suites(report)]
    found: dict[tuple[str, str], dict[str, Case]] = {}
    for began, suite in sorted(suites, key=lambda pair: pair[0]):
        for case in suite.iter("testcase"):
            variant = case.get("name", "")
            key = (case.get("classname", ""), variant.partition("[")[0])
            found.setdefault(key, {})[variant] = _ended(case, began)
    return found


def _suites(report: Path) -> list[tuple[dt.datetime, Xml.Element]]:
    try:
        root = Xml.parse(report).getroot()  # noqa: S314  pytest wrote it
    except (Xml.ParseError, OSError):
        return []
    return [
        (dt.datetime.fromisoformat(suite.get("timestamp", "")).astimezone(dt.UTC), suite)
        for suite in root.iter("testsuite")
        if suite.get("timestamp")
    ]


def _ended(case: Xml.Element, began: dt.datetime) -> Case:
    for tag, outcome in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        found = case.find(tag)
        if found is not None:
            reason = found.get("message", "").removeprefix("Skipped: ").partition("\n")[0]
            return Case(outcome, began, reason)
    return Case("passed", began)


def _module(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".")
