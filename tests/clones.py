"""A copy of the project whose locks name a small index's packages: `bin/ci` from nothing."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ci.locks.installing import install_uv
from tests.wheels import Index, build_wheel, lock_line, serving

ROOT = Path(__file__).resolve().parent.parent

# What the small environment's `pytest` tells: where it runs and what it would import.
WITNESS = b"""
import json, os, sys
import colorsys
print(json.dumps({
    "words": sys.argv[1:], "cwd": os.getcwd(), "prefix": sys.prefix, "colorsys": colorsys.__file__,
    "ci": __import__("ci").__file__, "compiles": not sys.dont_write_bytecode,
}))
"""


@dataclass
class Clone:
    """A copy of the project whose locks name the small index's packages."""

    root: Path
    index: Index
    home: Path

    def environment(self, **changes: str) -> dict[str, str]:
        """Return variables in which only the small index can be reached."""
        clean = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        settings = {
            "HOME": str(self.home),
            "UV_CACHE_DIR": str(self.home / "uv-cache"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": self.index.url,
        }
        return {key: value for key, value in {**clean, **settings, **changes}.items() if value}

    def start(self, *words: str, cwd: Path | None = None, **changes: str) -> subprocess.Popen[str]:
        """Start `bin/ci` in a process group of its own."""
        return subprocess.Popen(
            [str(self.root / "bin" / "ci"), *words],
            cwd=cwd or self.home,
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *words: str, cwd: Path | None = None, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `bin/ci`; output and errors come in one stream, as a person sees them."""
        with self.start(*words, cwd=cwd, **changes) as process:
            output, _ = process.communicate(timeout=300)
        return subprocess.CompletedProcess(words, process.returncode, output)

    def environments(self) -> list[str]:
        """Return the names of the environments that are finished, without uv's own."""
        marks = (self.root / ".venv").glob("*/complete")
        return sorted(mark.parent.name for mark in marks if not mark.parent.name.startswith("uv"))


def witnessed(output: str) -> dict[str, Any]:
    """Return what the witness said in the last line."""
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> Path:
    """The index's wheels: the real uv, packed again, and a `pytest` that tells where it runs."""
    folder = tmp_path_factory.mktemp("wheels")
    build_wheel(folder, "uv", "1.0", {"scripts/uv": install_uv().read_bytes()})
    module = {"pytest/__init__.py": b"", "pytest/__main__.py": WITNESS}
    build_wheel(folder, "pytest", "1.0", module)
    build_wheel(folder, "pytest", "2.0", module)
    return folder


@pytest.fixture
def index(wheels):
    with serving(wheels) as running:
        yield running


@pytest.fixture(scope="session")
def made_uv(wheels, tmp_path_factory) -> Path:
    """An environment folder in which `bin/ci` has already put uv (tests that do not watch that)."""
    with serving(wheels) as running:
        clone = _clone(tmp_path_factory.mktemp("first"), running, wheels)
        assert clone.run("test").returncode == 0
        return clone.root / ".venv"


def _clone(folder: Path, index: Index, wheels: Path) -> Clone:
    root, home = folder / "a shop's clone", folder / "home"
    home.mkdir()
    for room in ("bin", "ci"):
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "requirements").mkdir()
    (root / "requirements" / "uv.lock").write_text(lock_line(wheels / "uv-1.0-py3-none-any.whl"))
    for role in ("ci", "dev"):
        line = lock_line(wheels / "pytest-1.0-py3-none-any.whl")
        (root / "requirements" / f"{role}.lock").write_text(line)
    return Clone(root, index, home)


@pytest.fixture
def empty(tmp_path, index, wheels) -> Clone:
    """A fresh clone: no environment, not even uv."""
    return _clone(tmp_path, index, wheels)


@pytest.fixture
def clone(empty, made_uv) -> Clone:
    """A clone that has uv and no environment."""
    for place in made_uv.glob("uv-*"):
        shutil.copytree(
            place, empty.root / ".venv" / place.name, symlinks=True, copy_function=os.link
        )
    return empty
