"""The configuration: what is refused, and how the refusal reads."""

from pathlib import Path

import pytest

from ci.config import Options, load_config, read_secret
from ci.errors import UsageError


def write(folder: Path, text: str) -> Path:
    path = folder / "pipeline.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, **overrides: str) -> str:
    with pytest.raises(UsageError) as caught:
        load_config(
            write(folder, text), {key.replace("__", "."): v for key, v in overrides.items()}
        )
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_an_empty_file_means_the_defaults(tmp_path):
    config = load_config(write(tmp_path, ""))
    assert config.shop.name == "demo"
    assert config.model.name == "blend"
    assert config.data.features == ("price",)


def test_an_unknown_key_is_named_with_file_and_neighbours(tmp_path):
    message = refusal(tmp_path, '[data]\nsorce = "x.csv"\n')
    assert str(tmp_path / "pipeline.toml") in message
    assert "data.sorce: unknown key" in message
    assert "Did you mean 'source'?" in message


def test_an_unknown_key_of_an_environment_names_the_environments_keys(tmp_path):
    message = refusal(tmp_path, "[environments.local]\nprot = 1\n")
    assert "environments.local.prot" in message
    assert "target, port" in message


def test_a_wrong_type_shows_the_value_seen(tmp_path):
    message = refusal(tmp_path, '[data]\ntest_days = "3"\n')
    assert "data.test_days: input should be a valid integer, got '3'" in message


def test_an_override_out_of_range_is_blamed_on_the_override(tmp_path):
    assert "--set gate.margin: input should be less than 1, got 2" in refusal(
        tmp_path, "", gate__margin="2"
    )


def test_a_rule_of_a_whole_section_is_blamed_on_the_override_too(tmp_path):
    assert "--set model.name: unknown model 'oracle'" in refusal(tmp_path, "", model__name="oracle")


def test_all_mistakes_are_told_at_once(tmp_path):
    message = refusal(tmp_path, '[data]\nsorce = "x"\n[model]\nname = "oracle"\n')
    assert "data.sorce" in message
    assert "unknown model 'oracle'" in message


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:hunter2@db/shop",  # pragma: allowlist secret
        "postgresql://shop:a/b@hunter2@db/shop",  # pragma: allowlist secret
        "mysql://db/shop?user=shop&password=hunter2",  # pragma: allowlist secret
        "mysql://shop@db/shop?passwd=hunter2",  # pragma: allowlist secret
        "mysql://shop@db/shop?PASSWORD=hunter2&table=events",  # pragma: allowlist secret
        "mysql://shop@db/shop?Pwd=hunter2",  # pragma: allowlist secret
    ],
)
def test_a_literal_password_is_refused_and_never_echoed(tmp_path, url):
    for message in (
        refusal(tmp_path, f'[data]\nsource = "{url}"\n'),
        refusal(tmp_path, "", data__source=url),
        refusal(tmp_path, f'[registry]\nuri = "{url}"\n'),
    ):
        assert "literal password" in message
        assert "password_env" in message
        assert "hunter2" not in message


@pytest.mark.parametrize("value", ["['{}', 'other.csv']", "{{ url = '{}' }}"])
# pragma: allowlist nextline secret
@pytest.mark.parametrize("url", ["mysql://shop:hunter2@db/shop", "mysql://db/shop?passwd=hunter2"])
def test_a_password_inside_a_wrong_value_is_not_echoed(tmp_path, value, url):
    wrong = value.format(url)
    for message in (
        refusal(tmp_path, f"[data]\nsource = {wrong}\n"),
        refusal(tmp_path, "", data__source=wrong),
        refusal(tmp_path, "", data__source__url=url),
        refusal(tmp_path, f"[gate]\nmargin = {wrong}\n"),
    ):
        assert "***" in message
        assert "hunter2" not in message


IMPOSSIBLE = {
    "model.parts=['blend']": "a blend of ['blend'] cannot be made",
    "model.parts=[]": "a blend of [] cannot be made",
    "model.parts=['linear', 'repeat', 'linear']": "name a model twice",
    "model.dropout_rate=1.0": "dropout_rate: input should be less than 1, got 1.0",
    "data.item_pattern='('": "item_pattern: '(' is no regular expression",
    "data.item_pattern='^(?!POST)'": "looks around or back ((?!)",
    "data.engine=postgresql": "source 'simulator' is no postgresql://… URL",
    "data.columns={usr_id='who'}": "maps 'usr_id', which is no word of ours",
    "data.catalogue_columns={titel='name'}": "Did you mean 'title'?",
    "data.event_types={purchas='order'}": "Did you mean 'purchase'?",
    "data.event_types={view='look', click=['tap', 'look']}": "gives 'look' 2 meanings",
    "data.window_days=28": "window_days 28 leaves nothing to learn from",
    "data.test_days=106": "[simulator] days = 120 leave nothing to learn from",
}


@pytest.mark.parametrize("setting", IMPOSSIBLE)
def test_what_cannot_work_is_refused_before_anything_runs(tmp_path, setting):
    key, _, value = setting.partition("=")
    message = refusal(tmp_path, "", **{key.replace(".", "__"): value})
    assert IMPOSSIBLE[setting] in message


def test_what_is_just_possible_is_accepted(tmp_path):
    settings = {
        "data.window_days": "29",
        "data.test_days": "14",
        "data.item_pattern": "'^[0-9]{5}(?:A|B)?$'",
        "data.event_types": "{view=['look'], click='tap'}",
        "data.catalogue_columns": "{timestamp='seen', title='name'}",
        "model.parts": "['our_shop:Fading', 'linear']",
        "model.dropout_rate": "0.99",
    }
    assert load_config(write(tmp_path, ""), settings).data.window_days == 29


def test_an_address_without_a_password_is_accepted(tmp_path):
    url = "postgresql://shop@db:5432/shop?table=orders"
    assert load_config(write(tmp_path, f'[data]\nsource = "{url}"\n')).data.source == url


def test_a_normalised_column_that_no_model_reads_is_an_error(tmp_path):
    message = refusal(tmp_path, '[data]\nfeatures = ["price"]\n[model]\nname = "linear"\n')
    assert "no model reads them: linear" in message


def test_a_closed_form_model_needs_no_features(tmp_path):
    assert load_config(write(tmp_path, '[model]\nname = "linear"\n')).data.features == ()


def test_profile_full_trains_longer_but_never_over_a_written_value(tmp_path):
    full = load_config(write(tmp_path, 'profile = "full"\n'))
    assert full.model.cpu_seconds == 600
    written = load_config(write(tmp_path, 'profile = "full"\n[model]\ncpu_seconds = 5\n'))
    assert written.model.cpu_seconds == 5


def test_overrides_are_toml_values_or_plain_text(tmp_path):
    config = load_config(
        write(tmp_path, ""),
        {"model.name": "linear", "gate.must_beat": "false", "data.test_days": "7"},
    )
    assert (config.model.name, config.gate.must_beat, config.data.test_days) == ("linear", False, 7)


def test_a_source_in_the_file_is_relative_to_the_file_and_in_an_override_to_the_caller(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    in_file = load_config(write(tmp_path, '[data]\nsource = "events.csv"\n'))
    assert in_file.source_path(in_file.data.source) == str(tmp_path / "events.csv")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    typed = load_config(in_file.path, {"data.source": "events.csv"})
    assert typed.source_path(typed.data.source) == str(elsewhere / "events.csv")


def test_an_unknown_environment_is_named_with_those_that_exist(tmp_path):
    with pytest.raises(UsageError, match=r"no environment 'moon'.*local, production, staging"):
        load_config(write(tmp_path, ""), options=Options(environment="moon"))


def test_a_missing_and_a_broken_file_are_told_apart(tmp_path):
    with pytest.raises(UsageError, match="no configuration file"):
        load_config(tmp_path / "none.toml")
    assert "cannot be read as TOML" in refusal(tmp_path, "a = = 3")


def test_settings_are_frozen(tmp_path):
    config = load_config(write(tmp_path, ""))
    with pytest.raises(ValueError, match="frozen"):
        config.settings.shop.name = "other"


def test_secrets_come_from_the_environment_or_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "s3")
    assert read_secret("SHOP_PASSWORD", "") == "s3"
    file = tmp_path / "password"
    file.write_text("s4\n")
    assert read_secret("", str(file)) == "s4"
    assert read_secret("", "") is None
    with pytest.raises(UsageError, match="NOT_THERE"):
        read_secret("NOT_THERE", "")
