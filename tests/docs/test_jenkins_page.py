"""docs/jenkins.md says of the pipeline and its controller what their files say."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.config import PROJECT, load_config

PAGE = (PROJECT / "docs/jenkins.md").read_text("utf-8")
JENKINS = yaml.safe_load((PROJECT / "infra/jenkins/jenkins.yaml").read_text("utf-8"))
COMPOSE = yaml.safe_load((PROJECT / "infra/jenkins/compose.yaml").read_text("utf-8"))
PLAN = Path(__file__).parent.parent / "ci/jenkins/plans/pull-request.txt"


def blocks(page: str, language: str) -> list[str]:
    """Content of the page's code blocks of a language, without the indent of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", content, flags=re.MULTILINE) for indent, content in found]


def item(page: str, start: str) -> set[str]:
    """Inline code of the list item that begins so, up to the end of its first sentence."""
    (text,) = re.findall(rf"^\d\. {re.escape(start)}(.*?)[;.]\s", page, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`]+)`", text))


def configured(jenkins: dict[str, Any]) -> dict[str, set[str]]:
    """Labels and locks of the controller as code."""
    nodes = [node["permanent"]["labelString"] for node in jenkins["jenkins"]["nodes"]]
    resources = jenkins["unclassified"]["lockableResourcesManager"]["declaredResources"]
    return {"labels": set(nodes), "locks": {resource["name"] for resource in resources}}


def differences(page: str) -> list[str]:
    """Where the page and the files disagree."""
    shown = blocks(page, "console")[0].partition("\n")[2]
    known = configured(JENKINS)
    told = {
        "labels": item(page, "*Manage Jenkins → Nodes*"),
        "locks": item(page, "*Manage Jenkins → System → Lockable Resources*"),
    }
    found = [] if shown == PLAN.read_text("utf-8") else ["show: not what the command prints"]
    found += [
        f"{name}: {told[name]}, not {known[name]}" for name in told if told[name] != known[name]
    ]
    (settings,) = (toml for toml in blocks(page, "toml") if "[registry]" in toml)
    return found + lost(settings)


def lost(settings: str) -> list[str]:
    """Whether the agent that checks keeps the folder of advisories when it is made anew."""
    (folder,) = re.findall(r'advisories_dir = "(.+?)"', settings)
    volumes = [volume.split(":")[1] for volume in COMPOSE["services"]["agent-linux"]["volumes"]]
    kept = any(Path(folder).is_relative_to(volume) for volume in volumes)
    return [] if kept else [f"advisories: {folder} lies on no volume of agent-linux: {volumes}"]


def test_the_page_and_the_files_agree():
    assert differences(PAGE) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("bin/ci $CI_OPTIONS verdict", "bin/ci $CI_OPTIONS gate", "show: "),
        ("labels `linux`, `gpu`", "labels `linux`, `cuda`", "labels: "),
        ("`pushcart-gpu`, ", "", "locks: "),
        ('"/home/jenkins/advisories"', '"/srv/advisories"', "advisories: "),
    ],
)
def test_a_changed_page_is_found(old, new, told):
    assert PAGE.count(old) == 1
    (found,) = differences(PAGE.replace(old, new))
    assert found.startswith(told)


def test_the_shown_settings_are_valid_and_name_what_the_jenkinsfile_binds(tmp_path):
    (settings,) = (toml for toml in blocks(PAGE, "toml") if "[registry]" in toml)
    (tmp_path / "pipeline.toml").write_text(settings, "utf-8")
    config = load_config(tmp_path / "pipeline.toml")
    assert config.registry.uri == "http://mlflow:5000"
    bound = (PROJECT / "Jenkinsfile").read_text("utf-8")
    for name in (config.registry.username_env, config.registry.password_env):
        assert name
        assert f"Variable: '{name}'" in bound


def test_the_commands_name_services_and_profiles_that_exist():
    lines = re.findall(r"^ *\$ docker compose (.+)", PAGE, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        words = line.split()
        assert (PROJECT / words[1]).samefile(PROJECT / "infra/jenkins/compose.yaml")
        assert set(re.findall(r"(agent-\w+)", line)) <= set(COMPOSE["services"])
    (profile,) = re.findall(r"--profile (\w+)", " ".join(lines))
    profiles = {name for one in COMPOSE["services"].values() for name in one.get("profiles", [])}
    assert profile in profiles
