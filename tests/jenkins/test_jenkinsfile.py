"""The Jenkinsfile, read by the Groovy that Jenkins embeds, against the table of stages."""

import re
import shlex

import pytest

from ci.__main__ import check_usage
from ci.config import PROJECT, load_config
from ci.pipeline import STAGE, STAGES
from tests.jenkins.recording import applies, commands, record, runs
from tests.services import require_service

JENKINSFILE = PROJECT / "Jenkinsfile"
PLUGINS = PROJECT / "infra/jenkins/plugins.txt"
MAIN = {"BRANCH_NAME": "main"}
FEATURE = {"BRANCH_NAME": "feature/blend"}
PULL_REQUEST = {"BRANCH_NAME": "PR-7", "CHANGE_ID": "7"}
FORK = PULL_REQUEST | {"CHANGE_FORK": "someone"}
# A job that is no multibranch job can be told to build main as a change: never deploy then.
DISGUISED = {"BRANCH_NAME": "main", "CHANGE_ID": "7"}
SITUATIONS = {
    "main": {"env": MAIN, "exit_codes": {}},
    "feature": {"env": FEATURE, "exit_codes": {}},
    "pull request": {"env": PULL_REQUEST, "exit_codes": {}},
    "fork": {"env": FORK, "exit_codes": {}},
    "disguised": {"env": DISGUISED, "exit_codes": {}},
    **{
        f"{where} {code}": {"env": env, "exit_codes": {"gate": code}}
        for where, env in (("main", MAIN), ("pull request", PULL_REQUEST))
        for code in (0, 1, 2, 3, 4, 10, 11)
    },
}
LABELS = {"check": "linux", "render": "docker", "image": "docker", "deploy": "deploy"}

# Who owns a call. The linter does not know unknown steps: a wrong one fails only when it runs.
DECLARATIVE = (
    "pipeline agent label options triggers environment stages stage steps post always when input "
    "message beforeInput beforeAgent beforeOptions branch not changeRequest expression script "
    "skipStagesAfterUnstable CI_OPTIONS JENKINS_NODE_COOKIE"
)
OWNERS = {
    "pipeline-model-definition": DECLARATIVE.split(),
    "workflow-basic-steps": ["echo", "error", "unstable", "timeout", "retry", "stash", "unstash",
                             "archiveArtifacts"],
    "workflow-durable-task-step": ["sh", "agent"],
    "workflow-cps": ["nonresumable"],
    "workflow-job": ["buildDiscarder", "logRotator", "disableConcurrentBuilds", "pollSCM", "cron"],
    "credentials-binding": ["withCredentials", "string", "file", "usernamePassword",
                            "sshUserPrivateKey"],
    "junit": ["junit"],
    "timestamper": ["timestamps"],
    "lockable-resources": ["lock"],
}  # fmt: skip


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
    with pytest.raises(SyntaxError, match=r"Jenkinsfile: \d+: "):
        record(broken, [SITUATIONS["main"]])


def test_on_main_every_stage_runs_in_the_order_of_the_table(trees):
    ran = [command for command in runs(trees["main"], MAIN) if not command.in_post]
    expected = [stage.name for stage in STAGES if stage.name != "report"]
    assert [command.stage for command in ran] == [*expected, "deploy"]  # staging, production
    environments = [command.words[-1] for command in ran if command.stage == "deploy"]
    assert environments == ["staging", "production"]


@pytest.mark.parametrize("where", ["pull request", "fork", "feature", "disguised"])
def test_elsewhere_nothing_is_packed_or_deployed(trees, where):
    ran = runs(trees[where], SITUATIONS[where]["env"])
    expected = ["check", "prepare", "train", "export", "evaluate", "gate", "report"]
    assert [command.stage for command in ran] == expected


@pytest.mark.parametrize("where", ["pull request", "fork", "disguised"])
def test_a_pull_request_binds_no_credentials_at_all(trees, where):
    ran = runs(trees[where], SITUATIONS[where]["env"])
    assert {command.credentials for command in ran} == {frozenset()}
    assert not list(trees[where].all("credentials"))


def test_each_stage_binds_exactly_the_credentials_of_the_table(trees):
    ran = runs(trees["main"], MAIN)
    assert any(command.credentials for command in ran)
    for command in ran:
        place = command.words[-1]
        declared = STAGE[command.stage].credentials
        assert command.credentials == {name.format(environment=place) for name in declared}, (
            command.line
        )


def test_every_line_is_one_command_that_parses(trees):
    config = load_config(PROJECT / "pipeline.toml")
    environment = next(trees["main"].all("CI_OPTIONS")).title
    for command in commands(trees["main"]):
        assert re.fullmatch(r"bin/ci (\$CI_OPTIONS )?[a-z]+( --environment [a-z]+)?", command.line)
        words = shlex.split(command.line.replace("$CI_OPTIONS", environment))[1:]
        check_usage(words)
        if "--environment" in words:
            assert words[-1] in config.settings.environments


@pytest.mark.parametrize(
    ("where", "profile"), [("main", "full"), ("feature", "full"), ("pull request", "quick")]
)
def test_a_pull_request_trains_on_the_small_budget(trees, where, profile):
    options = shlex.split(next(trees[where].all("CI_OPTIONS")).title)
    assert options[options.index("--profile") + 1] == profile
    assert "gate.baseline_environment=production" in options


def test_every_stage_runs_on_the_agent_of_its_role(trees):
    assert trees["main"].section("agent").title == "none"
    for command in runs(trees["main"], MAIN):
        agents = [stage.section("agent") for stage in command.stages if stage.section("agent")]
        assert len(agents) == 1, command.line
        expected = LABELS.get(command.stage, "gpu")
        if command.stage == "report":
            expected = agents[0].body[0].title  # it reports where something happened
        assert agents[0].body[0].title == expected, command.line


def test_whoever_waits_for_a_person_holds_neither_agent_nor_lock(trees):
    asking = [stage for stage in trees["main"].all("stage") if stage.section("input")]
    assert [stage.title for stage in asking] == ["Admit the fork", "Approve production"]
    for stage in asking:
        assert stage.section("agent") is None
        assert not list(stage.all("lock"))
        assert next(stage.section("when").all("beforeInput")).arguments == [True]
    order = [stage.title for stage in trees["main"].section("stages").body]
    assert order.index("Approve production") == order.index("Production") - 1


def test_only_a_fork_is_asked_about_and_before_the_training_agent_sees_it(trees):
    for where in SITUATIONS:
        when = by_name(trees[where])["Admit the fork"].section("when")
        assert applies(when, SITUATIONS[where]["env"]) == (where == "fork")
    order = [stage.title for stage in trees["fork"].section("stages").body]
    assert order[:3] == ["Check", "Admit the fork", "Model"]


def test_a_lock_is_asked_for_only_when_its_stage_runs(trees):
    """`options { lock }` is taken before `when` is looked at, unless beforeOptions says so."""
    locked = {stage.title: stage for stage in trees["main"].all("stage") if stage.section("options")
              and list(stage.section("options").all("lock"))}  # fmt: skip
    assert list(locked) == ["Staging", "Production"]
    for stage in locked.values():
        names = {condition.name for condition in stage.section("when").body}
        assert {"beforeOptions", "beforeAgent", "branch"} <= names
    names = [next(stage.section("options").all("lock")).title for stage in locked.values()]
    assert len(set(names)) == 2


def test_nothing_may_take_forever(trees):
    tree = trees["main"]
    assert list(tree.section("options").all("timeout"))
    for stage in tree.section("stages").body:
        limit = next(stage.section("options").all("timeout"))
        assert limit.named["unit"] in {"HOURS", "DAYS"}, stage.title


@pytest.mark.parametrize(("where", "aborts"), [("main", False), ("pull request", True)])
def test_a_superseded_pull_request_is_aborted_and_a_release_never(trees, where, aborts):
    concurrent = next(trees[where].all("disableConcurrentBuilds"))
    assert concurrent.named == {"abortPrevious": aborts}


def test_stages_after_an_unstable_gate_are_skipped(trees):
    assert trees["main"].section("options").section("skipStagesAfterUnstable")


def test_there_is_exactly_one_script_block_and_it_judges_the_gate(trees):
    blocks = list(trees["main"].all("script"))
    assert len(blocks) == 1
    assert [command.stage for command in commands(blocks[0])] == ["gate"]


@pytest.mark.parametrize(
    ("situation", "ends"),
    [
        ("main 0", []),
        ("main 10", [("unstable", "HOLD")]),
        ("main 11", [("unstable", "INCONCLUSIVE")]),
        ("main 1", [("error", "exit code 1;")]),
        ("main 2", [("error", "exit code 2;")]),
        ("main 3", [("error", "exit code 3;")]),
        ("main 4", [("error", "exit code 4;")]),
        ("pull request 0", []),
        ("pull request 10", [("unstable", "HOLD")]),
        ("pull request 11", [("echo", "INCONCLUSIVE")]),
        ("pull request 4", [("error", "exit code 4;")]),
    ],
)
def test_the_gates_exit_code_decides_the_builds_colour(trees, situation, ends):
    script = next(trees[situation].all("script"))
    said = [(call.name, call.title) for call in script.body if call.name != "sh"]
    assert [name for name, _ in said] == [name for name, _ in ends]
    assert all(words in text for (_, text), (_, words) in zip(said, ends, strict=True))


def test_results_are_kept_also_of_a_failed_build(trees):
    stages = by_name(trees["main"])
    for name in ("Model", "Production"):
        always = stages[name].section("post").section("always")
        assert [call.name for call in always.body] == ["sh", "archiveArtifacts"]
        assert always.body[1].named["allowEmptyArchive"] is True
        assert "report.*" in always.body[1].named["artifacts"]
    junit = next(stages["Check"].section("post").section("always").all("junit"))
    assert junit.named["testResults"] == "build/reports/*.xml"


def test_what_one_agent_hands_over_the_next_one_takes(trees):
    tree = trees["main"]
    handed = [(call.name, call.named.get("name") or call.title)
              for call in tree.all() if call.name in {"stash", "unstash"}]  # fmt: skip
    assert handed == [
        ("stash", "model"), ("unstash", "model"), ("stash", "release"), ("unstash", "release"),
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
    assert set(OWNERS) <= set(pinned)
    known = {name for names in OWNERS.values() for name in names}
    used = set()
    for tree in trees.values():
        for call in tree.all():
            used |= {call.name, *symbols(call.arguments)}
    assert used <= known, used - known
    assert known <= used, known - used


def symbols(value):
    """Names of the calls that stand inside arguments: `string(...)`, `agent()`."""
    if isinstance(value, dict) and set(value) == {"name", "arguments"}:
        yield value["name"]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inner:
        yield from symbols(part)
