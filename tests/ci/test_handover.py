"""What one agent made and the next one reads: two workspaces that share an artifact store."""

import shutil

import pytest

from ci import handover, reuse
from ci.config import load_config
from ci.errors import RefusedError, UnavailableError
from ci.pipeline import STAGE
from ci.workspace import Workspace


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A shop whose agents share a store."""
    monkeypatch.setenv("PUSHCART_ARTIFACTS", str(tmp_path / "shared"))
    path = tmp_path / "pipeline.toml"
    path.write_text('[shop]\nname = "one"\n', encoding="utf-8")
    return load_config(path)


@pytest.fixture
def trainer(tmp_path, config):
    """The workspace of the agent that prepared a dataset."""
    workspace = Workspace(tmp_path / "trainer", tmp_path / "trainer/next_item")
    (workspace.path("dataset") / "arrays").mkdir(parents=True)
    (workspace.path("dataset") / "arrays/events.npy").write_bytes(b"events")
    workspace.write_json("data.json", {"users": 3})
    reuse.remember(STAGE["prepare"], {}, workspace, reuse.Result("done", 1.0))
    handover.keep(STAGE["prepare"], config, workspace)
    return workspace


def stashed(workspace: Workspace, root) -> Workspace:
    """The next agent's workspace: the JSON alone came along."""
    for path in workspace.root.rglob("*.json"):
        target = root / path.relative_to(workspace.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    return Workspace(root, root / "next_item")


def test_which_folders_travel_is_told_by_the_table():
    assert handover.CARRIED == {"dataset": "prepare", "bundle": "export", "../manifests": "render"}


def test_the_next_agent_finds_the_dataset_by_its_digest(trainer, config, tmp_path):
    packer = stashed(trainer, tmp_path / "packer")
    assert not packer.path("dataset").exists()
    handover.bring("dataset", config, packer)
    assert (packer.path("dataset") / "arrays/events.npy").read_bytes() == b"events"
    assert reuse.reads_of(STAGE["train"], packer) == reuse.reads_of(STAGE["train"], trainer)


def test_what_is_here_already_stays(trainer, config):
    (trainer.path("dataset") / "arrays/events.npy").write_bytes(b"newer")
    handover.bring("dataset", config, trainer)
    assert (trainer.path("dataset") / "arrays/events.npy").read_bytes() == b"newer"


def test_what_the_store_lost_or_altered_is_not_laid_in(trainer, config, tmp_path):
    packer = stashed(trainer, tmp_path / "packer")
    (stored,) = config.artifacts.iterdir()
    (stored / "arrays/events.npy").write_bytes(b"other")
    with pytest.raises(RefusedError, match="altered in the store"):
        handover.bring("dataset", config, packer)
    shutil.rmtree(stored)
    with pytest.raises(UnavailableError, match="has nothing with digest"):
        handover.bring("dataset", config, packer)


def test_without_a_shared_store_nothing_is_kept_twice(trainer, config, monkeypatch):
    shutil.rmtree(config.artifacts)
    monkeypatch.delenv("PUSHCART_ARTIFACTS")
    handover.keep(STAGE["prepare"], config, trainer)
    assert not config.artifacts.exists()


def test_what_no_one_made_is_left_for_the_stage_to_miss(config, tmp_path):
    empty = Workspace(tmp_path / "empty", tmp_path / "empty/next_item")
    for name in handover.CARRIED:
        handover.bring(name, config, empty)
        assert not empty.path(name).exists()
