"""Holds deploys back in the windows of `[freeze]`; a rollback is never held back."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ci.config import Config
from ci.console import say
from ci.errors import RefusedError
from ci.settings import FreezeSettings
from ci.windows import find_zone, open_until


@dataclass(frozen=True)
class Freeze:
    """A window in force.

    Attributes:
        name: As in `[freeze.<name>]`.
        end: When deploys are let through again, by the clock of its time zone.
    """

    name: str
    end: datetime

    def __str__(self) -> str:
        return f"[freeze.{self.name}] until {self.end:%a %Y-%m-%d %H:%M} ({self.end.tzinfo})"


def find_freeze(config: Config, now: datetime) -> Freeze | None:
    """The window that freezes the chosen environment for longest; None where none does."""
    found = (
        _of(name, settings, now)
        for name, settings in config.settings.freeze.items()
        if config.options.environment in settings.environments
    )
    return max(filter(None, found), key=lambda one: one.end, default=None)


def _of(name: str, settings: FreezeSettings, now: datetime) -> Freeze | None:
    zone = find_zone(settings.time_zone)
    end = open_until(settings.windows, zone, now)
    return Freeze(name, end.astimezone(zone)) if end else None


def pass_freeze(config: Config, now: datetime) -> Config:
    """Let a deploy through where nothing freezes its environment, or with a reason.

    Returns:
        The configuration to go on with: it holds the reason only where one was needed, so that no
        record tells of an override that never was.

    Raises:
        RefusedError: The environment is frozen, and no reason was given.
    """
    reason = config.options.override_freeze.strip()
    freeze = find_freeze(config, now)
    if freeze is None and reason:
        say(f"{'':<9} freeze: none is in force, so the reason is not recorded")
    if freeze and reason:
        say(f"{'':<9} freeze: {freeze}, overridden: {reason}")
    if freeze and not reason:
        raise RefusedError(
            f"{config.options.environment} is frozen by {freeze}, {_left(freeze.end - now)} from "
            "now. Nothing was begun. Wait, or give a reason, which is recorded: "
            '`--override-freeze "REASON"`. `bin/ci rollback` is never frozen.'
        )
    return _with(config, reason if freeze else "")


def _with(config: Config, reason: str) -> Config:
    return replace(config, options=replace(config.options, override_freeze=reason))


def _left(left: timedelta) -> str:
    """A span of time as a person says it, in minutes rounded up: `2 d 3 h`, `5 min`."""
    minutes = -(-left // timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
