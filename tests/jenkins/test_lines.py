"""Runs the Jenkinsfile's own `sh` lines, in their order, in a workspace of their own."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ci.config import PROJECT
from tests.jenkins.recording import record, runs
from tests.services import require_service

MAIN = {"BRANCH_NAME": "main"}
# A shop that is prepared, fitted and judged within seconds; everything else is the default.
TINY = """
[simulator]
shoppers = 400
items = 60
events = 20_000
bots = 2
[data]
test_days = 28
[model]
name = "popularity"
history_length = 10
frequent_length = 5
top_k = 12
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A checkout of this repository, as Jenkins makes it, with a tiny shop."""
    checkout = tmp_path_factory.mktemp("jenkins") / "workspace"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).exists():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, checkout / name)
    (checkout / "pipeline.toml").write_text(TINY, encoding="utf-8")
    return checkout


@pytest.fixture(scope="module")
def environments(tmp_path_factory):
    """Environments in which the running one stands for the lock's: nothing to install."""
    base = tmp_path_factory.mktemp("environments")
    digest = hashlib.sha256((PROJECT / "requirements/dev.lock").read_bytes()).hexdigest()
    python = f"py{sys.version_info[0]}{sys.version_info[1]}"
    ready = base / f"dev-{python}-{digest[:12]}"
    ready.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (ready / part).symlink_to(Path(sys.prefix) / part)
    (ready / "complete").touch()
    return base


@pytest.fixture
def stopped(workspace):
    """Afterwards, nothing that was deployed goes on serving."""
    yield
    for record_file in workspace.glob("var/demo/environments/*/record.json"):
        supervisor = json.loads(record_file.read_text("utf-8")).get("supervisor")
        if supervisor:
            with contextlib.suppress(ProcessLookupError):
                os.kill(supervisor["pid"], signal.SIGTERM)


@pytest.mark.usefixtures("stopped")
def test_the_lines_of_main_lead_from_events_to_production(workspace, environments):
    require_service("groovy")
    (tree,) = record(workspace / "Jenkinsfile", [{"env": MAIN, "exit_codes": {}}])
    environment = {
        **os.environ,
        **MAIN,
        "CI_OPTIONS": next(tree.all("CI_OPTIONS")).title,
        "PUSHCART_VENV_DIR": str(environments),
        "PUSHCART_PYTHON": sys.executable,
    }
    # `check` runs this very suite.
    lines = [command.line for command in runs(tree, MAIN) if command.stage != "check"]
    printed = [_run(line, workspace, environment) for line in lines]
    assert [line.split()[2] for line in lines] == [
        "prepare", "train", "export", "evaluate", "gate", "report", "render", "image", "deploy",
        "deploy", "report",
    ]  # fmt: skip
    assert "PROMOTE" in printed[4]
    assert "0 failed requests" in printed[8]
    assert "0 failed requests" in printed[9]
    comment = (workspace / "build/demo/report.md").read_text("utf-8")
    assert comment.startswith("## PROMOTE · demo")
    assert "serves production at http://127.0.0.1:" in comment


def _run(line, workspace, environment):
    """Run a line as Jenkins does, with `sh -xe`; its output, after it ended well."""
    done = subprocess.run(
        ["sh", "-xec", line], cwd=workspace, env=environment, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{line}\n{done.stdout}"
    return done.stdout
