"""Runs Ansible playbooks against an environment's hosts and tells how each host came out.

What is kept of a run is what the hosts said.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ci.config import PROJECT, Config, read_variable
from ci.errors import PushcartError, UsageError
from ci.rollout.board import board
from ci.rollout.private_folder import private_folder, write
from ci.rollout.targets import Progress

ROOT: Final = PROJECT / "infra" / "ansible"
# What SSH and Ansible need of this process's environment; a build's secrets are not among it.
KEPT: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "SSH_AUTH_SOCK")
LONGEST_SECONDS: Final = 3600
RUNS_KEPT: Final = 20

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Play:
    """One run of a playbook.

    Attributes:
        playbook: Its file in `infra/ansible`.
        variables: Its extra variables.
        secrets: Files for this run's eyes alone: variable → content; the variable holds the path.
        limit: The hosts that it is about; empty: all of the inventory.
        is_check: Only tell what would change.
        is_kept: Whether its output is worth keeping.
    """

    playbook: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str | bytes] = field(default_factory=dict)
    limit: Sequence[str] = ()
    is_check: bool = False
    is_kept: bool = True


@dataclass
class Outcome:
    """How one host came out of a playbook.

    Attributes:
        host: Its name in the inventory.
        answers: By task: what the host program answered there.
        trouble: Why the first task failed that did; "" where none did.
        refusal: The host program's word for it; "" where it was not the one to refuse.
        is_unreachable: Whether SSH did not get through.
        changed: Tasks that changed something.
    """

    host: str
    answers: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""
    refusal: str = ""
    is_unreachable: bool = False
    changed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Wire:
    """Between Ansible's thread and the one that listens: events one way, the end the other."""

    events: "queue.Queue[Event | None]" = field(default_factory=queue.Queue)
    cancelled: threading.Event = field(default_factory=threading.Event)


def inventory_of(config: Config) -> Path:
    """The inventory of the chosen environment.

    Raises:
        UsageError: There is none.
    """
    name, named = config.options.environment, config.environment.inventory
    default = ROOT / "inventories" / f"{name}.yml"
    path = Path(config.source_path(named)) if named else default
    if not path.is_file():
        raise UsageError(
            f"{path} is no file: the inventory of {name} names its hosts. Write it (docs/hosts.md "
            f"shows one), or set `environments.{name}.inventory`."
        )
    return path


def run(config: Config, play: Play, progress: Progress | None) -> dict[str, Outcome]:
    """Run a playbook; Ctrl-C and SIGTERM end it, and the hosts put themselves right later.

    Args:
        config: Names the environment, its inventory and how its hosts are reached.
        play: What is run.
        progress: Hears of each task that a host begins, as {"host": …, "step": …, "what": …},
            where that is not shown on a terminal; None: nobody is told.

    Returns:
        Every host that was tried, by name, in the inventory's order.

    Raises:
        UsageError: The inventory is missing or names no host.
        PushcartError: Ansible itself failed.
        KeyboardInterrupt: It was ended from outside.
    """
    inventory = inventory_of(config)
    with private_folder() as folder:
        wire = _Wire()
        runner = _runner(config, play, inventory, folder, wire)
        with board(progress) if progress else contextlib.nullcontext(_silence) as hear:
            outcomes = _follow(runner, wire, hear)
        said = Path(runner.config.artifact_dir, "stdout").read_text(encoding="utf-8")
        if play.is_kept:
            _keep(config, play, said)
    if not outcomes:
        raise _nothing_done(inventory, said)
    return outcomes


def _silence(_: dict[str, Any]) -> None:
    """Tell nobody."""


def _runner(
    config: Config,
    play: Play,
    inventory: Path,
    folder: Path,
    wire: _Wire,
) -> Any:
    from ansible_runner.interface import init_runner  # noqa: PLC0415  takes a second

    paths = {name: write(folder / name, content) for name, content in play.secrets.items()}
    variables = write(folder / "variables.json", json.dumps({**play.variables, **paths}))
    words = ["--extra-vars", f"@{variables}"]
    words += ["--limit", ",".join(play.limit)] if play.limit else []
    words += ["--check"] if play.is_check else []
    environment = _environment(config, folder)  # reads a variable that Ansible does not get
    with _only(KEPT):  # ansible-runner takes the whole environment over
        runner = init_runner(
            private_data_dir=str(folder),
            project_dir=str(ROOT),
            playbook=play.playbook,
            inventory=str(inventory),
            envvars=environment,
            cmdline=" ".join(words),
            quiet=True,
            timeout=LONGEST_SECONDS,
            event_handler=wire.events.put,  # no work here: it would hold Ansible up
            cancel_callback=wire.cancelled.is_set,
        )
    runner.config.pexpect_timeout = 1  # seconds until a cancellation is noticed
    return runner


@contextlib.contextmanager
def _only(names: Sequence[str]) -> Iterator[None]:
    whole = dict(os.environ)
    try:
        for name in whole.keys() - set(names):
            os.environ.pop(name)
        yield
    finally:
        os.environ.update(whole)


def _environment(config: Config, folder: Path) -> dict[str, str]:
    place = config.environment
    options = []
    if place.known_hosts:
        options += ["-o", f"UserKnownHostsFile={config.source_path(place.known_hosts)}"]
    key = read_variable(place.ssh_key_env) if place.ssh_key_env else None
    if key:
        options += ["-o", "IdentitiesOnly=yes"]
    found = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "ssh"),
        "ANSIBLE_SSH_COMMON_ARGS": " ".join(options),
        "ANSIBLE_HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}:{read_variable('PATH') or os.defpath}",
        "LC_ALL": read_variable("LC_ALL") or "C.UTF-8",  # Ansible wants UTF-8
    }
    return {**found, **({"ANSIBLE_PRIVATE_KEY_FILE": key} if key else {})}


def _follow(runner: Any, wire: _Wire, progress: Progress) -> dict[str, Outcome]:
    """Run Ansible beside this thread, which listens; an interruption ends it first."""
    failure: list[BaseException] = []

    def work() -> None:
        try:
            runner.run()
        except BaseException as error:
            failure.append(error)  # raised by the thread that listens
        finally:
            wire.events.put(None)

    outcomes: dict[str, Outcome] = {}
    thread = threading.Thread(target=work, name="ansible")
    with _stopped_by_sigterm():
        thread.start()
        try:
            while (event := wire.events.get()) is not None:
                _hear(event, outcomes, progress)
        finally:
            wire.cancelled.set()  # without effect on a run that has ended
            thread.join()
    if failure:
        raise PushcartError(f"ansible-runner failed: {failure[0]!r}") from failure[0]
    return outcomes


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, a build server's way to abort, end a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _hear(event: Event, outcomes: dict[str, Outcome], progress: Progress) -> None:
    """Note what an event says of a host."""
    kind, data = event["event"], event.get("event_data", {})
    host, task = data.get("host"), str(data.get("task"))
    if host is None or not kind.startswith("runner_on_"):
        return
    outcome = outcomes.setdefault(host, Outcome(host))
    if kind == "runner_on_start":
        progress({"host": host, "step": task, "what": "…"})
        return
    result = data.get("res") or {}
    if kind == "runner_on_ok":
        _note(outcome, task, result)
    elif kind == "runner_on_unreachable":
        outcome.is_unreachable = True
        said = " ".join(str(result.get("msg", "")).split())  # silent where the task holds a secret
        outcome.trouble = "; ".join(filter(None, ["SSH does not get through", said]))
    elif kind == "runner_on_failed" and not data.get("ignore_errors") and not outcome.trouble:
        outcome.trouble, outcome.refusal = _reason(result)
    if outcome.trouble and kind in ("runner_on_unreachable", "runner_on_failed"):
        progress({"host": host, "step": task, "what": outcome.trouble})


def _note(outcome: Outcome, task: str, result: Mapping[str, Any]) -> None:
    if result.get("changed"):
        outcome.changed.append(task)
    answer = _last_line(str(result.get("stdout") or result.get("msg") or ""))
    if isinstance(answer, dict):
        outcome.answers[task] = answer


def _reason(result: Mapping[str, Any]) -> tuple[str, str]:
    """Why a task failed: in the host program's words where it spoke, else in Ansible's."""
    said = str(result.get("stdout") or result.get("msg") or "")
    answer = _last_line(said)
    if isinstance(answer, dict) and "refused" in answer:
        return str(answer["message"]), str(answer["refused"])
    return str(result.get("stderr") or said).strip() or "it failed without a word", ""


def _last_line(text: str) -> Any:
    lines = text.strip().splitlines()
    with contextlib.suppress(ValueError, IndexError):
        return json.loads(lines[-1])
    return None


def _keep(config: Config, play: Play, said: str) -> None:
    """Keep what Ansible printed, as `logs/<time>-<playbook>.log`, and let the oldest go."""
    folder = config.environment_state() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    (folder / f"{when}-{Path(play.playbook).stem}.log").write_text(said, encoding="utf-8")
    for old in sorted(folder.glob("*Z-*.log"))[:-RUNS_KEPT]:
        old.unlink()


def _nothing_done(inventory: Path, said: str) -> PushcartError:
    if "no hosts matched" in said or "Could not match supplied host pattern" in said:
        return UsageError(
            f"{inventory} names no host in the group `pushcart`. Write one line a host there; "
            "docs/hosts.md shows it."
        )
    return PushcartError(f"Ansible did nothing:\n{said.strip()[-2000:]}")
