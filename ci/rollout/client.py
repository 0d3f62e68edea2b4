"""Speaks with the supervisor of an environment, and starts one where none runs."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ci.config import Config
from ci.errors import (
    PushcartError,
    RefusedError,
    RolloutUndoneError,
    UnavailableError,
    UsageError,
)
from ci.rollout.accountable import accountable
from serving import supervisor
from serving.host import control, processes, record
from serving.host.control import Order, RefusedOrderError
from serving.host.host import SOURCES
from serving.host.record import Record

# A daemon that outlives a build must not look like a part of it (Jenkins ends such processes by
# their environment), nor carry the build's secrets around.
KEPT_VARIABLES = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "VIRTUAL_ENV"),
    *("LD_LIBRARY_PATH", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"),
)
TAKES_OVER_SECONDS = 15.0
Progress = Callable[[Order], None]


def find_record(config: Config) -> Record | None:
    """The host's own record of the chosen environment.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return record.load(config.environment_state())
    except record.RecordError as error:
        raise UsageError(str(error)) from error


def find_supervisor(known: Record | None) -> dict[str, Any] | None:
    """What the running supervisor tells of itself, or None when none runs."""
    if known is None or not known.sockets:
        return None
    try:
        return control.ask(Path(known.sockets) / supervisor.SOCKET, {"order": "status"})
    except OSError:
        return None


def is_kept(running: dict[str, Any]) -> bool:
    """Whether systemd keeps a supervisor: its sources are those installed there, not these."""
    return bool(running.get("kept"))  # one of an older release does not tell


def supervisor_arguments(config: Config) -> list[str]:
    """How the supervisor of the chosen environment is called."""
    return [
        f"--home={config.environment_state()}",
        f"--shop={config.shop.name}",
        f"--environment={config.options.environment}",
        f"--port={config.environment.port}",
        f"--ledger={config.state / 'outbox.jsonl'}",
    ]


def ensure_supervisor(config: Config) -> Record:
    """A running supervisor of the present sources, or the one that systemd keeps, or a new one.

    Raises:
        UnavailableError: It cannot be started.
        UsageError: The record cannot be read.
    """
    known = find_record(config)
    running = find_supervisor(known)
    if known and running and (is_kept(running) or running["made_of"] == supervisor.fingerprint()):
        return known
    if known and running:
        leave(known)
    command = [sys.executable, "-m", "serving.supervisor", *supervisor_arguments(config)]
    environment = {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES}
    started = subprocess.run(
        [*command, "--daemon"],
        cwd=SOURCES,
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    known = find_record(config)
    if started.returncode or known is None:
        raise UnavailableError(
            f"The supervisor of {config.options.environment} did not start: "
            f"{started.stderr.strip()}. See {config.environment_state() / 'supervisor.log'}."
        )
    return known


def leave(known: Record, order: str = "leave") -> None:
    """End a supervisor: alone (`leave`; its colours go on serving) or with them (`stop`)."""
    with contextlib.suppress(OSError):  # it may hang up because it ended
        control.ask(Path(known.sockets) / supervisor.SOCKET, {"order": order}, timeout=600)
    deadline = time.monotonic() + TAKES_OVER_SECONDS
    while processes.is_alive(known.supervisor):
        if time.monotonic() > deadline:
            raise UnavailableError(f"The supervisor (process {known.supervisor}) does not end.")
        time.sleep(processes.POLL_SECONDS)


def deploy(config: Config, digest: str, commit: str, progress: Progress) -> Order:
    """Roll a placed release out.

    Raises:
        RolloutUndoneError: It was not healthy; what served before serves.
        RefusedError: The release is not on the host.
        UnavailableError: The supervisor does not answer.
    """
    order = {"order": "deploy", "digest": digest, "commit": commit, **accountable(config)}
    return _change(config, order, progress)


def rollback(config: Config, digest: str, progress: Progress) -> Order:
    """Go back to a release that is on the host.

    Raises:
        RolloutUndoneError: It was not healthy; what served before serves.
        RefusedError: The release is not on the host.
        UnavailableError: The supervisor does not answer.
    """
    order = {"order": "rollback", "digest": digest, **accountable(config)}
    return _change(config, order, progress)


def _change(config: Config, order: Order, progress: Progress) -> Order:
    known = ensure_supervisor(config)
    silence = config.serving.start_timeout_seconds + config.serving.drain_seconds + 60.0
    try:
        return control.ask(Path(known.sockets) / supervisor.SOCKET, order, silence, progress)
    except RefusedOrderError as refusal:
        if refusal.code == "undone":
            raise RolloutUndoneError(_undone(config, str(refusal))) from refusal
        if refusal.code == "missing":
            raise RefusedError(str(refusal)) from refusal
        raise PushcartError(f"The supervisor failed: {refusal}") from refusal
    except OSError as error:
        raise UnavailableError(
            f"The supervisor went away during the rollout ({error}). `bin/ci status` tells what "
            f"serves; see {config.environment_state() / 'supervisor.log'}."
        ) from error


def _undone(config: Config, reason: str) -> str:
    known = find_record(config)
    live = known.live_colour if known else None
    serves = f"release {live.model_version} serves on" if live else "no release serves"
    return (
        f"The rollout was undone, {serves}: {reason}\n"
        f"The logs are in {config.environment_state() / 'logs'}."
    )
