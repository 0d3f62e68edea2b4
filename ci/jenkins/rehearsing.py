"""Runs a Jenkinsfile on this machine: its `sh` lines, each agent with an empty workspace.

What a stage sees is what an agent would give it: a checkout, what was stashed, the artifact store,
the variables of the build, and the credentials that are bound around the line. Nothing else of the
caller's surroundings, so that a line that works by accident fails here.
"""

import getpass
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as Xml

from ci.config import PROJECT
from ci.console import duration, say
from ci.errors import UsageError
from ci.jenkins.conditions import applies
from ci.jenkins.plan import script_of, variables_of
from ci.jenkins.recording import Answer, Call, record
from ci.jenkins.scenarios import Scenario
from ci.jenkins.workspaces import Desk, carry, check_out, matching
from ci.workspace import size_of

# What every login has; the names of proxies and of a package index, where the machine needs them.
LOGIN: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "LOGNAME")
NETWORK: Final = (
    *("http_proxy", "https_proxy", "no_proxy", "ssl_cert_file", "docker_host"),
    *("pip_index_url", "pip_cert", "uv_index_url", "uv_default_index"),
)
ENVIRONMENTS: Final = "PUSHCART_VENV_DIR"  # made once for all workspaces, as agents keep theirs


LEFT_RUNNING: Final = "JENKINS_NODE_COOKIE"  # of a stage whose processes outlive the build


class StageFailedError(Exception):
    """A step failed: the stage and the build with it."""


@dataclass(frozen=True)
class Outcome:
    """How one stage ended.

    Attributes:
        title: Its name.
        state: `done`, `skipped`, `UNSTABLE`, `FAILURE` or `ABORTED`.
        seconds: How long it took.
    """

    title: str
    state: str
    seconds: float = 0.0


@dataclass
class Build:
    """One rehearsed build; changes as its stages run.

    Attributes:
        scenario: The occasion.
        tree: The recorded Jenkinsfile.
        desk: Where things are kept.
        without: Titles of stages that are left out.
        answer: Asked a question, says who answers yes; "" for nobody.
        surroundings: Variables of the caller: credentials are looked up there.
        result: As Jenkins names it.
        description: What the build's page would say.
        outcomes: Every stage without stages of its own, and those that were left out.
        answers: What `sh` steps gave that were asked.
    """

    scenario: Scenario
    tree: Call
    desk: Desk
    without: frozenset[str]
    answer: Callable[[str], str]
    surroundings: Mapping[str, str]
    result: str = "SUCCESS"
    description: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)

    def run(self) -> None:
        """Run all stages."""
        env = {call.name: call.title for call in self.tree.inside("environment")}
        scene = Scene(None, {**_login(self.surroundings), **self._of_the_build(), **env})
        for stage in self.tree.inside("stages"):
            self._stage(stage, scene)

    def _of_the_build(self) -> dict[str, str]:
        env = {**self.scenario.situation.env, "CI": "true", "BUILD_NUMBER": "1"}
        env["PUSHCART_ARTIFACTS"] = str(self.desk.artifacts)
        if self.releases:
            env["PUSHCART_STATE"] = str(self.desk.state)
        return env

    @property
    def releases(self) -> bool:
        """Whether it may see what serves: no change that is only judged does."""
        env = self.scenario.situation.env
        return env.get("BRANCH_NAME", "main") == "main" and "CHANGE_ID" not in env

    def _stage(self, stage: Call, scene: "Scene") -> None:
        if self._is_left_out(stage):
            self.outcomes.append(Outcome(stage.title, "skipped"))
            return
        say(f"\n▶ {stage.title}")
        started, before = time.monotonic(), self.result
        try:
            with self._agent(stage, scene) as own:
                self._body(stage, own)
        except StageFailedError as error:
            self.result = "ABORTED" if str(error) == "ABORTED" else "FAILURE"
            if str(error) != "ABORTED":
                say(f"  {error}")
        state = "done" if self.result == before else self.result
        if not stage.inside("stages"):
            self.outcomes.append(Outcome(stage.title, state, time.monotonic() - started))

    def _is_left_out(self, stage: Call) -> bool:
        stopped = self.result != "SUCCESS"  # UNSTABLE too: the file says skipStagesAfterUnstable
        asked_for = stage.title in self.without
        env = self.scenario.situation.env
        return stopped or asked_for or not applies(stage.section("when"), env)

    @contextmanager
    def _agent(self, stage: Call, scene: "Scene") -> Iterator["Scene"]:
        """A question first, then an empty workspace where the stage takes an agent."""
        own = {call.name: call.title for call in stage.inside("environment")}
        own |= self._asked(stage)
        scene = replace(scene, env={**scene.env, **own})
        if stage.section("agent") is None:
            yield scene
            return
        label, title = stage.inside("agent")[0].title, stage.title.lower().replace(" ", "-")
        workspace = self.desk.new_workspace(f"{label}-{title}")
        check_out(PROJECT, workspace)
        say(f"  agent {label}, workspace {workspace}")
        yield replace(scene, workspace=workspace)
        if LEFT_RUNNING not in own and self.result in {"SUCCESS", "UNSTABLE"}:
            shutil.rmtree(workspace.parent)

    def _asked(self, stage: Call) -> dict[str, str]:
        question = stage.section("input")
        if question is None:
            return {}
        text = question.inside_title("message")
        who = self.answer(text)
        if not who:
            say(f"  {text} — nobody answered")
            raise StageFailedError("ABORTED")
        say(f"  {text} — yes, says {who}")
        variable = question.inside_title("submitterParameter")
        return {variable: who} if variable else {}

    def _body(self, stage: Call, scene: "Scene") -> None:
        try:
            for inner in stage.inside("stages"):
                self._stage(inner, scene)
            for call in stage.inside("steps"):
                self._step(call, scene)
        finally:
            for call in (call for one in stage.inside("post") for call in one.body):
                self._step(call, scene)

    def _step(self, call: Call, scene: "Scene") -> None:
        if call.name not in STEPS:
            raise UsageError(
                f"The step `{call.name}` cannot be rehearsed; those can: {', '.join(STEPS)}."
            )
        STEPS[call.name](self, call, scene)

    def sh(self, call: Call, scene: "Scene") -> None:
        """Run a line as Jenkins does, with `sh -xe`."""
        script, named = script_of(call), call.named
        kept = bool(named.get("returnStdout"))
        done = subprocess.run(
            ["sh", "-xec", script],
            cwd=scene.place,
            env=scene.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if kept else None,
            text=True,
            check=False,
        )
        self.answers[script] = Answer(done.returncode, done.stdout or "")
        if done.returncode and not named.get("returnStatus"):
            raise StageFailedError(f"`{script}` ended with exit code {done.returncode}")

    def script(self, call: Call, scene: "Scene") -> None:
        """Run a `script` block; after each `sh` the file is read again with its answer."""
        done = 0
        while done < len(call.body):
            step = call.body[done]
            self._step(step, scene)
            done += 1
            if step.name == "sh":
                call = self._again(call, done)

    def _again(self, call: Call, done: int) -> Call:
        situation = replace(self.scenario.situation, answers=self.answers)
        (tree,) = record(self.scenario.jenkinsfile, [situation])
        begun = [step.title for step in call.body[:done]]
        for block in tree.all("script"):
            if [step.title for step in block.body[:done]] == begun:
                return block
        raise UsageError(
            "A script block runs other steps when it is read again; make it depend on answers only."
        )

    def with_credentials(self, call: Call, scene: "Scene") -> None:
        """Bind what the caller's surroundings have under the same names, for these lines alone."""
        names = [name for binding in call.arguments[0] for name in variables_of(binding)]
        bound = {name: self.surroundings[name] for name in names if name in self.surroundings}
        if missing := [name for name in names if name not in bound]:
            say(f"  not set here, so not bound: {', '.join(missing)}")
        for inner in call.body:
            self._step(inner, replace(scene, env={**scene.env, **bound}))

    def stash(self, call: Call, scene: "Scene") -> None:
        """Keep files for a later agent."""
        name, patterns = call.named["name"], call.named["includes"]
        shutil.rmtree(self.desk.stashes / name, ignore_errors=True)
        count = carry(scene.place, patterns, self.desk.stashes / name)
        if not count:
            raise StageFailedError(f"stash {name}: no file matches {patterns}")
        size = size_of(self.desk.stashes / name)
        say(f"  stash {name}: {count} files, {size / 1e3:,.0f} kB")

    def unstash(self, call: Call, scene: "Scene") -> None:
        """Lay the files of an earlier agent into this workspace."""
        if not (self.desk.stashes / call.title).exists():
            raise StageFailedError(f"unstash {call.title}: nothing was stashed under this name")
        shutil.copytree(self.desk.stashes / call.title, scene.place, dirs_exist_ok=True)

    def archive(self, call: Call, scene: "Scene") -> None:
        """Keep files for the build's page."""
        patterns = call.named["artifacts"]
        count = carry(scene.place, patterns, self.desk.archive)
        if not count and not call.named.get("allowEmptyArchive"):
            raise StageFailedError(f"archiveArtifacts: no file matches {patterns}")

    def junit(self, call: Call, scene: "Scene") -> None:
        """Count tests; failed ones make the build unstable."""
        tests = failed = 0
        for path in matching(scene.place, call.named["testResults"]):
            for suite in Xml.parse(path).iter("testsuite"):  # noqa: S314  our own checks wrote it
                tests += int(suite.get("tests", 0))
                failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        say(f"  junit: {tests} tests, {failed} failed")
        if failed and self.result == "SUCCESS":
            self.result = "UNSTABLE"

    def unstable(self, call: Call, _: "Scene") -> None:
        """Keep what is live, without calling the build broken."""
        say(f"  UNSTABLE: {call.title}")
        self.result = "UNSTABLE"

    def error(self, call: Call, _: "Scene") -> None:
        """End the build."""
        raise StageFailedError(call.title)

    def echo(self, call: Call, _: "Scene") -> None:
        """Say something."""
        say(f"  {call.title}")

    def describe(self, call: Call, _: "Scene") -> None:
        """Set what the build's page says."""
        self.description = call.title


@dataclass(frozen=True)
class Scene:
    """What a step sees.

    Attributes:
        workspace: The agent's; None where no agent is taken.
        env: All variables.
    """

    workspace: Path | None
    env: dict[str, str]

    @property
    def place(self) -> Path:
        """The workspace.

        Raises:
            UsageError: A step needs an agent, and its stage takes none.
        """
        if self.workspace is None:
            raise UsageError("A step needs an agent, and its stage takes none.")
        return self.workspace


STEPS: Final[dict[str, Callable[[Build, Call, Scene], None]]] = {
    "sh": Build.sh,
    "script": Build.script,
    "withCredentials": Build.with_credentials,
    "stash": Build.stash,
    "unstash": Build.unstash,
    "archiveArtifacts": Build.archive,
    "junit": Build.junit,
    "unstable": Build.unstable,
    "error": Build.error,
    "echo": Build.echo,
    "currentBuild.description": Build.describe,
}


def _login(surroundings: Mapping[str, str]) -> dict[str, str]:
    """What a login on an agent has, whatever else the caller's terminal knows."""
    wanted = {*LOGIN, *(name for word in NETWORK for name in (word, word.upper()))}
    env = {name: value for name, value in surroundings.items() if name in wanted}
    return {**env, ENVIRONMENTS: surroundings.get(ENVIRONMENTS) or str(PROJECT / ".venv")}


def ask_person(yes: bool) -> Callable[[str], str]:
    """Who answers yes: the person at the terminal; with `yes` without being asked."""

    def answer(question: str) -> str:
        if yes:
            return getpass.getuser()
        if not sys.stdin.isatty():
            return ""
        return getpass.getuser() if input(f"  {question} [y/N] ").lower() in {"y", "yes"} else ""

    return answer


def rehearse(scenario: Scenario, desk: Desk, without: frozenset[str], *, yes: bool) -> Build:
    """Run a scenario; a workspace is gone when its stage ended well, unless something runs in it.

    Raises:
        UsageError: The file has a step that cannot be rehearsed, or this is no git repository.
        UnavailableError: Groovy is not installed.
    """
    (tree,) = record(scenario.jenkinsfile, [scenario.situation])
    known = {stage.title for stage in tree.all("stage")}
    if unknown := without - known:
        raise UsageError(
            f"There is no stage {sorted(unknown)[0]!r}; there are {', '.join(sorted(known))}."
        )
    build = Build(scenario, tree, desk, without, ask_person(yes), dict(os.environ))
    build.run()
    return build


def tell(build: Build) -> None:
    """Print how each stage ended, and the build's result."""
    width = max(len(one.title) for one in build.outcomes)
    lines = [
        f"  {one.title:<{width}}  {one.state:<9} {duration(one.seconds) if one.seconds else ''}"
        for one in build.outcomes
    ]
    say("\n".join(["", *lines, "", f"{build.result}  {build.description}".rstrip()]))
    if build.result in {"FAILURE", "ABORTED"}:
        say(f"The workspaces are kept: {build.desk.workspaces}")
