"""The commands of a working day: `serve`, `status`, `history`, `rollback`."""

from ci.config import Config
from ci.console import duration, say
from ci.errors import RefusedError, RolloutUndoneError, UnavailableError, UsageError
from ci.rollout import client, ledger
from ci.rollout.served import ask_served, url_of
from ci.workspace import digest_of
from serving import supervisor
from serving.host import releases
from serving.host.control import Order
from serving.host.record import Record, Release


def _record(config: Config) -> Record:
    known = client.find_record(config)
    if known is None or not known.history:
        raise UsageError(
            f"Nothing was ever released to {config.options.environment}. Run `bin/ci run` first."
        )
    return known


def progress(news: Order) -> None:
    """Print one step of a rollout."""
    say(f"{'':<9} {news['step']}: {news['what']}")


def serve(config: Config, stop: bool = False) -> int:
    """Serve the recorded live release in the foreground, or tell where it is served already.

    Args:
        config: Names the shop and the environment.
        stop: End the supervisor that runs, and both colours with it, instead.

    Raises:
        UsageError: Nothing was ever released.
        RefusedError: The last release failed or was taken away: nothing is live.
        UnavailableError: The supervisor does not end.
    """
    known = _record(config)
    running = client.find_supervisor(known)
    if stop:
        if running:
            client.leave(known, "stop")
        say(f"nothing serves at {url_of(known)} now; `bin/ci serve` starts the live release again")
        return 0
    if running:
        say(
            f"release {running['live']} is served at {url_of(known)} already, "
            f"by process {running['pid']} in the background"
        )
        return 0
    if known.live_colour is None:
        raise RefusedError("No release is live: the last one failed. Run `bin/ci run`.")
    say(f"serving release {known.live_colour.model_version} at {url_of(known)}; Ctrl-C ends it")
    return supervisor.main(client.supervisor_arguments(config))


def status(config: Config) -> None:
    """Print what runs where, since when, and what the ledger has not heard of.

    Raises:
        UnavailableError: A release is live by the record, but the endpoint does not answer with it.
    """
    known = _record(config)
    running = client.find_supervisor(known)
    answers = ask_served(known)
    say(f"environment  {known.environment} of shop {known.shop}")
    says = f"release {answers.model_version} answers" if answers else "no release answers"
    taken = known.preferred_port not in (0, known.port)
    why = f" (port {known.preferred_port} was taken)" if taken else ""
    say(f"endpoint     {url_of(known)}{why}: {says}")
    for colour in known.colours.values():
        since = next((r.started_at for r in reversed(known.history) if _is_of(r, colour.name)), "")
        say(
            f"{colour.state:<12} {colour.name:<6} release {colour.model_version} "
            f"({colour.engine}, {colour.digest[:19]}…) since {since}"
        )
    who = f"process {running['pid']}" if running else "does not run; start it with `bin/ci serve`"
    say(f"supervisor   {who}")
    waiting, _ = ledger.pending(config)
    say(f"ledger       {f'{len(waiting)} entries wait to be sent' if waiting else 'knows all'}")
    live = known.live_colour
    if live and (answers is None or answers.digest != live.digest):
        raise UnavailableError(
            f"Release {live.model_version} should be live at {url_of(known)}, but {says} there. "
            f"Run `bin/ci serve`; the logs are in {config.environment_state() / 'logs'}."
        )


def _is_of(line: Release, colour: str) -> bool:
    return line.colour == colour and line.state in ("live", "previous", "withdrawn")


def history(config: Config) -> None:
    """Print every rollout of the environment and how it ended."""
    lines = _record(config).history
    say("  #  kind      release  state      when                       seconds  failed  by")
    for line in lines:
        say(
            f"{line.number:>3}  {line.kind:<8}  {line.model_version:>7}  {line.state:<9}  "
            f"{line.started_at:<25}  {line.seconds:>7.1f}  {line.failed_requests:>6}  {line.who}"
        )
        if line.reason:
            say(f"       {line.reason.splitlines()[0]}")


def rollback(config: Config, to: int | None = None) -> None:
    """Go back to the last good release, or to release `to`; needs neither MLflow nor build/.

    Raises:
        RefusedError: There is no release to go back to, or it is not on the host any more.
        UsageError: Release `to` never served here.
        RolloutUndoneError: The release was not healthy; the present one serves on.
    """
    known = _record(config)
    target = _target(config, known, to)
    present = known.live_colour
    came_from = f" from release {present.model_version}" if present else ""
    say(f"rollback  to release {target.model_version}{came_from}")
    done = client.rollback(config, target.digest, progress)
    answers = ask_served(client.find_record(config))
    if answers is None or answers.digest != target.digest:
        raise RolloutUndoneError(
            f"The endpoint answers with {answers}, not with release {target.model_version}. "
            "See `bin/ci status`."
        )
    seconds = duration(done.get("seconds", 0.0))
    say(f"{'':<9} release {target.model_version} answers at {answers.url}  [{seconds}]")
    ledger.settle_later(config)


def _target(config: Config, known: Record, to: int | None) -> Release:
    target = known.rollback_target() if to is None else known.version(to)
    if target is None and to is None:
        raise RefusedError(
            f"There is nothing to roll back to: no other release of {known.environment} was "
            "verified healthy and not withdrawn. See `bin/ci history`."
        )
    if target is None:
        served = sorted({line.model_version for line in known.history})
        raise UsageError(f"Release {to} never served {known.environment}; it knows {served}.")
    _check_whole(config, target)
    return target


def _check_whole(config: Config, target: Release) -> None:
    """See that the host still has the release as it was verified."""
    home = config.environment_state()
    try:
        bundle = releases.load(home, target.digest).bundle(home)
    except releases.ReleaseError as error:
        raise RefusedError(
            f"Release {target.model_version} is not on this host any more ({error}). "
            "Make it again with `bin/ci run` on its commit."
        ) from error
    if (seen := digest_of(bundle)) != target.digest:
        raise RefusedError(
            f"Release {target.model_version} at {bundle} was altered: its digest is {seen}, not "
            f"{target.digest}. Restore it from a backup, or name another with --to."
        )
