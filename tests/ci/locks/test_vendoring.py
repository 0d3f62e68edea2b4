"""`bin/ci vendor` and `--offline`: from an empty state, in a namespace that has only loopback."""

import shutil
import subprocess

from tests.clones import Clone, witnessed
from tests.services import cut_off
from tests.wheels import lock_line


def _offline(clone: Clone, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `bin/ci` where no network exists but loopback, and the index does not answer there."""
    return subprocess.run(
        cut_off([str(clone.root / "bin" / "ci"), *words]),
        cwd=clone.home,
        env=clone.environment(UV_CACHE_DIR=str(clone.home / "another cache")),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def test_a_vendored_folder_is_enough_without_network_from_an_empty_state(empty, tmp_path):
    done = empty.run("vendor", "the stick", "--role", "dev")
    assert done.returncode == 0, done.stdout
    assert "2 wheels" in done.stdout
    shutil.rmtree(empty.root / ".venv")
    assert _offline(empty, "test").returncode == 4
    built = _offline(empty, "--offline", "the stick", "test")
    assert built.returncode == 0, built.stdout
    assert witnessed(built.stdout)["cwd"] == str(empty.home)
    assert len(empty.environments()) == 1


def test_an_incomplete_folder_is_told_to_the_last_wheel_before_anything_is_made(clone):
    assert clone.run("vendor", "stick", "--role", "dev").returncode == 0
    (machine,) = [place for place in (clone.home / "stick").iterdir() if place.is_dir()]
    (machine / "pytest-1.0-py3-none-any.whl").unlink()
    done = _offline(clone, "--offline=stick", "test")
    assert done.returncode == 4
    assert f"missing: {machine.name}/pytest-1.0-py3-none-any.whl" in done.stdout
    assert "bin/ci vendor DIR --role dev" in done.stdout
    assert not list((clone.root / ".venv").glob("dev-*/"))


def test_a_folder_for_another_lock_role_or_machine_is_refused_with_the_reason(clone, wheels):
    assert clone.run("vendor", "stick", "--role", "dev").returncode == 0
    dev = clone.root / "requirements" / "dev.lock"
    role = _offline(clone, "--offline", "stick", "run")
    assert role.returncode == 4
    assert "collected without the role ci" in role.stdout
    dev.write_text(lock_line(wheels / "pytest-2.0-py3-none-any.whl"))
    lock = _offline(clone, "--offline", "stick", "test")
    assert lock.returncode == 4
    assert "another requirements/dev.lock" in lock.stdout
    (machine,) = [place for place in (clone.home / "stick").iterdir() if place.is_dir()]
    machine.rename(machine.with_name("macos-arm64-py3.13"))
    other = _offline(clone, "--offline", "stick", "test")
    assert other.returncode == 4
    assert f"it is for macos-arm64-py3.13; this machine is {machine.name}" in other.stdout
    nothing = _offline(clone, "--offline", ".", "test")
    assert nothing.returncode == 2
    assert "nothing vendored is there" in nothing.stdout
