"""Tells the registry what the host did: rollouts wait in an outbox until the registry answers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ci.config import Config
from ci.console import complain
from ci.errors import UnavailableError
from ci.rollout.targets import Seen
from ci.workspace import write_atomically
from serving.host.outbox import entry as entry_of
from serving.host.record import Record, Release


def outbox(config: Config) -> Path:
    """The file that supervisors append finished rollouts to; nothing is ever taken out of it."""
    return config.state / "outbox.jsonl"


def _shipped(config: Config) -> Path:
    return config.state / "outbox.shipped"


def collect(config: Config, seen: Sequence[Seen], details: Mapping[str, Any]) -> None:
    """Put what hosts tell of finished rollouts into the outbox: one entry for all of its hosts.

    A supervisor of this machine writes there by itself. What another machine collected too is
    shipped once: entries are known by their id. A rollout that came out otherwise than was told,
    e.g. undone since, is told again.

    Args:
        config: Names the environment.
        seen: The hosts that can be asked.
        details: What else to say of the newest rollout.
    """
    rollouts: dict[str, dict[str, tuple[Record, Release]]] = {}
    for one in seen:
        for line in one.record.history if one.record and one.host else []:
            if line.state != "starting" and one.record:
                rollouts.setdefault(line.rollout, {})[one.host] = (one.record, line)
    told = {entry["id"]: entry["verdict"] for entry in _read(outbox(config), 0)[0]}
    news = [_entry(lines, seen) for name, lines in rollouts.items() if name]
    news = [_told_anew(entry, told) for entry in news]
    news = sorted((e for e in news if e["id"] not in told), key=lambda e: str(e["started_at"]))
    if not news:
        return
    news[-1] |= {**details, "serves": _served_by_all(seen)}
    outbox(config).parent.mkdir(parents=True, exist_ok=True)
    with outbox(config).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in news)


def _told_anew(entry: dict[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    """The entry, under an id of its own where it was told with another verdict."""
    former = told.get(entry["id"], entry["verdict"])
    return (
        entry if former == entry["verdict"] else entry | {"id": f"{entry['id']}/{entry['verdict']}"}
    )


def _served_by_all(seen: Sequence[Seen]) -> int:
    """The release that every host has live; 0 where they differ or one cannot be asked."""
    versions = {one.live.model_version if one.live else 0 for one in seen}
    return versions.pop() if len(versions) == 1 else 0


def _entry(lines: Mapping[str, tuple[Record, Release]], seen: Sequence[Seen]) -> dict[str, Any]:
    """One rollout over several hosts: live where all of them took it, partial where some did.

    Where it took up what a killed rollout had left half done, the hosts serve one release all the
    same, and that counts.
    """
    told: dict[str, dict[str, Any]] = {
        host: entry_of(known, line) for host, (known, line) in lines.items()
    }
    first = next(iter(told.values()))
    verdicts = {str(one["verdict"]) for one in told.values()}
    known, line = next(iter(lines.values()))
    is_whole = (
        len(told) == len(seen)
        or line.kind == "rollback"
        or all(one.live and one.live.digest == line.digest for one in seen)
    )
    names = ("colour", "verdict", "reason", "seconds", "failed_requests")
    return first | {
        "id": f"{known.shop}/{known.environment}/{line.rollout}",
        "verdict": ("live" if is_whole else "partial") if verdicts == {"live"} else "failed",
        "reason": next((one["reason"] for one in told.values() if one["reason"]), ""),
        "seconds": max(float(one["seconds"]) for one in told.values()),
        "failed_requests": sum(int(one["failed_requests"]) for one in told.values()),
        "hosts": {host: {name: one[name] for name in names} for host, one in told.items()},
    }


def pending(config: Config) -> tuple[list[dict[str, Any]], int]:
    """The entries that the ledger has not heard of, and where in the outbox they end."""
    mark = _shipped(config)
    return _read(outbox(config), int(mark.read_text(encoding="utf-8")) if mark.exists() else 0)


def _read(path: Path, start: int) -> tuple[list[dict[str, Any]], int]:
    """The entries from a place of an outbox on, and where they end."""
    if not path.exists():
        return [], 0
    with path.open("rb") as file:
        file.seek(start)
        whole, newline, _ = file.read().rpartition(b"\n")  # a line being written waits
    entries = [json.loads(line) for line in whole.splitlines()]
    return entries, start + len(whole) + len(newline)


def settle(config: Config) -> int:
    """Move the aliases of every environment to what serves there and ship the entries.

    Returns:
        How many entries were shipped; with none waiting, MLflow is not even imported.

    Raises:
        UnavailableError: The registry does not answer; everything stays in the outbox.
    """
    entries, end = pending(config)
    if not entries:
        return 0
    from ci import registry  # noqa: PLC0415  MLflow takes seconds

    if registry.is_empty(config):
        raise UnavailableError(
            f"The registry of {config.shop.name} is empty, although releases were made: it was "
            "lost. Restore it from a backup."
        )
    live: dict[str, int] = {}
    for entry in entries:
        found = entry["model_version"] if entry["verdict"] == "live" else 0
        if version := entry.get("serves", found):
            live[entry["environment"]] = int(version)
    for environment, model_version in live.items():
        registry.promote(config, environment, model_version)
    registry.ship(config, entries)
    write_atomically(_shipped(config), f"{end}\n")
    return len(entries)


def settle_later(config: Config) -> None:
    """Settle now if the registry answers; otherwise say that it will hear of it later."""
    try:
        settle(config)
    except UnavailableError as error:
        complain(f"The ledger will be told later, by the next deploy: {error}")
