"""Tells the registry what the host did: rollouts wait in an outbox until the registry answers."""

import json
from pathlib import Path
from typing import Any

from ci.config import Config
from ci.console import complain
from ci.errors import UnavailableError
from ci.workspace import write_atomically


def outbox(config: Config) -> Path:
    """The file that supervisors append finished rollouts to; nothing is ever taken out of it."""
    return config.state / "outbox.jsonl"


def _shipped(config: Config) -> Path:
    return config.state / "outbox.shipped"


def pending(config: Config) -> tuple[list[dict[str, Any]], int]:
    """The entries that the ledger has not heard of, and where in the outbox they end."""
    mark = _shipped(config)
    start = int(mark.read_text(encoding="utf-8")) if mark.exists() else 0
    if not outbox(config).exists():
        return [], 0
    with outbox(config).open("rb") as file:
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
    live = {
        entry["environment"]: int(entry["model_version"])
        for entry in entries
        if entry["verdict"] == "live"
    }
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
