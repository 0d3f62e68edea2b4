"""The files of docs/other-ci.md do what the Jenkinsfile does: lines, order, needs, secrets."""

import re
import shlex
import subprocess

import pytest
import yaml

from ci.__main__ import check_usage
from ci.config import PROJECT
from ci.errors import UsageError
from ci.pipeline import STAGE, STAGES
from tests.docs.pages import read_page, read_tables

PAGE_FILE = PROJECT / "docs/other-ci.md"
PAGE = PAGE_FILE.read_text("utf-8")
GITHUB, GITLAB = (
    content
    for section in read_page(PAGE_FILE)
    for language, content in section.code
    if language == "yaml"
)
FILES = {"github": GITHUB, "gitlab": GITLAB}
CHANGE = ("check", "change")
MAIN = ("check", "model", "package", "staging", "production")
NEEDS = {
    "check": [],
    "change": ["check"],
    "model": ["check"],
    "package": ["model"],
    "staging": ["package"],
    "production": ["package", "staging"],  # the release's papers, and that staging serves them
}
PLACES = {
    "model": "training",
    "package": "release",
    "staging": "staging",
    "production": "production",
}
SYSTEM_KEYS = ("workflow", "stages", "variables")
PLANS = PROJECT / "tests/ci/jenkins/plans"  # what the Jenkinsfile does on each occasion
SECRET = re.compile(r"\$\{\{ secrets\.(\w+) \}\}")
# What a credential is called as a variable, and the two lines that lay a key where SSH takes it.
VARIABLES = {
    "shop-database": ["SHOP_DB_PASSWORD"],
    "mlflow": ["MLFLOW_USERNAME", "MLFLOW_PASSWORD"],
    "container-registry": ["CONTAINER_REGISTRY_USERNAME", "CONTAINER_REGISTRY_PASSWORD"],
    "signing-key": ["PUSHCART_SIGNING_KEY"],
    "deploy-key-{environment}": ["DEPLOY_KEY"],
}
KEY_LINES = (
    """umask 077 && printf '%s\\n' "$DEPLOY_KEY" > "$DEPLOY_KEY_FILE\"""",
    'chmod 0600 "$DEPLOY_KEY_FILE"',
)
OF_MAIN = ("--profile", "full", "--set", "gate.baseline_environment=production")
UNDECIDED_IS_GREEN = " || [ $? -eq 11 ]"


def jobs_of(text: str) -> dict[str, dict]:
    """The jobs of either file by name."""
    content = yaml.safe_load(text)
    if "jobs" in content:
        return content["jobs"]
    return {
        name: job
        for name, job in content.items()
        if name not in SYSTEM_KEYS and not name.startswith(".")
    }


def steps_of(job: dict) -> list[dict]:
    """The lines that a job runs, each with what is bound to it alone."""
    scripts = [{"run": line} for line in (*job.get("script", []), *job.get("after_script", []))]
    return scripts + [step for step in job.get("steps", []) if "run" in step]


def words_of(line: str, job: dict) -> list[str]:
    """What `bin/ci` gets of a line; none of the lines about the key."""
    if line in KEY_LINES:
        return []
    options = {**job.get("env", {}), **job.get("variables", {})}.get("CI_OPTIONS", "")
    words = shlex.split(line.removesuffix(UNDECIDED_IS_GREEN).replace("$CI_OPTIONS", options))
    assert words[0] == "bin/ci", line
    return words[1:]


def command_of(words: list[str]) -> str:
    """The command among the words: the first that is no option and no option's value."""
    words = list(words)
    while words[0].startswith("--"):
        words = words[1 if words[0] == "--reference" else 2 :]
    return words[0]


def commands_of(job: dict) -> list[str]:
    lines = [words_of(step["run"], job) for step in steps_of(job)]
    return [command_of(words) for words in lines if words]


def secrets_of(step: dict) -> set[str]:
    return set(SECRET.findall(str(step)))


def environment_of(job: dict) -> str:
    named = job.get("environment", "")
    return named["name"] if isinstance(named, dict) else named


def variables_of(*stages: str) -> set[str]:
    """The secrets that stages need, as the build servers call them."""
    return {name for stage in stages for one in STAGE[stage].credentials for name in VARIABLES[one]}


def order_faults(jobs: dict[str, dict]) -> list[str]:
    """Where the commands of main are not the stages, in their order."""
    ran = [name for job in MAIN for name in commands_of(jobs[job]) if name != "report"]
    expected = [*(stage.name for stage in STAGES if stage.name != "report"), "deploy"]
    return [] if ran == expected else [f"main runs {ran}, not {expected}"]


def planned(occasion: str) -> list[list[str]]:
    """What `bin/ci` gets on an occasion under Jenkins."""
    plan = (PLANS / f"{occasion}.txt").read_text("utf-8")
    (options,) = re.findall(r"CI_OPTIONS = (.+)", plan)
    lines = re.findall(r"\$ bin/ci (.*?)(?:  ←.*)?$", plan, re.MULTILINE)
    return [shlex.split(line.replace("$CI_OPTIONS", options)) for line in lines]


def plan_faults(jobs: dict[str, dict]) -> list[str]:
    """Where the lines are not those of the Jenkinsfile."""
    found = []
    for occasion, names in (("pull-request", CHANGE), ("main", MAIN)):
        ran = [words_of(step["run"], jobs[name]) for name in names for step in steps_of(jobs[name])]
        ran = [words for words in ran if words]
        if ran != planned(occasion):
            found.append(f"{occasion}: the lines are {ran}, Jenkins' are {planned(occasion)}")
    return found


def refused(words: list[str]) -> list[str]:
    """Why `bin/ci` would not take the words."""
    try:
        check_usage(words)
    except UsageError as error:
        return [str(error)]
    return []


def line_faults(jobs: dict[str, dict]) -> list[str]:
    """Lines that `bin/ci` would refuse, and deployments elsewhere than the job says."""
    found = []
    for name, job in jobs.items():
        for step in steps_of(job):
            words = words_of(step["run"], job)
            found += [f"{name}: {step['run']}: {why}" for why in refused(words)]
            if "--environment" in words and words[-1] != name:
                found.append(f"{name}: deploys to {words[-1]}")
            if name in MAIN[1:] and words and not set(OF_MAIN) <= set(words):
                found.append(f"{name}: {step['run']}: not the options of main")
    return found


def change_faults(jobs: dict[str, dict]) -> list[str]:
    """What a change does beside its check and its verdict, and whatever secret it gets."""
    ran = [name for job in CHANGE for name in commands_of(jobs[job])]
    found = [] if ran == ["check", "verdict", "report"] else [f"a change runs {ran}"]
    for name in CHANGE:
        job = jobs[name]
        if environment_of(job) or "secrets" in str(job):
            found.append(f"{name}: a change binds a secret")
    for step in steps_of(jobs["change"]):
        if not {"quick", "--reference"} <= set(words_of(step["run"], jobs["change"])):
            found.append(f"change: {step['run']}: not on the reference")
    return found


def shape_faults(jobs: dict[str, dict]) -> list[str]:
    """Jobs, what they wait for, when they run, where, and what they are allowed."""
    if list(jobs) != list(NEEDS):
        return [f"the jobs are {list(jobs)}, not {list(NEEDS)}"]
    found = []
    for name, job in jobs.items():
        if (needs := job.get("needs", [])) != NEEDS[name]:
            found.append(f"{name}: waits for {needs}, not {NEEDS[name]}")
        if environment_of(job) != PLACES.get(name, ""):
            found.append(f"{name}: its environment is {environment_of(job)!r}")
        if name != "change" and ("allow_failure" in job or "||" in str(steps_of(job))):
            found.append(f"{name}: its failure is allowed")
    return found


def faults(text: str) -> list[str]:
    jobs = jobs_of(text)
    looks = (shape_faults, order_faults, plan_faults, line_faults, change_faults)
    return [fault for look in looks for fault in look(jobs)]


@pytest.mark.parametrize("system", FILES)
def test_the_file_does_what_the_jenkinsfile_does(system):
    assert faults(FILES[system]) == []


def step_faults(jobs: dict[str, dict]) -> list[str]:
    """GitHub's steps that get other secrets than their stage's."""
    found = []
    for name in MAIN:
        job = jobs[name]
        for step in steps_of(job):
            words = words_of(step["run"], job)
            needed = variables_of(command_of(words)) if words else {"DEPLOY_KEY"}
            if words and command_of(words) == "deploy":
                needed -= {"DEPLOY_KEY"}  # by now a file
            if secrets_of(step) != needed:
                found.append(f"{step['run']}: gets {secrets_of(step)}, needs {needed}")
    return found


def test_each_step_on_github_gets_the_secrets_of_its_stage():
    assert step_faults(jobs_of(GITHUB)) == []
    given = "OPTIONS train\n        env: {A: '${{ secrets.A }}'}\n"
    (found,) = step_faults(jobs_of(GITHUB.replace("OPTIONS train\n", given)))
    assert "train: gets {'A'}" in found


def test_each_environment_holds_what_the_stages_of_its_job_need():
    (table,) = [rows for rows in read_tables(PAGE) if rows[0][0] == "`training`"]
    told = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in table}
    assert told["production"] == set()  # "the same names"
    told["production"] = told["staging"]
    for text in FILES.values():
        jobs = jobs_of(text)
        needed = {PLACES[job]: variables_of(*commands_of(jobs[job])) for job in PLACES}
        assert told == needed


def test_a_person_lets_production_out():
    assert jobs_of(GITLAB)["production"]["rules"][0]["when"] == "manual"
    assert "required reviewers" in PAGE  # a setting of GitHub's, in no file


def test_a_newer_push_ends_the_build_of_a_change_and_nothing_of_main():
    github, gitlab = (yaml.safe_load(text) for text in (GITHUB, GITLAB))
    group = "github.event_name == 'pull_request' && github.ref || github.run_id"
    assert group in github["concurrency"]["group"]  # of main: one a run, so none is ended
    assert github["concurrency"]["cancel-in-progress"] is True
    assert gitlab["workflow"]["auto_cancel"] == {"on_new_commit": "interruptible"}
    assert [name for name, job in jobs_of(GITLAB).items() if "interruptible" in job] == ["change"]


@pytest.mark.parametrize(("code", "green"), [(0, True), (11, True), (10, False), (3, False)])
def test_the_end_of_the_shell_line_lets_only_inconclusive_pass(code, green):
    line = f"(exit {code}){UNDECIDED_IS_GREEN}"
    assert (subprocess.run(["bash", "-e", "-c", line], check=False).returncode == 0) is green


def test_a_change_that_cannot_be_decided_is_not_red():
    (verdict,) = [s["run"] for s in steps_of(jobs_of(GITHUB)["change"]) if "verdict" in s["run"]]
    assert verdict.endswith(UNDECIDED_IS_GREEN)
    assert jobs_of(GITLAB)["change"]["allow_failure"] == {"exit_codes": 11}


@pytest.mark.parametrize("system", FILES)
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("bin/ci $CI_OPTIONS train", "bin/ci $CI_OPTIONS tran", "There is no command 'tran'"),
        ("$CI_OPTIONS export", "$CI_OPTIONS render", "main runs"),
        ("--profile quick --reference verdict", "--profile quick verdict", "not on the reference"),
        ("deploy --environment production", "deploy --environment staging", "deploys to staging"),
        ("needs: [model]", "needs: [check]", "package: waits for"),
        ("bin/ci $CI_OPTIONS gate", "bin/ci gate", "not the options of main"),
        ("--set check.advisories=required check", "check", "pull-request: the lines are"),
        ("--profile quick reference", "reference", "main: the lines are"),
        ("bin/ci $CI_OPTIONS image", "bin/ci $CI_OPTIONS image --force", "--force"),
    ],
)
def test_a_changed_line_is_found(system, old, new, told):
    changed = FILES[system].replace(old, new, 1)
    assert changed != FILES[system]
    assert told in "\n".join(faults(changed))


@pytest.mark.parametrize("system", FILES)
@pytest.mark.parametrize("bound", [{"environment": "staging"}, {"secrets": {"A": {}}}])
def test_a_change_that_binds_a_secret_is_found(system, bound):
    jobs = jobs_of(FILES[system])
    jobs["change"] |= bound
    assert "change: a change binds a secret" in change_faults(jobs)
