"""The workspace: whole artifacts or none."""

from pathlib import Path

import pytest

from ci.errors import UsageError
from ci.workspace import Workspace, digest_of, remove


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "build", tmp_path / "build/next_item")


def test_json_comes_back_as_written(workspace):
    workspace.write_json("a.json", {"title": "红茶", "n": 1})
    assert workspace.read_json("a.json", "prepare") == {"title": "红茶", "n": 1}
    assert workspace.path("a.json") == workspace.task / "a.json"
    assert workspace.write_json("../b.json", {}) == workspace.root / "b.json"


def test_not_a_number_is_never_written(workspace):
    with pytest.raises(ValueError, match="not JSON compliant"):
        workspace.write_json("a.json", {"x": float("nan")})
    assert list(workspace.task.iterdir() if workspace.task.exists() else []) == []


def test_a_missing_artifact_names_the_stage_that_makes_it(workspace):
    with pytest.raises(UsageError, match="Run `bin/ci prepare` first"):
        workspace.read_json("data.json", "prepare")


def test_a_folder_that_fails_half_way_leaves_the_old_one(workspace):
    with workspace.new_folder("dataset") as folder:
        (folder / "x").write_text("old")

    def fail() -> None:
        with workspace.new_folder("dataset") as folder:
            (folder / "x").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (workspace.path("dataset") / "x").read_text() == "old"
    assert [path.name for path in workspace.task.iterdir()] == ["dataset"]


def test_a_read_only_folder_can_be_replaced(workspace):
    with workspace.new_folder("bundle") as folder:
        (folder / "1").mkdir()
        (folder / "1/x").write_text("1")
        (folder / "1").chmod(0o555)
    with workspace.new_folder("bundle") as folder:
        (folder / "y").write_text("2")
    assert sorted(p.name for p in workspace.path("bundle").iterdir()) == ["y"]


def test_a_folders_digest_sees_names_and_bytes_not_order_or_time(tmp_path):
    def make(name: str, files: dict[str, str]) -> Path:
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
        return tmp_path / name

    first = digest_of(make("a", {"x": "1", "s/y": "2"}))
    assert digest_of(make("b", {"s/y": "2", "x": "1"})) == first
    assert digest_of(make("c", {"x": "1", "s/z": "2"})) != first
    assert digest_of(make("d", {"x": "1", "s/y": "3"})) != first


def test_removing_nothing_is_fine(tmp_path):
    remove(tmp_path / "nothing")
