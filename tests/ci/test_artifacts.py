"""The artifact store: content by digest, never altered."""

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
