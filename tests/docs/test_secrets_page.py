"""docs/secrets.md tells of every secret, and of each stage that gets one, as the code has them."""

import re

import pytest
import yaml

from ci.config import PROJECT
from ci.pipeline import STAGES
from tests.docs.pages import read_tables

PAGE = (PROJECT / "docs/secrets.md").read_text("utf-8")
JENKINS = (PROJECT / "infra/jenkins/jenkins.yaml").read_text("utf-8")
COMPOSE = (PROJECT / "infra/jenkins/compose.yaml").read_text("utf-8")
ENVIRONMENTS = ("staging", "production")


def defined(jenkins: str) -> list[dict]:
    """What jenkins.yaml says of each credential."""
    domains = yaml.safe_load(jenkins)["credentials"]["system"]["domainCredentials"]
    return [next(iter(one.values())) for domain in domains for one in domain["credentials"]]


def bound() -> dict[str, set[str]]:
    """The stages that bind each credential."""
    stages: dict[str, set[str]] = {}
    for stage in STAGES:
        for environment in ENVIRONMENTS:
            for credential in stage.credentials:
                place = credential.format(environment=environment)
                stages.setdefault(place, set()).add(stage.name)
    return stages


def files_of_credentials(jenkins: str) -> set[str]:
    """Names of the files that become credentials."""
    return set(
        re.findall(r"\$\{(?:readFileBase64:/run/secrets/)?([\w.-]+)\}", str(defined(jenkins)))
    )


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def compare(what: str, told: object, known: object) -> list[str]:
    return [] if told == known else [f"{what}: the page says {told}, the code {known}"]


def differences(page: str, jenkins: str = JENKINS, compose: str = COMPOSE) -> list[str]:
    """Where the page's two tables and the code disagree."""
    credentials, files = read_tables(page)[:2]
    told = {spans(row[0])[0]: row for row in credentials}
    ids = {one["id"] for one in defined(jenkins)}
    found = compare("credentials", sorted(told), sorted(ids | set(bound())))
    for name, row in told.items():
        found += compare(name, sorted(spans(row[2])), sorted(bound().get(name, set())))
    handed = set(yaml.safe_load(compose)["secrets"]) - files_of_credentials(jenkins)
    found += compare(
        "files", sorted(name for row in files for name in spans(row[0])), sorted(handed)
    )
    found += [f"{row[0]}: an empty cell" for row in (*credentials, *files) if "" in row]
    return found


def test_the_page_and_the_code_agree():
    assert differences(PAGE) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("| `git-key` |", "| `git-password` |", "credentials: "),
        ("| `prepare`, `reference` |", "| `prepare` |", "shop-database: "),
        ("| no stage | the jobs", "| `check` | the jobs", "git-key: "),
        ("| `mlflow-session-key` |", "| `mlflow-key` |", "files: "),
        ("`host-key-linux.pub`, ", "", "files: "),
        ("| read the shop's events and catalogue |", "| |", "`shop-database`: an empty cell"),
    ],
)
def test_a_changed_page_is_found(old, new, told):
    assert PAGE.count(old) == 1
    (found,) = differences(PAGE.replace(old, new))
    assert found.startswith(told)


def test_a_credential_that_the_page_does_not_tell_of_is_found():
    more = JENKINS.replace("id: git-key", "id: git-key-2")
    (found,) = differences(PAGE, jenkins=more)
    assert "git-key-2" in found


def test_a_file_that_the_page_does_not_tell_of_is_found():
    (found,) = differences(PAGE, compose=f"{COMPOSE}  salt: {{file: secrets/salt}}\n")
    assert "'salt'" in found
