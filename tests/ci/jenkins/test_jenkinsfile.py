"""The Jenkinsfile, read by the Groovy that Jenkins embeds, against the table of stages."""

import re
import shlex
import subprocess

import pytest

from ci.__main__ import check_usage
from ci.config import PROJECT, load_config
from ci.errors import UsageError
from ci.jenkins.conditions import applies
from ci.jenkins.owners import OWNERS, words_of
from ci.jenkins.plan import commands, running
from ci.jenkins.recording import Answer, Situation, record
from ci.jenkins.scenarios import JENKINSFILE, ROLLBACK, SCENARIOS
from ci.pipeline import STAGE, STAGES
from ci.rollout.accountable import APPROVED_BY
from tests.services import require_service

PLUGINS = PROJECT / "infra/jenkins/plugins.txt"
OCCASIONS = ("main", "nightly", "branch", "pull-request", "fork")
# A job that is no multibranch job can be told to build main as a change: never deploy then.
DISGUISED = {"BRANCH_NAME": "main", "CHANGE_ID": "7"}
CODES = (0, 1, 2, 3, 4, 10, 11)
ENV = {name: SCENARIOS[name].env for name in OCCASIONS} | {"disguised": DISGUISED}
JUDGING = {"main": "bin/ci $CI_OPTIONS gate", "pull-request": "bin/ci $CI_OPTIONS verdict"}
CHANGES = ("pull-request", "fork", "branch", "disguised")
LABELS = {"check": "linux", "render": "docker", "image": "docker", "deploy": "deploy"}
REASON = "HOLD: the challenger is worse"


def judged(where, code):
    """What a build knows after the gate ended with a code."""
    said = Answer(0, REASON)
    answers = {JUDGING[where]: Answer(code), 'cat build/*/verdict.txt || echo "no verdict"': said}
    return Situation(ENV[where], answers=answers)


SITUATIONS = {
    **{name: Situation(env) for name, env in ENV.items()},
    **{f"{where} {code}": judged(where, code) for where in JUDGING for code in CODES},
}


@pytest.fixture(scope="module")
def trees():
    """The recorded pipeline of each situation, from one run of Groovy."""
    require_service("groovy")
    return dict(zip(SITUATIONS, record(JENKINSFILE, list(SITUATIONS.values())), strict=True))


def by_name(tree):
    return {stage.title: stage for stage in tree.all("stage")}


def test_it_is_short():
    assert len(JENKINSFILE.read_text("utf-8").splitlines()) < 150


def test_a_slip_of_the_pen_is_found_with_its_line(tmp_path):
    require_service("groovy")
    broken = tmp_path / "Jenkinsfile"
    text = JENKINSFILE.read_text("utf-8")
    broken.write_text(text.replace("stages {", "stages", 1), encoding="utf-8")
    with pytest.raises(UsageError, match=r"Jenkinsfile: \d+: "):
        record(broken, [SITUATIONS["main"]])


def test_on_main_every_stage_runs_in_the_order_of_the_table(trees):
    ran = [words(one) for one in running(trees["main"], ENV["main"]) if not one.in_post]
    expected = [stage.name for stage in STAGES if stage.name != "report"]
    assert [one[0] for one in ran if one] == [*expected, "deploy"]  # staging, production
    assert [one[-1] for one in ran if one and one[0] == "deploy"] == ["staging", "production"]


def words(command):
    """The command's own words, `["deploy", "--environment", "staging"]`; none of other programs."""
    line = shlex.split(command.line)
    if line[0] != "bin/ci":
        return []
    options = {"$CI_OPTIONS": 1, "--profile": 2, "--set": 2}
    line = line[1:]
    while line[0] in options:
        line = line[options[line[0]] :]
    return line


@pytest.mark.parametrize("where", CHANGES)
def test_a_change_is_checked_and_judged_and_nothing_else(trees, where):
    ran = [words(one) for one in running(trees[where], ENV[where])]
    assert [one[0] for one in ran if one] == ["check", "verdict", "report"]


@pytest.mark.parametrize("where", CHANGES)
def test_a_change_binds_no_credentials_at_all(trees, where):
    ran = running(trees[where], ENV[where])
    assert {command.credentials for command in ran} == {frozenset()}
    assert not list(trees[where].all("credentials"))


def test_each_stage_binds_exactly_the_credentials_of_the_table(trees):
    ran = [one for one in running(trees["main"], ENV["main"]) if words(one)]
    assert any(command.credentials for command in ran)
    for command in ran:
        name, place = words(command)[0], words(command)[-1]
        declared = STAGE[name].credentials
        assert command.credentials == {one.format(environment=place) for one in declared}, (
            command.line
        )


def test_every_line_is_one_command_that_parses(trees):
    config = load_config(PROJECT / "pipeline.toml")
    for where in ("main", "pull-request"):
        options = next(trees[where].all("CI_OPTIONS")).title
        for command in running(trees[where], ENV[where]):
            if not words(command):
                assert command.line == 'cat build/*/verdict.txt || echo "no verdict"'
                continue
            line = shlex.split(command.line.replace("$CI_OPTIONS", options))[1:]
            check_usage(line)
            if "--environment" in line:
                assert line[-1] in config.settings.environments


@pytest.mark.parametrize("where", [*OCCASIONS, "disguised"])
def test_a_change_is_judged_on_the_reference_with_the_small_budget(trees, where):
    options = shlex.split(next(trees[where].all("CI_OPTIONS")).title)
    is_change = where in CHANGES
    assert options[options.index("--profile") + 1] == ("quick" if is_change else "full")
    assert ("--reference" in options) == is_change
    assert ("gate.baseline_environment=production" in options) != is_change


def test_the_reference_is_made_with_the_budget_of_a_change(trees):
    ran = running(trees["main"], ENV["main"])
    (line,) = [one.line for one in ran if words(one)[:1] == ["reference"]]
    assert line == "bin/ci $CI_OPTIONS --profile quick reference"


def test_advisories_are_required(trees):
    for where in OCCASIONS:
        lines = [one.line for one in running(trees[where], ENV[where])]
        assert lines[0] == "bin/ci --set check.advisories=required check"


def test_every_stage_runs_on_the_agent_of_its_role(trees):
    assert trees["main"].section("agent").title == "none"
    for command in running(trees["main"], ENV["main"]):
        if not words(command):
            continue
        agents = [stage.section("agent") for stage in command.stages if stage.section("agent")]
        assert len(agents) == 1, command.line
        expected = LABELS.get(words(command)[0], "gpu")
        if words(command)[0] == "report":
            expected = agents[0].body[0].title  # it reports where something happened
        assert agents[0].body[0].title == expected, command.line


def test_whoever_waits_for_a_person_holds_neither_agent_nor_lock(trees):
    asking = [stage for stage in trees["main"].all("stage") if stage.section("input")]
    assert [stage.title for stage in asking] == ["Admit the fork", "Approve production"]
    for stage in asking:
        assert stage.section("agent") is None
        assert not [one for one in stage.inside("options") if one.name == "lock"]
        assert next(stage.section("when").all("beforeInput")).arguments == [True]
    production = by_name(trees["main"])["Approve production"].section("stages").body
    assert [stage.title for stage in production] == ["Production"]  # it locks after the answer


def test_who_approved_is_told_to_the_deployment(trees):
    asked = by_name(trees["main"])["Approve production"].section("input")
    assert asked.section("submitterParameter").title == APPROVED_BY


def test_only_a_fork_is_asked_about_and_before_the_training_agent_sees_it(trees):
    for where, situation in SITUATIONS.items():
        when = by_name(trees[where])["Admit the fork"].section("when")
        assert applies(when, situation.env) == (where == "fork")
    order = [stage.title for stage in trees["fork"].section("stages").body]
    assert order[:3] == ["Check", "Admit the fork", "Model"]


def test_a_lock_is_asked_for_only_when_its_stage_runs(trees):
    """`options { lock }` is taken before `when` is looked at, unless beforeOptions says so."""
    locked = {stage.title: stage for stage in trees["main"].all("stage") if stage.section("options")
              and list(stage.section("options").all("lock"))}  # fmt: skip
    assert list(locked) == ["Model", "Staging", "Production"]
    assert locked["Model"].section("when") is None
    assert locked["Production"].section("when") is None  # the stage around it has one
    names = {condition.name for condition in locked["Staging"].section("when").body}
    assert {"beforeOptions", "beforeAgent", "branch"} <= names
    names = [next(stage.section("options").all("lock")).title for stage in locked.values()]
    assert names == ["pushcart-gpu", "pushcart-staging", "pushcart-production"]


def test_nothing_may_take_forever(trees):
    tree = trees["main"]
    assert list(tree.section("options").all("timeout"))
    for stage in tree.section("stages").body:
        limit = next(stage.section("options").all("timeout"))
        assert limit.named["unit"] in {"HOURS", "DAYS"}, stage.title


@pytest.mark.parametrize(
    ("where", "aborts"), [("main", False), ("nightly", False), ("pull-request", True)]
)
def test_a_superseded_pull_request_is_aborted_and_a_release_never(trees, where, aborts):
    concurrent = next(trees[where].all("disableConcurrentBuilds"))
    assert concurrent.named == {"abortPrevious": aborts}


def test_stages_after_an_unstable_gate_are_skipped(trees):
    assert trees["main"].section("options").section("skipStagesAfterUnstable")


def test_there_is_exactly_one_script_block_and_it_judges_the_gate(trees):
    for where in OCCASIONS:
        blocks = list(trees[where].all("script"))
        assert len(blocks) == 1
        judging = [words(command)[0] for command in commands(blocks[0]) if words(command)]
        assert judging == ["verdict" if where in CHANGES else "gate"]


@pytest.mark.parametrize(
    ("situation", "ends"),
    [
        ("main 0", []),
        ("main 10", ["unstable"]),
        ("main 11", ["unstable"]),
        *[(f"main {code}", ["error"]) for code in (1, 2, 3, 4)],
        ("pull-request 0", []),
        ("pull-request 10", ["unstable"]),
        ("pull-request 11", []),
        *[(f"pull-request {code}", ["error"]) for code in (1, 2, 3, 4)],
    ],
)
def test_the_gates_exit_code_decides_the_builds_colour(trees, situation, ends):
    script = next(trees[situation].all("script"))
    last = {call.name: call.title for call in script.body if call.name in {"unstable", "error"}}
    assert list(last) == ends
    assert all(REASON in text for text in last.values())
    if "error" in last:
        assert f"exit code {situation.split()[1]}: " in last["error"]


def test_the_reason_is_the_builds_description(trees):
    for situation in ("main 10", "pull-request 11"):
        script = next(trees[situation].all("script"))
        assert script.section("currentBuild.description").title == REASON


def test_results_are_kept_also_of_a_failed_build(trees):
    stages = by_name(trees["main"])
    for name in ("Model", "Production"):
        always = stages[name].section("post").section("always")
        assert [call.name for call in always.body] == ["sh", "archiveArtifacts"]
        assert always.body[1].named["allowEmptyArchive"] is True
        assert {"report.*", "verdict.txt"} <= files_of(always.body[1].named["artifacts"])
    junit = next(stages["Check"].section("post").section("always").all("junit"))
    assert junit.named["testResults"] == "build/reports/*.xml"


def files_of(patterns):
    """The last parts of a list of patterns."""
    return {pattern.rpartition("/")[2].strip() for pattern in patterns.split(",")}


def test_no_dataset_and_no_bundle_goes_through_the_controller(trees):
    for stash in trees["main"].all("stash"):
        assert files_of(stash.named["includes"]) == {"*.json", "gate.md"}
        assert "**" not in stash.named["includes"]


def test_what_one_agent_hands_over_the_next_one_takes(trees):
    tree = trees["main"]
    handed = [(call.name, call.named.get("name") or call.title)
              for call in tree.all() if call.name in {"stash", "unstash"}]  # fmt: skip
    assert handed == [
        ("stash", "judged"), ("unstash", "judged"), ("stash", "release"), ("unstash", "release"),
        ("unstash", "release"),
    ]  # fmt: skip


def test_what_is_deployed_on_the_agent_outlives_the_build(trees):
    for name in ("Staging", "Production"):
        cookie = next(by_name(trees["main"])[name].all("JENKINS_NODE_COOKIE"))
        assert cookie.title == "dontKillMe"


def test_every_call_belongs_to_a_plugin_that_is_listed_with_its_version(trees):
    pinned = dict(
        line.split(":")
        for line in PLUGINS.read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert all(re.match(r"\d", version) for version in pinned.values())
    assert set(OWNERS.values()) <= set(pinned)
    used = set().union(*(words_of(tree) for tree in trees.values()))
    for environment in ("staging", "production"):
        params = {"ENVIRONMENT": environment, "RELEASE": ""}
        used |= words_of(record(ROLLBACK, [Situation(params, params)])[0])
    assert used <= set(OWNERS), used - set(OWNERS)
    assert set(OWNERS) <= used, set(OWNERS) - used


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_rollback_locks_its_environment_and_binds_what_it_needs(environment):
    require_service("groovy")
    params = {"ENVIRONMENT": environment, "RELEASE": "3"}
    (tree,) = record(ROLLBACK, [Situation(params, params)])
    (stage,) = tree.all("stage")
    assert [one.title for one in stage.inside("options")] == [f"pushcart-{environment}"]
    for command in commands(tree):
        assert command.credentials == {"mlflow", f"deploy-key-{environment}"}
    choices = next(tree.all("parameters")).body[0].named["choices"]
    assert set(choices) <= set(load_config(PROJECT / "pipeline.toml").settings.environments)


@pytest.mark.parametrize(
    ("release", "words_run"),
    [("", "rollback --environment staging"), ("3", "rollback --environment staging --to 3")],
)
def test_the_rollback_line_is_what_was_asked_for(tmp_path, release, words_run):
    """Whatever is typed into the form stays one word of one command."""
    require_service("groovy")
    params = {"ENVIRONMENT": "staging", "RELEASE": release}
    (tree,) = record(ROLLBACK, [Situation(params, params)])
    line = next(commands(tree)).line
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ci").write_text('#!/bin/sh\necho "$#" "$@"\n')
    (tmp_path / "bin/ci").chmod(0o755)
    said = run_line(line, tmp_path, params)
    assert said == f"{len(words_run.split())} {words_run}\n"
    check_usage(words_run.split())
    assert run_line(line, tmp_path, params | {"RELEASE": "3; echo x"}).count("\n") == 1


def run_line(line, folder, env):
    return subprocess.run(
        ["sh", "-ec", line], cwd=folder, env=env, check=True, capture_output=True, text=True
    ).stdout
