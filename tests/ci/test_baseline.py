"""Where the model to beat is looked for, when agents share the work."""

import pytest

from ci import artifacts, registry
from ci.baseline import find_baseline
from ci.config import load_config
from ci.errors import UsageError
from ci.workspace import digest_of


@pytest.fixture
def shop(tmp_path):
    """Writes the configuration of a shop whose production is a process on another agent."""

    def write(uri: str):
        path = tmp_path / "pipeline.toml"
        path.write_text(
            f'[storage]\nstate = "{tmp_path}/var"\n[registry]\nuri = "{uri}"\n'
            '[gate]\nbaseline_environment = "production"\n',
            encoding="utf-8",
        )
        return load_config(path)

    return write


def test_an_agent_that_is_not_the_host_learns_from_the_registry_what_is_live(shop, tmp_path):
    config = shop(f"sqlite:///{tmp_path}/registry.db")
    made = tmp_path / "bundle"
    made.mkdir()
    (made / "card.json").write_text("{}")
    digest = digest_of(made)
    number = registry.register(config, digest, artifacts.store(config, made, digest), {})
    assert find_baseline(config) is None
    registry.promote(config, "production", number)
    live = find_baseline(config)
    assert live is not None
    assert (live.model_version, live.digest) == (number, digest)
    assert live.path.joinpath("card.json").read_text() == "{}"


def test_agents_that_share_artifacts_but_no_registry_are_told_before_anything_is_judged(
    shop, tmp_path, monkeypatch
):
    monkeypatch.setenv("PUSHCART_ARTIFACTS", str(tmp_path / "shared"))
    with pytest.raises(UsageError, match=r"\[registry\] uri"):
        find_baseline(shop(""))
    monkeypatch.setenv("PUSHCART_STATE", str(tmp_path / "state"))
    assert find_baseline(shop("")) is None
