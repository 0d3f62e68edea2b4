"""The artifact store: content by digest, never altered."""

import contextlib
import os
import time
from pathlib import Path

import pytest

from ci import artifacts
from ci.config import load_config
from ci.errors import RefusedError, UnavailableError
from ci.workspace import digest_of


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "pipeline.toml"
    path.write_text(f'[storage]\nstate = "{tmp_path}/var"\n')
    return load_config(path)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "bundle"
    (made / "variables").mkdir(parents=True)
    (made / "variables/data").write_bytes(b"weights")
    (made / "card.json").write_text("{}")
    return made


def test_what_is_stored_comes_back(config, folder):
    digest = digest_of(folder)
    stored = artifacts.store(config, folder, digest)
    assert artifacts.store(config, folder, digest) == stored
    assert (artifacts.fetch(config, digest) / "variables/data").read_bytes() == b"weights"


def test_a_folder_altered_after_it_was_made_is_refused(config, folder):
    digest = digest_of(folder)
    (folder / "card.json").write_text("{ }")
    with pytest.raises(RefusedError, match="altered after it was made"):
        artifacts.store(config, folder, digest)


def test_an_altered_store_is_refused(config, folder):
    digest = digest_of(folder)
    stored = artifacts.store(config, folder, digest)
    (stored / "card.json").write_text("{ }")
    with pytest.raises(RefusedError, match="altered in the store"):
        artifacts.fetch(config, digest)


def test_what_was_never_stored_is_unavailable(config):
    with pytest.raises(UnavailableError, match="nothing with digest sha256:0"):
        artifacts.fetch(config, "sha256:0")


def test_agents_that_share_a_store_find_what_another_one_kept(
    config, folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("PUSHCART_ARTIFACTS", str(tmp_path / "shared"))
    digest = digest_of(folder)
    stored = artifacts.store(config, folder, digest)
    assert stored.is_relative_to(tmp_path / "shared/demo")
    assert artifacts.has(config, digest)


def lost_training(config, key: str) -> Path:
    """The folder of a training whose agent went away in the middle."""
    with contextlib.suppress(ConnectionError), artifacts.checkpoints(config, key) as folder:
        (folder / "dnn.npz").write_bytes(b"half")
        raise ConnectionError("the agent is gone")
    return folder


def test_checkpoints_stay_when_a_training_is_lost_and_go_when_one_ends_well(config):
    folder = lost_training(config, "one")
    with artifacts.checkpoints(config, "other") as other:
        (other / "dnn.npz").write_bytes(b"other")
    assert not other.exists()
    with artifacts.checkpoints(config, "one") as again:
        assert (again / "dnn.npz").read_bytes() == b"half"
    assert not folder.exists()


def test_checkpoints_that_nobody_came_back_to_go_too(config):
    lost = lost_training(config, "lost")
    long_ago = time.time() - artifacts.ABANDONED_SECONDS - 60
    for path in (lost / "dnn.npz", lost):
        os.utime(path, (long_ago, long_ago))
    with artifacts.checkpoints(config, "next"):
        pass
    assert not lost.exists()
