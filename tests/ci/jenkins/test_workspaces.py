"""Checkouts and the files that travel between them."""

import subprocess

import pytest

from ci.errors import UsageError
from ci.jenkins.workspaces import carry, check_out, matching


@pytest.fixture
def repository(tmp_path):
    """A repository with a commit, a staged change, an unstaged one, a new file and a lost one."""
    root = tmp_path / "shop"
    root.mkdir()

    def git(*words):
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@shop.example"]
        subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)

    git("init", "--quiet")
    for name in ("kept", "staged", "changed", "lost"):
        (root / name).write_text("committed")
    (root / ".gitignore").write_text("/build/\n")
    git("add", "--all")
    git("commit", "--quiet", "--message", "one")
    (root / "staged").write_text("new")
    git("add", "staged")
    (root / "changed").write_text("new")
    (root / "added").write_text("new")
    (root / "lost").unlink()
    (root / "build").mkdir()
    (root / "build/output").write_text("made here")
    return root


def test_a_checkout_is_the_commit_with_what_is_not_committed_yet(repository, tmp_path):
    check_out(repository, tmp_path / "ws")
    found = {path.name: path.read_text() for path in (tmp_path / "ws").iterdir() if path.is_file()}
    assert found == {
        ".gitignore": "/build/\n", "kept": "committed", "staged": "new", "changed": "new",
        "added": "new",
    }  # fmt: skip
    assert not (tmp_path / "ws/build").exists()


def test_what_is_no_repository_is_told(tmp_path):
    with pytest.raises(UsageError, match="checks its workspace out from git"):
        check_out(tmp_path, tmp_path / "ws")


def test_files_match_as_ants_patterns_do(tmp_path):
    for name in ("build/one/a.json", "build/one/x/b.json", "build/one/x/.stages/c.json", "d.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")

    def found(patterns):
        return sorted(path.name for path in matching(tmp_path, patterns))

    assert found("build/*/*.json") == ["a.json"]
    assert found("build/*/*.json, build/*/*/*.json") == ["a.json", "b.json"]
    assert found("build/*/*/.stages/*.json") == ["c.json"]
    assert found("build/**") == ["a.json", "b.json", "c.json"]
    assert found("**/*.json") == ["a.json", "b.json", "c.json", "d.json"]


def test_files_keep_their_paths(tmp_path):
    (tmp_path / "ws/build/one").mkdir(parents=True)
    (tmp_path / "ws/build/one/a.json").write_text("{}")
    assert carry(tmp_path / "ws", "build/*/*.json, build/one/*", tmp_path / "stash") == 1
    assert (tmp_path / "stash/build/one/a.json").read_text() == "{}"
