"""The Jenkinsfile at work: `bin/ci jenkins rehearse` in a shop's own repository with a database.

One story in its order: main releases, the database goes down, a pull request is judged even so.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.config import PROJECT
from ci.environment import folder_of
from ci.jenkins.workspaces import check_out
from serving.host import record
from tests.rollout_shop import unused_port
from tests.services import postgresql_server, require_service

# Prepared, fitted and judged within seconds; everything else is the default.
TINY = """
[shop]
name = "one"
[simulator]
shoppers = 400
items = 60
events = 20_000
bots = 2
[data]
source = "{url}"
catalogue = "{url}"
password_env = "SHOP_DB_PASSWORD"
test_days = 28
[reference]
shoppers = 300
[model]
name = "repeat"
history_length = 10
frequent_length = 5
top_k = 12
[gate]
min_users = 50
min_slice_users = 100
margin = 0.1
[serving]
engine = "litert"
clock = "as_of"
[environments.local]
[environments.staging]
port = {staging}
[environments.production]
port = {production}
"""


@dataclass(frozen=True)
class Repository:
    """A shop's repository, in which a person rehearses."""

    root: Path
    venvs: Path

    def ci(self, *words: str, expect: int = 0, **secrets: str) -> str:
        """Run `bin/ci` with nothing of this process's surroundings but what it needs to start."""
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.root.parent)}
        done = subprocess.run(
            [self.root / "bin/ci", *words],
            cwd=self.root,
            env={
                **clean,
                "PUSHCART_VENV_DIR": str(self.venvs),
                "PUSHCART_PYTHON": sys.executable,
                **secrets,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == expect, done.stdout
        return done.stdout

    def rehearse(self, scenario: str, expect: int = 0, **secrets: str) -> str:
        words = ("--scenario", scenario, "--without", "Check", "--yes")
        return self.ci("jenkins", "rehearse", *words, expect=expect, **secrets)

    @property
    def desk(self) -> Path:
        return self.root / "build/jenkins"

    def live(self, environment: str) -> int:
        """The release that an environment's record calls live."""
        known = record.load(self.desk / "state/one/environments" / environment)
        return known.live_colour.model_version


@pytest.fixture(scope="module")
def venvs(tmp_path_factory) -> Path:
    """Environments in which the running one stands for the lock's: nothing to install."""
    base = tmp_path_factory.mktemp("environments")
    ready = base / folder_of("dev").name
    ready.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (ready / part).symlink_to(Path(sys.prefix) / part)
    (ready / "complete").touch()
    return base


@pytest.fixture(scope="module")
def story(tmp_path_factory, venvs) -> Iterator[tuple[Repository, dict[str, str]]]:
    """A repository, its main rehearsed with a database that is down since; what was said."""
    for name in ("groovy", "postgresql"):
        require_service(name)
    root = tmp_path_factory.mktemp("shop") / "one"
    check_out(PROJECT, root)
    repository, said = Repository(root, venvs), {}
    try:
        with postgresql_server() as server:
            password = {"SHOP_DB_PASSWORD": server.password}
            ports = {"staging": unused_port(), "production": unused_port()}
            (root / "pipeline.toml").write_text(TINY.format(url=server.url, **ports), "utf-8")
            repository.ci("simulate", "--to", server.url, **password)
            said["main"] = repository.rehearse("main", **password)
            said["password"] = server.password
        said["pull-request"] = repository.rehearse("pull-request")
        yield repository, said
    finally:
        _end(repository)


def _end(repository: Repository) -> None:
    """Nothing that was deployed goes on serving."""
    for home in repository.desk.glob("state/one/environments/*"):
        known = record.load(home)
        if known and known.supervisor:
            with contextlib.suppress(ProcessLookupError):
                os.kill(known.supervisor.pid, signal.SIGTERM)


def test_main_leads_from_the_database_to_production_over_empty_workspaces(story):
    repository, said = story
    assert "SUCCESS  PROMOTE: " in said["main"]
    for environment in ("staging", "production"):
        assert repository.live(environment) == 1
    assert said["main"].count("0 failed requests") == 2
    for agent in ("gpu", "docker", "deploy"):
        assert f"agent {agent}, workspace" in said["main"]


def test_only_json_and_reports_travel_with_the_build(story):
    repository, _ = story
    stashed = [path for path in repository.desk.glob("stashes/**/*") if path.is_file()]
    assert stashed
    assert {path.suffix for path in stashed} <= {".json", ".md"}


def test_the_build_page_has_report_and_figures(story):
    repository, _ = story
    archive = repository.desk / "archive/build/one"
    assert (archive / "report.html").exists()
    assert (archive / "report.md").read_text("utf-8").startswith("## PROMOTE · one")


def test_a_pull_request_reaches_a_verdict_with_the_database_down_and_nothing_bound(story):
    _, said = story
    assert "PROMOTE: " in said["pull-request"]
    assert "SUCCESS" in said["pull-request"]
    assert "train     reused" in said["pull-request"]
    assert "not set here, so not bound" not in said["pull-request"]
    assert "Package" in said["pull-request"]
    assert "▶ Package" not in said["pull-request"]


def test_a_worse_change_is_unstable_with_the_reason_as_its_description(story):
    repository, _ = story
    settings = repository.root / "pipeline.toml"
    before = settings.read_text("utf-8")
    settings.write_text(before.replace('name = "repeat"', 'name = "popularity"'), "utf-8")
    try:
        said = repository.rehearse("pull-request", expect=10)
    finally:
        settings.write_text(before, "utf-8")
    assert "UNSTABLE: HOLD: " in said
    assert said.splitlines()[-1].startswith("UNSTABLE  HOLD: ")


def test_the_password_stands_in_nothing_that_was_said_or_kept(story):
    repository, said = story
    password = said["password"]
    assert len(password) > 8
    assert password not in said["main"] + said["pull-request"]
    for path in repository.desk.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert password.encode() not in path.read_bytes(), path
