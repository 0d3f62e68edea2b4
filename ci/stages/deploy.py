"""Stage `deploy`: roll the judged release out, and say done only when the endpoint answers so."""

from typing import Any

from ci.config import Config
from ci.console import say
from ci.errors import HeldError, InconclusiveError, RefusedError, RolloutUndoneError, UsageError
from ci.rollout import client, ledger, placing
from ci.rollout.commands import progress
from ci.rollout.served import Served, ask_served, example, wait_served
from ci.workspace import Workspace
from serving.host.record import Colour
from serving.host.releases import Placed


def run(config: Config, workspace: Workspace) -> str:
    """Deploy the exported bundle to the chosen environment.

    Raises:
        UsageError: A stage before has not run, or the environment has another target.
        HeldError: The gate holds the bundle.
        InconclusiveError: The gate could not decide.
        RefusedError: The decision is about other bundles than those at hand.
        RolloutUndoneError: The release was not healthy; the former one serves.
        UnavailableError: The supervisor does not start or answer.
    """
    if config.environment.target != "process":
        raise UsageError(
            f"[environments.{config.options.environment}] target = {config.environment.target!r} "
            "cannot be deployed to from here; allowed: 'process'."
        )
    exported = workspace.read_json("bundle.json", "export")
    known = client.find_record(config)
    live = known.live_colour if known else None
    if live and live.digest == exported["digest"]:
        return _already_live(config, workspace, live)
    check_decision(workspace.read_json("gate.json", "gate"), exported, _to_beat(config, live))
    placed = placing.place(config, workspace)
    done = client.deploy(config, placed.digest, placed.commit, progress)
    return _finish(config, workspace, placed, done)


def check_decision(gate: dict[str, Any], exported: dict[str, Any], live: str | None) -> None:
    """Hold the rollout to what the gate decided, about these very bundles.

    Args:
        gate: `gate.json`.
        exported: `bundle.json`.
        live: Digest that serves now, where it must be the one that was beaten; else None.

    Raises:
        HeldError: HOLD.
        InconclusiveError: INCONCLUSIVE.
        RefusedError: Another bundle was judged, or it was judged against another one.
    """
    if gate["decision"] == "HOLD":
        raise HeldError(f"The gate holds this bundle: {gate['reason']}")
    if gate["decision"] == "INCONCLUSIVE":
        raise InconclusiveError(f"The gate could not decide: {gate['reason']}")
    if gate["decision"] != "PROMOTE":
        raise RefusedError(f"gate.json holds no decision but {gate['decision']!r}.")
    if gate["challenger"]["digest"] != exported["digest"]:
        raise RefusedError(
            f"The gate judged {gate['challenger']['digest']}, the bundle at hand is "
            f"{exported['digest']}. Run `bin/ci evaluate` and `bin/ci gate` again."
        )
    beaten = (gate.get("baseline") or {}).get("digest")
    if live and live not in (beaten, exported["digest"]):
        raise RefusedError(
            f"The gate compared with {beaten or 'no live bundle'}, but {live} serves now. "
            "Run `bin/ci evaluate` and `bin/ci gate` again."
        )


def _to_beat(config: Config, live: Colour | None) -> str | None:
    """Digest of the live release, where the gate's baseline is this environment's."""
    if live is None or config.gate.baseline_environment != config.options.environment:
        return None
    return live.digest


def _already_live(config: Config, workspace: Workspace, live: Colour) -> str:
    """Nothing to roll out: see that it answers, and tell what an interrupted run left untold."""
    served = ask_served(client.find_record(config))
    if served is None or served.digest != live.digest:
        client.ensure_supervisor(config)  # after a reboot nobody serves what the record says
        served = wait_served(config, live.digest)
    ledger.settle(config)
    before = workspace.find_json("../deployment.json")
    if before is None or before["digest"] != served.digest or before["url"] != served.url:
        _write(config, workspace, served, live.name, 0.0)
    return f"release {served.model_version} is already live at {served.url}; nothing to promote"


def _finish(config: Config, workspace: Workspace, placed: Placed, done: dict[str, Any]) -> str:
    """Ask the endpoint as a shopper would, then tell the ledger and leave the evidence."""
    known = client.find_record(config)
    served = ask_served(known)
    if known is None or served is None or served.digest != placed.digest:
        raise RolloutUndoneError(
            f"The endpoint answers with {served}, not with release {placed.model_version}. "
            "See `bin/ci status`."
        )
    seconds, colour = done.get("seconds", 0.0), done.get("colour", known.live)
    _write(config, workspace, served, colour, seconds)
    ledger.settle(config)
    removed = placing.prune(config.environment_state(), known)
    if removed:
        say(f"{'':<9} removed from the host: releases {', '.join(map(str, removed))}")
    failed = done.get("failed_requests", 0)
    return (
        f"release {served.model_version} live at {served.url} ({colour}, switched in "
        f"{seconds:.1f} s, {failed} failed requests)"
    )


def _write(
    config: Config, workspace: Workspace, served: Served, colour: str, seconds: float
) -> None:
    """Write `deployment.json`: what serves, and one shopper's recommendations as evidence."""
    content = {
        "environment": config.options.environment,
        "model_version": served.model_version,
        "digest": served.digest,
        "colour": colour,
        "seconds": seconds,
        "verified": True,
        "url": served.url,
        "example": example(config.environment_state(), served),
    }
    workspace.write_json("../deployment.json", content)
