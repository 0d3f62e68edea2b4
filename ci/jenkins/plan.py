"""What a build does, stage by stage, in words: read from the recorded tree of a Jenkinsfile."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ci.jenkins.conditions import applies
from ci.jenkins.recording import Call
from ci.jenkins.scenarios import Scenario


@dataclass(frozen=True)
class Command:
    """One `sh` line with all that is around it.

    Attributes:
        line: As written.
        stages: Its stages, from the outside in.
        credentials: Ids of the credentials that are bound around it.
        in_post: Whether it runs after its stage, however that ended.
    """

    line: str
    stages: tuple[Call, ...]
    credentials: frozenset[str]
    in_post: bool


def script_of(call: Call) -> str:
    """The script of an `sh` step."""
    return str(call.named.get("script") or call.title)


def credentials_of(call: Call) -> list[str]:
    """Ids of the credentials that a `withCredentials` binds."""
    return [binding["arguments"][0]["credentialsId"] for binding in call.arguments[0]]


def variables_of(binding: Mapping[str, Any]) -> list[str]:
    """The environment variables that one binding sets."""
    named = binding["arguments"][0]
    return [value for key, value in named.items() if key.lower().endswith("variable")]


def commands(
    call: Call,
    stages: tuple[Call, ...] = (),
    credentials: frozenset[str] = frozenset(),
    in_post: bool = False,
) -> Iterator[Command]:
    """Every `sh` line below a call."""
    if call.name == "stage":
        stages = (*stages, call)
    if call.name == "withCredentials":
        credentials = credentials | set(credentials_of(call))
    if call.name == "sh":
        yield Command(script_of(call), stages, credentials, in_post)
    for inner in call.body:
        yield from commands(inner, stages, credentials, in_post or call.name == "post")


def running(tree: Call, env: Mapping[str, str]) -> list[Command]:
    """The commands of the stages whose `when` lets them run."""
    return [
        command
        for command in commands(tree)
        if all(applies(stage.section("when"), env) for stage in command.stages)
    ]


def describe(tree: Call, scenario: Scenario) -> str:
    """The plan of a scenario as text: what starts it, then its stages in their order."""
    options = tree.inside("options")
    lines = [f"{scenario.name}: {scenario.summary}"]
    triggers = [_trigger(call) for call in tree.inside("triggers")]
    if triggers:
        lines.append(f"  started by   {', '.join(filter(None, triggers))}")
    lines += [f"  {text}" for text in map(_option, options) if text]
    env = scenario.situation.env
    if scenario.is_superseded:
        return "\n".join([*lines, "", _fate(options), ""])
    for call in tree.inside("environment"):
        lines.append(f"  {call.name} = {call.title}")
    for stage in tree.inside("stages"):
        lines += ["", *_stage(stage, env)]
    return "\n".join([*lines, ""])


def _fate(options: list[Call]) -> str:
    """What becomes of a running build when a newer one of the same branch comes."""
    concurrent = next((one for one in options if one.name == "disableConcurrentBuilds"), None)
    if concurrent is None:
        return "It goes on beside the newer build."
    if concurrent.named.get("abortPrevious"):
        return "It is aborted; the newer build takes its place."
    return "It goes on to its end; the newer build waits for it."


def _trigger(call: Call) -> str:
    if call.name == "pollSCM":
        return "a push"
    return f"{call.name} {call.title}" if call.title else ""


def _option(call: Call) -> str:
    if call.name == "timeout":
        return f"at most      {_limit(call)}"
    if call.name == "skipStagesAfterUnstable":
        return "unstable     the stages after it are skipped"
    return ""


def _limit(call: Call) -> str:
    unit = str(call.named["unit"]).lower()
    return f"{call.named['time']} {unit.removesuffix('s') if call.named['time'] == 1 else unit}"


def _stage(stage: Call, env: Mapping[str, str], depth: int = 0) -> list[str]:
    indent = "  " * depth
    if not applies(stage.section("when"), env):
        return [f"{indent}{stage.title}: skipped"]
    facts = [fact for section in stage.body for fact in _facts(section)]
    lines = [f"{indent}{stage.title}{': ' if facts else ''}{', '.join(facts)}"]
    for inner in stage.inside("stages"):
        lines += _stage(inner, env, depth + 1)
    for call in stage.inside("steps"):
        lines += _step(call, depth + 1)
    for condition in stage.inside("post"):
        lines.append(f"{indent}  {condition.name}")
        lines += [line for call in condition.body for line in _step(call, depth + 2)]
    return lines


def _facts(section: Call) -> Iterator[str]:
    """What a stage needs before its first step."""
    if section.name == "agent":
        yield f"agent {section.body[0].title}" if section.body else f"agent {section.title}"
    for call in section.body if section.name == "options" else ():
        if call.name == "lock":
            yield f"lock {call.title}"
        elif call.name == "retry":
            yield f"{call.named['count'] - 1} more try on a lost agent"
        elif call.name == "timeout":
            yield f"at most {_limit(call)}"
    if section.name == "input":
        yield f"asks “{section.inside_title('message')}”"
    if section.name == "environment":
        yield from (f"{call.name}={call.title}" for call in section.body)


def _step(call: Call, depth: int) -> list[str]:
    indent = "  " * depth
    if call.name == "withCredentials":
        inner = [line for one in call.body for line in _step(one, depth)]
        bound = ", ".join(credentials_of(call))
        return [f"{line}  ← {bound}" if bound else line for line in inner]
    if call.name == "script":
        return [line for one in call.body for line in _step(one, depth)]
    if call.name == "sh":
        return [f"{indent}$ {script_of(call)}"]
    words = [str(value) for value in call.arguments if not isinstance(value, dict)]
    words += [f"{name}: {value}" for name, value in call.named.items()]
    return [f"{indent}{call.name} {', '.join(words)}".rstrip()]
