"""secrets.sh: every secret that compose.yaml hands out, made once, for its owner alone."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from ci.config import PROJECT
from tests.services import NOT_RUN_HERE

SCRIPT = PROJECT / "infra/jenkins/secrets.sh"
COMPOSE = yaml.safe_load((PROJECT / "infra/jenkins/compose.yaml").read_text("utf-8"))
YOURS = {"git-known-hosts", "shop-database", "container-registry", "signing-key"}


def run(folder: Path) -> str:
    done = subprocess.run(
        [SCRIPT, folder], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return done.stdout


@pytest.fixture
def made(tmp_path):
    if os.geteuid() not in (0, 1000):
        pytest.skip(f"{NOT_RUN_HERE} another user (the secrets are user 1000's)")
    folder = tmp_path / "secrets"
    return folder, run(folder)


def test_every_secret_of_the_compose_file_is_made(made):
    folder, _ = made
    files = {Path(one["file"]).name for one in COMPOSE["secrets"].values()}
    assert files <= {path.name for path in folder.iterdir()}
    empty = {path.name for path in folder.iterdir() if not path.stat().st_size}
    assert empty == YOURS


def test_nobody_else_reads_them(made):
    folder, _ = made
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert {path.stat().st_uid for path in folder.iterdir()} == {1000}


def test_no_two_passwords_are_equal_and_none_is_printed(made):
    folder, said = made
    words = [path.read_text() for path in folder.glob("*password*")]
    assert len(words) > 3
    assert len(set(words)) == len(words)
    assert all(len(word) == 48 for word in words)
    assert not [word for word in words if word in said]


def test_what_only_a_person_knows_is_named(made):
    _, said = made
    for name in YOURS:
        assert f"  {name}: " in said.partition("Still empty")[2]


def test_a_second_run_changes_nothing(made):
    folder, _ = made
    (folder / "shop-database").write_text("known by now")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    said = run(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "made" not in said
    assert "  shop-database: " not in said


def test_a_key_that_is_made_anew_has_a_public_half_of_its_own(made):
    folder, _ = made
    old = (folder / "agent-key.pub").read_text()
    (folder / "agent-key").unlink()
    (folder / "mlflow-password").write_text("")  # a run that was cut off
    said = run(folder)
    command = ["ssh-keygen", "-y", "-f", folder / "agent-key"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert (folder / "agent-key.pub").read_text() == shown != old
    assert len((folder / "mlflow-password").read_text()) == 48
    assert re.findall(r"^made +(\S+)", said, re.MULTILINE) == ["mlflow-password", "agent-key"]


def test_another_user_is_told_why_not(tmp_path):
    if os.geteuid() == 1000:
        pytest.skip(f"{NOT_RUN_HERE} this is the user that may")
    other = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
    done = subprocess.run(
        ["sh", "-s", "--", str(tmp_path / "secrets")],
        input=SCRIPT.read_text("utf-8"),  # the other user may not read it where it lies
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        **other,
    )
    assert done.returncode == 2
    assert "run as user 1000" in done.stderr
    assert not (tmp_path / "secrets").exists()


def test_what_the_compose_file_names_is_what_it_hands_out():
    """Each secret of a service is defined, each that is defined is used, none is a literal."""
    used = set()
    for service in COMPOSE["services"].values():
        for one in service.get("secrets", []):
            used.add(one if isinstance(one, str) else one["source"])
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or name.endswith("_FILE"), (name, value)
    assert used == set(COMPOSE["secrets"])


def test_nothing_is_published_beyond_this_machine():
    published = [
        port for service in COMPOSE["services"].values() for port in service.get("ports", [])
    ]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_only_the_engine_of_images_is_privileged():
    services = COMPOSE["services"]
    assert [name for name, one in services.items() if one.get("privileged")] == ["engine"]
    for name, one in services.items():
        if name != "engine":
            assert one["cap_drop"] == ["ALL"], name
            assert one["read_only"] is True, name
