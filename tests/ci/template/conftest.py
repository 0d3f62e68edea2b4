"""The template as a git repository, and `bin/ci` in it with nothing but git and Python."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.checking.check import listed
from ci.config import PROJECT

IDENTITY = "[user]\n\tname = Ada\n\temail = ada@shop.example\n"


@dataclass(frozen=True)
class Place:
    """Folders of one test, and a person who works in them."""

    folder: Path

    @property
    def template(self) -> Path:
        return self.folder / "pushcart"

    def environment(self, **changes: str) -> dict[str, str]:
        """Neither this machine's git settings nor any environment of packages."""
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home")}
        return {**clean, "GIT_CONFIG_NOSYSTEM": "1", **changes}

    def ci(
        self, root: Path, *words: str, expect: int = 0, front: tuple[str, ...] = (), **changes: str
    ) -> str:
        """Run `bin/ci` of a clone; what it prints, after it ended as expected."""
        done = subprocess.run(
            [*front, str(root / "bin/ci"), *words],
            cwd=self.folder,
            env=self.environment(**changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == expect, done.stdout
        assert "Traceback" not in done.stdout
        return done.stdout

    def git(self, root: Path, *words: str, expect: int = 0) -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == expect, done.stdout
        return done.stdout.strip()

    def commit(self, root: Path, **files: str) -> str:
        """Write files by name (`a__b` is a/b, `x_md` is x.md) and commit them."""
        for name, content in files.items():
            (root / path_of(name)).write_text(content)
        self.git(root, "add", "--all")
        self.git(root, "commit", "--quiet", "--message=Change")
        return self.git(root, "rev-parse", "HEAD")

    def shop(self) -> Path:
        """A shop made of the template."""
        self.ci(self.template, "new", "shop")
        return self.folder / "shop"

    def monorepo(self) -> Path:
        """A larger repository with a commit."""
        root = self.folder / "company"
        root.mkdir()
        self.git(root, "init", "--quiet", "--initial-branch=trunk")
        self.commit(root, README_md="# Company\n")
        return root


def path_of(name: str) -> str:
    return name.replace("__", "/").replace("_md", ".md").replace("_toml", ".toml")


@pytest.fixture(scope="session")
def shipped(tmp_path_factory) -> Path:
    """This project as the template's first commit."""
    place = Place(tmp_path_factory.mktemp("template"))
    (place.folder / "home").mkdir()
    (place.folder / "home/.gitconfig").write_text(IDENTITY)
    for path in listed(PROJECT):
        copy = place.template / path.relative_to(PROJECT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    place.git(place.template, "init", "--quiet", "--initial-branch=main")
    place.commit(place.template)
    return place.template


@pytest.fixture
def place(shipped, tmp_path):
    """A fresh clone of the template, in a home where git knows who commits."""
    place = Place(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text(IDENTITY)
    place.git(tmp_path, "clone", "--quiet", str(shipped), "pushcart")
    place.git(place.template, "remote", "remove", "origin")
    return place
