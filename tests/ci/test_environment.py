"""`bin/ci` from an empty state: real pip and uv against a small index, in a copy of the project."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ci import environment
from ci.errors import UsageError
from tests.clones import witnessed
from tests.wheels import lock_line


def test_the_first_command_makes_the_environment_and_the_second_uses_it_silently(empty):
    # uv itself comes from this index too, although pip is told nothing of it.
    settings = {"PIP_INDEX_URL": "", "UV_DEFAULT_INDEX": empty.index.url}
    first = empty.run("test", "-k", "a b", **settings)
    assert first.returncode == 0, first.stdout
    assert "Making the environment `dev`, once:" in first.stdout
    assert "ready after" in first.stdout
    second = empty.run("test", "-k", "a b")
    assert len(second.stdout.splitlines()) == 1
    assert witnessed(second.stdout)["prefix"] == witnessed(first.stdout)["prefix"]
    assert witnessed(second.stdout)["words"][-3:-1] == ["-k", "a b"]
    assert len(empty.environments()) == 1


def test_the_callers_folder_stays_and_cannot_shadow_modules(clone):
    (clone.home / "colorsys.py").write_text("raise RuntimeError('the caller shadows the library')")
    (clone.home / "ci.py").write_text("raise RuntimeError('the caller shadows the project')")
    link = clone.home / "link"
    link.symlink_to(os.path.relpath(clone.root / "bin" / "ci", clone.home))
    done = subprocess.run(
        [str(link), "test"],
        cwd=clone.home,
        env=clone.environment(PYTHONPATH=str(clone.home), PYTHONDONTWRITEBYTECODE="1"),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = witnessed(done.stdout)
    assert said["cwd"] == str(clone.home)
    assert said["compiles"]
    assert said["ci"] == str(clone.root / "ci" / "__init__.py")
    assert Path(said["prefix"]).parent == clone.root / ".venv"


def test_from_the_root_folder_and_with_the_environment_elsewhere(clone, tmp_path):
    elsewhere = tmp_path / "other disk"
    shutil.copytree(clone.root / ".venv", elsewhere, symlinks=True)
    done = clone.run("test", cwd=Path("/"), PUSHCART_VENV_DIR=str(elsewhere))
    assert done.returncode == 0, done.stdout
    assert witnessed(done.stdout)["cwd"] == "/"
    assert Path(witnessed(done.stdout)["prefix"]).parent == elsewhere


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--help"], 0, "stages"),
        (["run", "--help"], 0, "prepare"),
        (["--version"], 0, "pushcart 0."),
        (["trian"], 2, "Did you mean `bin/ci train`?"),
        (["run", "--nope"], 2, "--nope"),
        (["--set", "nothing", "run"], 2, "--set nothing"),
    ],
)
def test_help_and_mistakes_need_no_environment(empty, words, code, says):
    done = empty.run(*words)
    assert done.returncode == code, done.stdout
    assert says in done.stdout
    assert "Traceback" not in done.stdout
    assert not (empty.root / ".venv").exists()


def test_a_changed_lock_gets_its_own_environment(clone, wheels):
    assert clone.run("test").returncode == 0
    newer = lock_line(wheels / "pytest-2.0-py3-none-any.whl")
    (clone.root / "requirements" / "dev.lock").write_text(newer)
    again = clone.run("test")
    assert "Making the environment" in again.stdout
    assert len(clone.environments()) == 2
    site = Path(witnessed(again.stdout)["prefix"])
    assert list(site.glob("lib/python3.*/site-packages/pytest-2.0.dist-info"))


def test_a_package_whose_hash_differs_is_refused_and_leaves_no_environment(clone, wheels):
    lock = clone.root / "requirements" / "dev.lock"
    lock.write_text(lock_line(wheels / "uv-1.0-py3-none-any.whl").replace("uv==", "pytest=="))
    done = clone.run("test")
    assert done.returncode == 4, done.stdout
    assert "Could not install requirements/dev.lock" in done.stdout
    assert "hash" in done.stdout.lower()
    assert clone.environments() == []


def test_a_requirement_without_hash_is_refused(clone):
    (clone.root / "requirements" / "dev.lock").write_text("pytest==1.0\n")
    assert clone.run("test").returncode == 4
    assert clone.environments() == []


def test_an_environment_that_was_cut_short_is_made_anew(clone):
    clone.index.gate.clear()
    with clone.start("test") as process:
        assert clone.index.reached.wait(60)
        os.killpg(process.pid, signal.SIGKILL)
    assert clone.environments() == []
    halves = [place for place in (clone.root / ".venv").glob("dev-*") if place.is_dir()]
    assert len(halves) == 1
    (halves[0] / "rubbish").touch()
    clone.index.gate.set()
    done = clone.run("test")
    assert done.returncode == 0, done.stdout
    assert "Making the environment" in done.stdout
    assert not (halves[0] / "rubbish").exists()


def test_two_runs_at_once_make_one_environment(clone):
    clone.index.gate.clear()
    with clone.start("test") as first:
        assert clone.index.reached.wait(60)
        with clone.start("test") as second:
            assert second.stdout is not None
            waiting = second.stdout.readline()
            clone.index.gate.set()
            rest, _ = second.communicate(timeout=120)
        said, _ = first.communicate(timeout=120)
    assert "Another run is making this environment" in waiting
    assert (first.returncode, second.returncode) == (0, 0), said + rest
    assert "Making the environment" in said
    assert "Making the environment" not in rest
    assert witnessed(said)["prefix"] == witnessed(rest)["prefix"]


def test_an_index_with_a_password_from_pips_or_uvs_settings(clone):
    clone.index.user = "reader:s3cret"
    conf = clone.home / "pip.conf"
    conf.write_text(f"[global]\nindex-url = {clone.index.url}\n")
    for settings in (
        {"PIP_INDEX_URL": clone.index.url},
        {"PIP_INDEX_URL": "", "UV_DEFAULT_INDEX": clone.index.url},
        {"PIP_INDEX_URL": "", "PIP_CONFIG_FILE": str(conf)},
    ):
        shutil.rmtree(clone.home / "uv-cache", ignore_errors=True)
        for place in (clone.root / ".venv").glob("*dev-*"):
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        done = clone.run("test", **settings)
        assert done.returncode == 0, done.stdout
        assert "s3cret" not in done.stdout


def test_an_index_that_does_not_answer_is_exit_4_with_the_way_out(clone):
    done = clone.run("test", PIP_INDEX_URL="http://127.0.0.1:9/simple", UV_HTTP_RETRIES="0")
    assert done.returncode == 4, done.stdout
    assert "PIP_INDEX_URL" in done.stdout
    assert "bin/ci vendor DIR" in done.stdout
    assert "Traceback" not in done.stdout


def test_an_unknown_role_is_named_with_those_there_are(clone):
    done = clone.run("run", PUSHCART_ROLE="gpuu")
    assert done.returncode == 2
    assert "'gpuu'; there are ci, dev, uv" in done.stdout


def _tools(folder: Path) -> Path:
    """A PATH with what a shell script needs and no Python."""
    folder.mkdir()
    for tool in ("sh", "dirname", "readlink", "pwd"):
        (folder / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    return folder


def test_a_machine_whose_python_is_too_old_gets_the_command_that_helps(empty, tmp_path):
    tools = _tools(tmp_path / "tools")
    old = tools / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = empty.run("run", PATH=str(tools))
    assert done.returncode == 2
    assert "there is: Python 3.9.2" in done.stdout
    assert "apt-get install python3 python3-venv" in done.stdout


def test_a_python_without_venv_gets_the_command_that_helps(empty, tmp_path):
    """A real Python whose standard library lacks ensurepip, as Debian's does."""
    real = Path(os.path.realpath(sys.executable))
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    poor = tmp_path / "poor"
    library = poor / "lib" / name
    library.mkdir(parents=True)
    (poor / "bin").mkdir()
    shutil.copy(real, poor / "bin" / name)
    for entry in Path(os.__file__).parent.iterdir():
        if entry.name not in {"ensurepip", "site-packages", "dist-packages"}:
            (library / entry.name).symlink_to(entry)
    done = empty.run("test", PUSHCART_PYTHON=str(poor / "bin" / name))
    assert done.returncode == 2, done.stdout
    assert "cannot make a virtual environment" in done.stdout
    assert "apt-get install python3-venv" in done.stdout


@pytest.mark.parametrize(
    ("words", "role"),
    [
        ([], None),
        (["--help"], None),
        (["train", "-h"], None),
        (["vendor", "DIR"], None),
        (["--offline", "run", "vendor", "DIR"], None),
        (["run"], "ci"),
        (["--config", "test", "run"], "ci"),
        (["--offline=x", "--set", "a.b=test", "status"], "ci"),
        (["test", "tests/model", "-x"], "dev"),
        (["--profile", "quick", "check"], "dev"),
        (["notebook", "--run"], "dev"),
    ],
)
def test_the_role_of_a_command_line(monkeypatch, words, role):
    monkeypatch.delenv("PUSHCART_ROLE", raising=False)
    assert environment.role_of(words) == role


def test_a_role_from_outside_is_for_the_pipeline_not_for_its_tests(monkeypatch):
    monkeypatch.setenv("PUSHCART_ROLE", "gpu")
    assert environment.role_of(["train"]) == "gpu"
    assert environment.role_of(["test"]) == "dev"


def test_an_environment_of_somebody_else_is_named_with_the_way_out(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    user = os.geteuid()
    if user == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)  # root may read everything
    try:
        with pytest.raises(UsageError, match=r"cannot be used by you: .*Set PUSHCART_VENV_DIR"):
            environment.is_ready(closed / "ci-py311-0")
    finally:
        os.seteuid(user)
