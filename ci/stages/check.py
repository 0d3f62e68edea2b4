"""Stage `check`: lint, format, types and the tests, each with a JUnit report."""

import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree as Xml

from ci.config import PROJECT, Config
from ci.console import duration, say
from ci.errors import PushcartError
from ci.workspace import Workspace, write_atomically

ROOMS = ("ci", "model", "serving", "tests", "benchmarks")


@dataclass(frozen=True)
class Finding:
    """How one check ended.

    Attributes:
        name: The check.
        files: How many files it looked at; none is a failure.
        seconds: How long it took.
        output: What it printed; empty when it found nothing.
    """

    name: str
    files: int
    seconds: float
    output: str

    @property
    def passed(self) -> bool:
        """Whether it looked at something and found nothing."""
        return self.files > 0 and not self.output


def run(config: Config, workspace: Workspace) -> str:
    """Run every check, also after one has failed.

    Raises:
        PushcartError: A check found something; its output is printed and in the reports.
    """
    reports = config.build.parent / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    python = [sys.executable, "-m"]
    commands = {
        "ruff": [*python, "ruff", "check", *ROOMS],
        "format": [*python, "ruff", "format", "--check", *ROOMS],
        "mypy": [*python, "mypy"],
        "pytest": [*python, "pytest", f"--junit-xml={reports / 'pytest.xml'}"],
    }
    findings = [_look(name, command) for name, command in commands.items()]
    for finding in findings:
        _write_junit(reports / f"{finding.name}.xml", finding)
    workspace.write_json("../check.json", {"checks": [asdict(f) for f in findings]})
    failed = [finding for finding in findings if not finding.passed]
    if failed:
        raise PushcartError(
            f"{len(failed)} of {len(findings)} checks failed: {', '.join(f.name for f in failed)}. "
            f"The findings are above and in {reports}."
        )
    return f"{len(findings)} checks passed on {findings[0].files} files, reports in {reports}"


def _look(name: str, command: list[str]) -> Finding:
    started = time.monotonic()
    files = sum(1 for room in ROOMS for _ in (PROJECT / room).rglob("*.py"))
    done = subprocess.run(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    output = done.stdout.decode(errors="replace") if done.returncode else ""
    seconds = time.monotonic() - started
    say(f"{'':<9} {name}: {files} files, {'failed' if output else 'clean'} [{duration(seconds)}]")
    if output:
        say(output)
    return Finding(name, files, seconds, output)


def _write_junit(path: Path, finding: Finding) -> None:
    """One test case for a check that writes no JUnit itself; pytest's own file stays."""
    if finding.name == "pytest" and path.exists():
        return
    suite = Xml.Element("testsuite", name=finding.name, tests="1")
    case = Xml.SubElement(suite, "testcase", name=finding.name, time=f"{finding.seconds:.3f}")
    if not finding.passed:
        Xml.SubElement(case, "failure", message=f"{finding.name} failed").text = finding.output
    write_atomically(path, Xml.tostring(suite, encoding="unicode"))
