"""`pipeline.toml` tells the truth: each default is shown, and each shown value is the default."""

import tomllib

import pytest

from ci.config import PROJECT, load_config
from ci.errors import UsageError
from ci.settings import EnvironmentSettings, Settings
from tests.services import NOT_RUN_HERE

# A shop that was made of the template writes its own values into it.
ITS_OWN = load_config(PROJECT / "pipeline.toml").shop != Settings().shop
shipped = pytest.mark.skipif(ITS_OWN, reason=f"{NOT_RUN_HERE} pipeline.toml is a shop's own")


def shown(section: dict, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in section.items():
        nested = isinstance(value, dict) and prefix in {"", "environments."}
        flat |= shown(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat


@shipped
def test_the_shipped_file_shows_every_key_with_its_default():
    written = shown(tomllib.loads((PROJECT / "pipeline.toml").read_text("utf-8")))
    defaults = shown(Settings().model_dump(mode="json"))
    for key in ("data.features", "model.cpu_seconds"):
        del defaults[key]  # depends on the model or the profile: shown as a comment
    for key in ("notify.webhooks", "notify.mails"):
        assert defaults.pop(key) == {}  # an example of each is shown as a comment
    for key in [key for key in defaults if key.startswith("environments.") and key not in written]:
        del defaults[key]  # `local` shows what an environment can have; the others what differs
    assert {f"environments.local.{key}" for key in EnvironmentSettings.model_fields} <= {*written}
    assert written == defaults


@shipped
def test_the_shipped_file_is_valid():
    assert load_config(PROJECT / "pipeline.toml").settings == Settings()


def test_profile_full_trains_longer(tmp_path):
    (tmp_path / "pipeline.toml").write_text("")
    assert load_config(tmp_path / "pipeline.toml", {"profile": "full"}).model.cpu_seconds == 600


def test_the_embedded_base_needs_its_own_engine(tmp_path):
    path = tmp_path / "pipeline.toml"
    path.write_text('[serving]\nbase_image = "embedded"\n')
    with pytest.raises(UsageError, match='engine = "litert"'):
        load_config(path)
    path.write_text('[serving]\nbase_image = "embedded"\nengine = "litert"\n')
    assert load_config(path).serving.base_image == "embedded"
