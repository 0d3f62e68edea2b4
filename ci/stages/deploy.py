"""Stage `deploy`: roll the judged release out, and say done only when the endpoint answers so."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ci.config import TASK, Config
from ci.errors import (
    HeldError,
    InconclusiveError,
    PushcartError,
    RefusedError,
    UnavailableError,
)
from ci.notifying.telling import news_of, tell
from ci.rollout import ledger
from ci.rollout.commands import answered, progress
from ci.rollout.freeze import pass_freeze
from ci.rollout.served import Served
from ci.rollout.targets import Done, Seen, Target, target_of
from ci.workspace import Workspace
from serving.host.statement import Expected, StatementError, verify

DECISIONS = ("PROMOTE", "HOLD", "INCONCLUSIVE")


def run(config: Config, workspace: Workspace) -> str:
    """Deploy the exported bundle to the chosen environment.

    Raises:
        UsageError: A stage before has not run, or the environment has another target.
        HeldError: The gate holds the bundle.
        InconclusiveError: The gate could not decide.
        RefusedError: The decision is about other bundles than those at hand, or the environment is
            frozen.
        RolloutUndoneError: The release was not healthy; the former one serves.
        UnavailableError: A host does not answer.
    """
    target = target_of(config)
    exported = workspace.read_json("bundle.json", "export")
    seen = target.look(config)
    if silent := [one for one in seen if one.trouble]:
        raise UnavailableError(
            "\n".join(f"{one.host} cannot be asked: {one.trouble}" for one in silent)
            + "\nNothing was begun. Bring it back or take it out of the inventory, then try again."
        )
    if _is_live(seen, exported["digest"], target.images(workspace)):
        return _already_live(config, workspace, target, exported)
    gate = workspace.read_json("gate.json", "gate")
    override = find_override(config, workspace, exported)
    for live in _to_beat(config, seen):
        check_decision(gate, exported, live, override)
    config = pass_freeze(config, datetime.now(UTC))
    try:
        done = target.deploy(config, workspace, progress)
    except PushcartError:
        _tell_ledger(config, workspace, target.look(config))
        raise
    line = _finish(config, workspace, target, exported, done)
    _tell_people(config, exported, gate, override)
    return line


def _tell_people(
    config: Config, exported: dict[str, Any], gate: dict[str, Any], override: str
) -> None:
    """Post that the release is live, and what it went out against."""
    reasons = filter(None, (override, config.options.override_freeze))
    news = news_of(
        config,
        "release",
        "deployed",
        model_version=exported["model_version"],
        decision=gate["decision"],
        reason=gate["reason"],
        override="; ".join(reasons),
    )
    tell(config, news)


def _is_live(seen: Sequence[Seen], digest: str, images: Mapping[str, str]) -> bool:
    """Whether every host has this very release live by its record."""
    colours = [one.live for one in seen]
    return bool(colours) and all(
        one is not None and one.digest == digest and one.images == images for one in colours
    )


def find_override(config: Config, workspace: Workspace, exported: dict[str, Any]) -> str:
    """Why the release at hand goes out against the gate's word, where that was signed; else "".

    Raises:
        RefusedError: The signatures do not hold, or are of another bundle.
    """
    release = workspace.find_json("../release.json")
    if release is None or not release["override"]:
        return ""
    from ci.releasing.signing import keys_folder  # noqa: PLC0415  few releases need it

    statement = workspace.find_json("../statement.json")
    subjects = {f"bundle/{TASK}": str(exported["digest"])}
    wanted = Expected(config.shop.name, config.options.environment, subjects, None, 0)
    try:
        return verify(statement, keys_folder(config), wanted).override_reason
    except StatementError as error:
        raise RefusedError(f"The override is not good: {error}") from error


def check_decision(
    gate: dict[str, Any], exported: dict[str, Any], live: str | None, override: str = ""
) -> None:
    """Hold the rollout to what the gate decided, about these very bundles.

    Args:
        gate: `gate.json`.
        exported: `bundle.json`.
        live: Digest that serves now, where it must be the one that was beaten; else None.
        override: Why it goes out against the gate's word, as signed.

    Raises:
        HeldError: HOLD.
        InconclusiveError: INCONCLUSIVE.
        RefusedError: Another bundle was judged, or it was judged against another one.
    """
    if gate["decision"] == "HOLD" and not override:
        raise HeldError(f"The gate holds this bundle: {gate['reason']}")
    if gate["decision"] == "INCONCLUSIVE" and not override:
        raise InconclusiveError(f"The gate could not decide: {gate['reason']}")
    if gate["decision"] not in DECISIONS:
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


def _to_beat(config: Config, seen: Sequence[Seen]) -> list[str | None]:
    """Digests that serve now and had to be beaten: the gate's baseline is this environment's."""
    lives = {one.live.digest for one in seen if one.live}
    if not lives or config.gate.baseline_environment != config.options.environment:
        return [None]
    return [*sorted(lives)]


def _already_live(
    config: Config, workspace: Workspace, target: Target, exported: dict[str, Any]
) -> str:
    """Nothing to roll out: see that it answers, and tell what an interrupted run left untold."""
    seen = target.look(config)
    if not all(one.answers for one in seen):
        target.wake(config, progress)  # after a reboot nobody serves what the record says
        seen = target.look(config)
    served = answered(seen, exported["digest"])
    _tell_ledger(config, workspace, seen)
    before = workspace.find_json("../deployment.json")
    if before is None or (before["digest"], before["url"]) != (served[0].digest, served[0].url):
        done = [Done(one.host, one.live.name, 0.0, 0) for one in seen if one.live]
        _write(config, workspace, target, served[0], done)
    places = ", ".join(one.place for one in served)
    return f"release {served[0].model_version} is already live at {places}; nothing to promote"


def _finish(
    config: Config,
    workspace: Workspace,
    target: Target,
    exported: dict[str, Any],
    done: list[Done],
) -> str:
    """Ask the endpoint as a shopper would, then tell the ledger and leave the evidence."""
    seen = target.look(config)
    if silent := [one for one in seen if one.trouble]:
        raise UnavailableError(
            f"{silent[0].host} cannot be asked after the rollout: {silent[0].trouble}. "
            "See `bin/ci status`."
        )
    served = answered(seen, exported["digest"])
    _write(config, workspace, target, served[0], done)
    _tell_ledger(config, workspace, seen)
    seconds = sum(one.seconds for one in done)
    failed = sum(one.failed_requests for one in done)
    colours = ", ".join(one.colour for one in done if one.colour)
    places = ", ".join(one.place for one in served)
    return (
        f"release {served[0].model_version} live at {places} ({colours}, switched in "
        f"{seconds:.1f} s, {failed} failed requests)"
    )


def _tell_ledger(config: Config, workspace: Workspace, seen: Sequence[Seen]) -> None:
    """What was rolled out is told now or, where the registry is down, by the next deploy."""
    release = workspace.find_json("../release.json") or {"images": {}}
    moved = {part: image["pushed_bytes"] for part, image in release["images"].items()}
    ledger.collect(config, seen, {"pushed_bytes": moved} if moved else {})
    ledger.settle_later(config)


def _write(
    config: Config, workspace: Workspace, target: Target, served: Served, done: list[Done]
) -> None:
    """Write `deployment.json`: what serves, and one shopper's recommendations as evidence."""
    content = {
        "environment": config.options.environment,
        "model_version": served.model_version,
        "digest": served.digest,
        "colour": done[0].colour,
        "seconds": sum(one.seconds for one in done),
        "verified": True,
        "url": served.url,
        "hosts": [asdict(one) for one in done],
        "example": target.example(config, served),
    }
    workspace.write_json("../deployment.json", content)
