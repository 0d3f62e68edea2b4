"""A freeze holds what it names, says until when, and lets a reason through."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ci.config import Config, Options, load_config
from ci.errors import RefusedError, UsageError
from ci.rollout.freeze import find_freeze, pass_freeze

SETTINGS = """
[freeze.weekend]
environments = ["production"]
weekly = ["fri 16:00-mon 08:00"]
time_zone = "Europe/Berlin"

[freeze.sale]
environments = ["production", "staging"]
dates = ["2026-11-27 18:00 to 2026-11-27 20:00"]
time_zone = "Asia/Shanghai"
"""
FRIDAY_NIGHT = datetime(2026, 11, 27, 21, 30, tzinfo=UTC)
SALE = datetime(2026, 11, 27, 11, 59, 30, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path):
    """Returns a function that reads the freezes for an environment and a reason."""
    path = tmp_path / "pipeline.toml"
    path.write_text(SETTINGS)

    def shop(environment: str, reason: str = "") -> Config:
        return load_config(path, options=Options(environment, override_freeze=reason))

    return shop


def test_a_frozen_deploy_is_refused_with_the_window_and_its_end(shop):
    with pytest.raises(RefusedError) as refused:
        pass_freeze(shop("production"), FRIDAY_NIGHT)
    told = str(refused.value)
    assert told.startswith(
        "production is frozen by [freeze.weekend] until Mon 2026-11-30 08:00 (Europe/Berlin), "
        "2 d 9 h 30 min from now."
    )
    assert '--override-freeze "REASON"' in told
    assert refused.value.exit_code == 6


def test_only_the_environments_that_are_named_are_frozen(shop):
    assert find_freeze(shop("staging"), FRIDAY_NIGHT) is None
    assert str(find_freeze(shop("staging"), SALE)) == (
        "[freeze.sale] until Fri 2026-11-27 20:00 (Asia/Shanghai)"
    )
    with pytest.raises(RefusedError, match=r"\(Asia/Shanghai\), 1 min from now"):
        pass_freeze(shop("staging"), SALE)
    assert pass_freeze(shop("local"), SALE) == shop("local")


def test_a_reason_passes_and_is_kept(shop, capsys):
    config = shop("production", "  the prices are wrong ")
    assert pass_freeze(config, FRIDAY_NIGHT).options.override_freeze == "the prices are wrong"
    assert "[freeze.weekend] until Mon 2026-11-30 08:00 (Europe/Berlin), overridden" in (
        capsys.readouterr().out
    )


def test_a_reason_of_blanks_is_none(shop):
    with pytest.raises(RefusedError):
        pass_freeze(shop("production", "  "), FRIDAY_NIGHT)


def test_a_reason_that_nothing_asked_for_is_not_recorded(shop, capsys):
    config = shop("production", "in a hurry")
    passed = pass_freeze(config, FRIDAY_NIGHT.replace(day=26))
    assert passed == replace(config, options=replace(config.options, override_freeze=""))
    assert "none is in force" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ('environments = ["shop"]\nweekly = ["sat 00:00-24:00"]', "names 'shop', which is not one"),
        ('environments = ["production"]', "without `weekly` and `dates` is never in force"),
        ('environments = []\nweekly = ["sat 00:00-24:00"]', "freeze.x.environments"),
        ('environments = ["production"]\nweekly = ["weekend"]', "'weekend' is no weekly window"),
        (
            'environments = ["production"]\ndates = ["2026-11-09 to 2026-11-11"]\n'
            'time_zone = "Berlin"',
            "there is no time zone 'Berlin'",
        ),
        ('environments = ["production"]\nhours = "22-6"', "freeze.x.hours: unknown key"),
        (
            'environments = ["cloud"]\nweekly = ["sat 00:00-24:00"]\n'
            '[environments.local]\n[environments.cloud]\ntarget = "kubernetes"',
            "cannot hold back 'cloud': its cluster rolls releases out",
        ),
    ],
)
def test_a_freeze_that_could_not_hold_is_refused_when_it_is_read(tmp_path, settings, why):
    path = tmp_path / "pipeline.toml"
    path.write_text(f"[freeze.x]\n{settings}\n")
    with pytest.raises(UsageError) as refused:
        load_config(path)
    assert why in str(refused.value)
