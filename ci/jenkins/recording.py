"""Runs a Jenkinsfile through the recorder and reads the calls that it made."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ci.errors import UnavailableError, UsageError
from ci.services import GROOVY_JAR, missing_programs

RECORDER = Path(__file__).with_name("Recorder.groovy")


@dataclass(frozen=True)
class Answer:
    """What an `sh` step gave that was asked for its status or its output."""

    code: int = 0
    output: str = ""


@dataclass(frozen=True)
class Situation:
    """What a build knows when it runs a Jenkinsfile.

    Attributes:
        env: Environment variables that Jenkins sets.
        params: The build's parameters.
        answers: Script of an `sh` step → what it gave; others end with 0 and say nothing.
    """

    env: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One call of a Jenkinsfile: a section, a stage, an option or a step.

    Attributes:
        name: As written.
        arguments: Positional arguments; named ones are one mapping among them.
        body: The calls inside its closure.
        value: Of an `expression`: whether it held.
    """

    name: str
    arguments: list[Any]
    body: list["Call"] = field(default_factory=list)
    value: bool = True

    def all(self, name: str = "") -> Iterator["Call"]:
        """This call and all inside it, in their order; with a name, only those of that name."""
        if not name or self.name == name:
            yield self
        for inner in self.body:
            yield from inner.all(name)

    def section(self, name: str) -> "Call | None":
        """The section of that name directly inside."""
        return next((inner for inner in self.body if inner.name == name), None)

    def inside(self, section: str) -> list["Call"]:
        """The calls of a section directly inside; none where there is no such section."""
        found = self.section(section)
        return found.body if found else []

    def inside_title(self, section: str) -> str:
        """The first argument of a section directly inside; "" where there is no such section."""
        found = self.section(section)
        return found.title if found else ""

    @property
    def named(self) -> dict[str, Any]:
        """The named arguments."""
        return next((given for given in self.arguments if isinstance(given, dict)), {})

    @property
    def title(self) -> str:
        """The first argument: a stage's name, a label, a command."""
        return str(self.arguments[0]) if self.arguments else ""


def record(jenkinsfile: Path, situations: Sequence[Situation]) -> list[Call]:
    """The `pipeline` call of each situation.

    Raises:
        UnavailableError: Java or Groovy is not installed.
        UsageError: Groovy, in the version that Jenkins embeds, cannot compile or run the file.
    """
    if lacking := missing_programs("groovy"):
        raise UnavailableError(
            f"{', '.join(lacking)} is not installed, and a Jenkinsfile is Groovy. Run "
            "`bin/ci services groovy`."
        )
    told = json.dumps([asdict(situation) for situation in situations])
    command = ["java", "-cp", str(GROOVY_JAR), "groovy.ui.GroovyMain"]
    done = subprocess.run(
        [*command, str(RECORDER), str(jenkinsfile), told],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not done.stdout:
        raise UsageError(f"{jenkinsfile} cannot be run: {done.stderr.strip()[-2000:]}")
    trees = [[_call(raw) for raw in tree] for tree in json.loads(done.stdout)]
    return [next(call for call in tree if call.name == "pipeline") for tree in trees]


def _call(raw: dict[str, Any]) -> Call:
    body = [_call(inner) for inner in raw.get("body", [])]
    return Call(raw["name"], raw["arguments"], body, raw.get("value", True))
