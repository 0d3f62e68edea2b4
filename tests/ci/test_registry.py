"""The registry on its real embedded store: numbers, aliases, the ledger."""

import pytest

from ci import registry
from ci.config import load_config
from ci.errors import UnavailableError, UsageError


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    path = folder / "pipeline.toml"
    path.write_text(f'[shop]\nname = "tea"\n[storage]\nstate = "{folder}/var"\n')
    return load_config(path)


@pytest.fixture(scope="module")
def numbers(config):
    """Two bundles registered, the first of them twice."""
    assert registry.is_empty(config)
    assert registry.live_version(config, "local") is None
    training = {"model": "linear", "settings": {"seed": 7}, "validation": {"ndcg_at_10": 0.25}}
    return [
        registry.register(config, f"sha256:{name}", config.state / name, training)
        for name in ("a", "b", "a")
    ]


def test_a_digest_keeps_its_number(config, numbers):
    assert numbers == [1, 2, 1]
    assert not registry.is_empty(config)


def test_promote_moves_one_environment_only_and_is_idempotent(config, numbers):
    for version in (1, 2, 2):
        registry.promote(config, "local", version)
    assert registry.live_version(config, "local") == registry.Version(2, "sha256:b")
    assert registry.live_version(config, "production") is None
    with registry._client(config) as client:
        found = client.get_registered_model("tea-next_item").aliases
    aliases = {name: int(version) for name, version in found.items()}
    assert aliases == {"live-local": 2, "previous-local": 1}


def test_the_ledger_takes_an_entry_once(config, numbers):
    entry = {"id": "x1", "who": "jenkins", "verdict": "PROMOTE", "seconds": 4.5}
    registry.ship(config, [entry])
    registry.ship(config, [entry])
    with registry._client(config) as client:
        experiment = client.get_experiment_by_name("tea-next_item-ledger")
        runs = client.search_runs([experiment.experiment_id])
    assert [run.data.tags["who"] for run in runs] == ["jenkins"]


def test_a_server_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    path = tmp_path / "pipeline.toml"
    path.write_text('[registry]\nuri = "http://127.0.0.1:9"\n')
    with pytest.raises(UnavailableError, match=r"http://127\.0\.0\.1:9 does not answer"):
        registry.promote(load_config(path), "local", 1)


def test_a_login_that_is_not_set_is_usage(tmp_path):
    path = tmp_path / "pipeline.toml"
    path.write_text('[registry]\nuri = "http://127.0.0.1:9"\npassword_env = "NO_SUCH"\n')
    with pytest.raises(UsageError, match="NO_SUCH"):
        registry.promote(load_config(path), "local", 1)
