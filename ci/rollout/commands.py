"""The commands of a working day: `serve`, `status`, `history`, `rollback`, for every target."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ci.config import Config
from ci.console import duration, say
from ci.errors import RefusedError, RolloutUndoneError, UnavailableError, UsageError
from ci.notifying.telling import news_of, tell, telling_failures
from ci.rollout import ledger
from ci.rollout.freeze import find_freeze
from ci.rollout.served import Served, url_of, where_logs
from ci.rollout.targets import Seen, target_of
from serving.host.record import VERIFIED, Record, Release


def progress(news: dict[str, Any]) -> None:
    """Print one step of a rollout."""
    host = f"{news['host']}: " if news.get("host") else ""
    say(f"{'':<9} {host}{news['step']}: {news['what']}")


def serve(config: Config, stop: bool = False) -> int:
    """Serve the recorded live release in the foreground, or tell where it is served already.

    Args:
        config: Names the shop and the environment.
        stop: End what runs in the background, both colours, instead.

    Raises:
        UsageError: Nothing was ever released.
        RefusedError: The last release failed or was taken away: nothing is live.
        UnavailableError: What runs does not end.
    """
    target = target_of(config)
    _released(config, target.look(config))
    return target.serve(config, stop=stop)


def _released(config: Config, seen: Sequence[Seen]) -> list[Seen]:
    """The hosts that can be asked, of an environment to which something was released.

    Raises:
        UsageError: Nothing ever was.
        UnavailableError: No host can be asked.
    """
    reached = [one for one in seen if not one.trouble]
    if not reached:
        raise UnavailableError(_troubles(seen))
    if not any(one.record and one.record.history for one in reached):
        raise UsageError(
            f"Nothing was ever released to {config.options.environment}. Run `bin/ci run` first."
        )
    return [one for one in reached if one.record]


def _troubles(seen: Sequence[Seen]) -> str:
    lines = [f"{one.host} cannot be asked: {one.trouble}" for one in seen if one.trouble]
    return "\n".join([*lines, "Bring it back or take it out of the inventory, then try again."])


def status(config: Config) -> None:
    """Print what runs where, since when, and what the ledger has not heard of.

    Raises:
        UnavailableError: A release is live by the record, but the endpoint does not answer with
            it, or a host cannot be asked.
    """
    seen = target_of(config).look(config)
    released = _released(config, seen)
    say(f"environment  {config.options.environment} of shop {config.shop.name}")
    if freeze := find_freeze(config, datetime.now(UTC)):
        say(f"freeze       {freeze}")
    for one in released:
        _say_host(one)
    ledger.collect(config, released, {})
    waiting, _ = ledger.pending(config)
    say(f"ledger       {f'{len(waiting)} entries wait to be sent' if waiting else 'knows all'}")
    if wrong := [_silent(config, one) for one in released if one.live and not one.answers]:
        raise UnavailableError("\n".join(wrong))
    if any(one.trouble for one in seen):
        raise UnavailableError(_troubles(seen))


def _say_host(seen: Seen) -> None:
    known = seen.record
    if known is None:
        return
    if seen.host:
        say(f"host         {seen.host}")
    taken = known.preferred_port not in (0, known.port)
    why = f" (port {known.preferred_port} was taken)" if taken else ""
    say(f"endpoint     {url_of(known)}{why}: {_says(seen)}")
    for colour in known.colours.values():
        since = next((r.started_at for r in reversed(known.history) if _is_of(r, colour.name)), "")
        say(
            f"{colour.state:<12} {colour.name:<6} release {colour.model_version} "
            f"({colour.engine}, {colour.digest[:19]}…) since {since}"
        )
    say(seen.keeper)


def _says(seen: Seen) -> str:
    return f"release {seen.served.model_version} answers" if seen.served else "no release answers"


def _silent(config: Config, seen: Seen) -> str:
    should = f"Release {seen.live.model_version}" if seen.live else "A release"
    where = ", ".join(filter(None, [seen.host, url_of(seen.record) if seen.record else ""]))
    return (
        f"{should} should be live at {where}, but {_says(seen)} there. "
        f"Run `bin/ci serve`; {where_logs(config)}."
    )


def _is_of(line: Release, colour: str) -> bool:
    return line.colour == colour and line.state in VERIFIED


def history(config: Config) -> None:
    """Print every rollout of the environment and how it ended."""
    for one in _released(config, target_of(config).look(config)):
        if one.host:
            say(f"host {one.host}")
        say("  #  kind      release  state      when                       seconds  failed  by")
        for line in one.record.history if one.record else []:
            say(
                f"{line.number:>3}  {line.kind:<8}  {line.model_version:>7}  {line.state:<9}  "
                f"{line.started_at:<25}  {line.seconds:>7.1f}  {line.failed_requests:>6}  "
                f"{_by(line)}"
            )
            if line.override_freeze:
                say(f"       frozen, overridden: {line.override_freeze.splitlines()[0]}")
            if line.reason:
                say(f"       {line.reason.splitlines()[0]}")


def _by(line: Release) -> str:
    return f"{line.who}, approved by {line.approved_by}" if line.approved_by else line.who


def rollback(config: Config, to: int | None = None) -> None:
    """Go back to the last good release, or to release `to`; needs neither MLflow nor build/.

    Raises:
        RefusedError: There is no release to go back to, or it is not on the host any more.
        UsageError: Release `to` never served here.
        RolloutUndoneError: The release was not healthy; the present one serves on.
    """
    with telling_failures(config, "rollback"):
        goal, what = _go_back(config, to)
    news = news_of(
        config, "release", "rolled_back", model_version=goal.model_version, reason=what.strip()
    )
    tell(config, news)


def _go_back(config: Config, to: int | None) -> tuple[Release, str]:
    """Roll back; the release that serves now, and from which one."""
    target = target_of(config)
    seen = _released(config, target.look(config))
    goal = choose(config, seen, to)
    came_from = sorted({one.live.model_version for one in seen if one.live})
    what = f" from release {', '.join(map(str, came_from))}" if came_from else ""
    say(f"rollback  to release {goal.model_version}{what}")
    try:
        done = target.rollback(config, goal, progress)
    finally:
        seen = target.look(config)
        ledger.collect(config, seen, {})
    places = ", ".join(one.place for one in answered(seen, goal.digest))
    seconds = duration(max((one.seconds for one in done), default=0.0))
    say(f"{'':<9} release {goal.model_version} answers at {places}  [{seconds}]")
    ledger.settle_later(config)
    return goal, what


def answered(seen: Sequence[Seen], digest: str) -> list[Served]:
    """What every host's endpoint answers, proved to be this release.

    Raises:
        RolloutUndoneError: One does not answer as it.
    """
    found = []
    for one in seen:
        if one.trouble:
            continue
        if one.served is None or one.served.digest != digest:
            where = f" of {one.host}" if one.host else ""
            raise RolloutUndoneError(
                f"The endpoint{where} answers with {one.served}, not with {digest}. "
                "See `bin/ci status`."
            )
        found.append(one.served)
    return found


def choose(config: Config, seen: Sequence[Seen], to: int | None) -> Release:
    """The one release that every host goes back to.

    Args:
        config: Names the environment, for the messages.
        seen: The hosts that can be asked.
        to: A model version; None is the newest good release before the present one.

    Raises:
        RefusedError: There is none, or the hosts would go to different ones.
        UsageError: Release `to` never served there.
    """
    goals = {one.host: _goal(one.record, to) for one in seen if one.record}
    found = {goal.digest: goal for goal in goals.values() if goal}
    if not found and to is None:
        raise RefusedError(
            f"There is nothing to roll back to: no other release of {config.options.environment} "
            "was verified healthy and not withdrawn. See `bin/ci history`."
        )
    if not found:
        lines = [line for one in seen if one.record for line in one.record.history]
        served = sorted({line.model_version for line in lines})
        raise UsageError(
            f"Release {to} never served {config.options.environment}; it knows {served}."
        )
    if len(found) > 1 or None in goals.values():
        each = ", ".join(f"{h} to {g.model_version if g else 'none'}" for h, g in goals.items())
        raise RefusedError(
            f"The hosts would go back to different releases ({each}). Name one with --to."
        )
    return next(iter(found.values()))


def _goal(known: Record, to: int | None) -> Release | None:
    return known.rollback_target() if to is None else known.version(to)
