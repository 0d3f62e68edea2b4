"""Runs the Jenkinsfile through the recorder and reads the calls that it made."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci.services import GROOVY_JAR

RECORDER = Path(__file__).with_name("Recorder.groovy")


@dataclass(frozen=True)
class Call:
    """One call of the Jenkinsfile: a section, a stage, an option or a step."""

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

    @property
    def named(self) -> dict[str, Any]:
        """The named arguments."""
        return next((given for given in self.arguments if isinstance(given, dict)), {})

    @property
    def title(self) -> str:
        """The first argument: a stage's name, a label, a command."""
        return str(self.arguments[0])


@dataclass(frozen=True)
class Command:
    """One `sh` line: its stages from the outside in, and the credentials bound around it."""

    line: str
    stages: tuple[Call, ...]
    credentials: frozenset[str]
    in_post: bool

    @property
    def words(self) -> list[str]:
        """The command's own words: `["deploy", "--environment", "staging"]`."""
        return shlex.split(self.line.replace("$CI_OPTIONS", ""))[1:]

    @property
    def stage(self) -> str:
        """The stage of the pipeline that it runs."""
        return self.words[0]


Around = tuple[tuple[Call, ...], frozenset[str], bool]


def commands(call: Call, around: Around = ((), frozenset(), False)) -> Iterator[Command]:
    """Every `sh` line below a call."""
    stages, credentials, in_post = around
    if call.name == "stage":
        stages = (*stages, call)
    if call.name == "withCredentials":
        bound = [binding["arguments"][0]["credentialsId"] for binding in call.arguments[0]]
        credentials = credentials | set(bound)
    if call.name == "sh":
        line = call.named.get("script") or call.title
        yield Command(line, stages, credentials, in_post)
    for inner in call.body:
        yield from commands(inner, (stages, credentials, in_post or call.name == "post"))


def runs(tree: Call, env: dict[str, str]) -> list[Command]:
    """The commands of the stages whose `when` lets them run."""
    return [
        command
        for command in commands(tree)
        if all(applies(stage.section("when"), env) for stage in command.stages)
    ]


def applies(when: Call | None, env: dict[str, str]) -> bool:
    """Whether a `when` lets its stage run: all its conditions hold."""
    return when is None or all(_holds(condition, env) for condition in when.body)


def _holds(condition: Call, env: dict[str, str]) -> bool:
    if condition.name.startswith("before"):
        return True
    if condition.name == "branch":
        return env["BRANCH_NAME"] == condition.title
    if condition.name == "changeRequest":
        return "CHANGE_ID" in env
    if condition.name == "not":
        return not _holds(condition.body[0], env)
    if condition.name != "expression":
        raise ValueError(f"unknown condition {condition.name}")
    return condition.value


def record(jenkinsfile: Path, situations: list[dict[str, Any]]) -> list[Call]:
    """The `pipeline` call of each situation {env, exit_codes}.

    Raises:
        SyntaxError: Groovy, in the version that Jenkins embeds, cannot compile or run the file.
    """
    command = ["java", "-cp", str(GROOVY_JAR), "groovy.ui.GroovyMain", str(RECORDER)]
    command += [str(jenkinsfile), json.dumps(situations)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        raise SyntaxError(done.stderr)
    trees = [[_call(raw) for raw in tree] for tree in json.loads(done.stdout)]
    return [next(call for call in tree if call.name == "pipeline") for tree in trees]


def _call(raw: dict[str, Any]) -> Call:
    body = [_call(inner) for inner in raw.get("body", [])]
    return Call(raw["name"], raw["arguments"], body, raw.get("value", True))
