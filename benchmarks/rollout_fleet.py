"""What deploys, rollbacks and a model-only change cost on two hosts that are asked meanwhile."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.rollout_switches import go_on, reasons, two_ms
from ci.errors import UnavailableError
from ci.rehearsal.load import Load, load
from ci.rehearsal.traffic import Traffic
from ci.rollout.ordering import order_of
from tests.e2e.fleet import PROGRAM, Fleet, open_fleet

PER_SECOND = 15.0  # to each host
QUIET_SECONDS = 4.0
HOST = "host1"  # where a change is brought to in two ways
# `10.1.2.11 - - [26/Nov/2026:11:46:50 +0000] "GET /v2/… HTTP/1.1" 200 1369 …`
ANSWERED = re.compile(r'^(\S+) \S+ \S+ \[[^]]*\] "GET \S+ HTTP/\S+" 200 (\d+) ', re.MULTILINE)
ASKED = re.compile(r'^time="(\S+)" .* http\.request\.uri="?/v2/(\S+?)/(?:blobs|manifests)/')
ROLE_ARGUMENTS = "Validating arguments"  # Ansible's own look at a role's arguments
Line = tuple[float, str]  # when it was printed, and its words


@dataclass(frozen=True)
class Deploy:
    """One deploy to both hosts.

    Attributes:
        seconds: Of the command, its own start included.
        requests: Sent from some seconds before it to a second after it.
        failed: Of those, without a good answer.
        reasons: Why, and how many.
        gone_back: Answered by the older release after the newer one had answered on that host.
        quiet_p99_ms: Before the command.
        whole_p99_ms: While it ran: this machine is also the two hosts and who deploys to them.
        switch_p99_ms: From 0.2 s before a host's first new answer to 1 s after it; the worse host.
        tasks: Of a host, as the command tells them.
        host_seconds: A host each: from its first task to its first answer of the new release.
    """

    seconds: float
    requests: int
    failed: int
    reasons: dict[str, int]
    gone_back: int
    quiet_p99_ms: float
    whole_p99_ms: float
    switch_p99_ms: float
    tasks: int
    host_seconds: tuple[float, ...]


@dataclass(frozen=True)
class Rollback:
    """One rollback of both hosts to the release whose colour is still warm.

    Attributes:
        all_traffic_seconds: From the command to the last answer of the former release anywhere.
        command_seconds: Until the command said done.
        requests: Sent from some seconds before it to a second after it.
        failed: Of those, without a good answer.
        reasons: Why, and how many.
    """

    all_traffic_seconds: float
    command_seconds: float
    requests: int
    failed: int
    reasons: dict[str, int]


@dataclass(frozen=True)
class Change:
    """A release of which only the model is new, brought to a host in two ways.

    Attributes:
        ledger_bytes: Of layers that the registry lacked, before compression: `pushed_bytes`.
        push_seconds: The registry's time with the push, once for all hosts.
        pull_bytes: What the host got from the registry.
        pull_seconds: On the host: statement verified, images pulled by digest, release placed.
        save_bytes: Through the pipe of `docker save | ssh docker load`.
        load_seconds: Of that pipe.
    """

    ledger_bytes: int
    push_seconds: float
    pull_bytes: int
    pull_seconds: float
    save_bytes: int
    load_seconds: float


def tasks_of(host: str, lines: Sequence[Line]) -> list[Line]:
    """A host's tasks and when each began, as a command told them."""
    found = []
    for moment, said in lines:
        name, _, rest = said.strip().partition(": ")
        if name == host and not rest.startswith(ROLE_ARGUMENTS):
            found.append((moment, rest.removesuffix(": …")))
    return found


def bytes_to(address: str, log: str) -> int:
    """What a host got from the registry, by the lines of its log."""
    return sum(int(size) for who, size in ANSWERED.findall(log) if who == address)


def push_seconds(log: str) -> float:
    """The registry's time with pushes: from the first to the last word about each repository."""
    times: dict[str, list[datetime]] = {}
    for line in log.splitlines():
        if found := ASKED.match(line):
            times.setdefault(found[2], []).append(datetime.fromisoformat(found[1]))
    return sum((max(moments) - min(moments)).total_seconds() for moments in times.values())


def first_new(traffic: Traffic, version: int) -> float:
    """When a release first answered."""
    return min(one.ended for one in traffic.requests if one.model_version == version)


def run(fleet: Fleet, *words: str) -> list[Line]:
    """A command of `bin/ci` for the fleet; returns what it said, and when.

    Raises:
        UnavailableError: It failed.
    """
    running = fleet.begin(*words)
    try:
        lines = [(time.monotonic(), said.rstrip("\n")) for said in running.stdout or ()]
        running.wait()
    finally:
        if running.poll() is None:  # interrupted
            running.terminate()
            running.communicate()
    if running.returncode != 0:
        said = "\n".join(said for _, said in lines)
        raise UnavailableError(f"`{words[0]}` failed (exit {running.returncode}):\n{said}")
    return lines


def deploy(fleet: Fleet) -> Deploy:
    """Make a release and deploy it while both hosts are asked."""
    version = fleet.make()
    with _asking(fleet) as running:
        began = time.monotonic()
        lines = run(fleet, "deploy", "--single-machine")
        ended = time.monotonic()
        go_on(running, 1.5)
    traffic = running.stop()
    parts = [traffic.of(host) for host in fleet.hosts]
    moved = [first_new(part, version) for part in parts]
    tasks = [tasks_of(host, lines) for host in fleet.hosts]
    switches = [part.between(at - 0.2, at + 1) for part, at in zip(parts, moved, strict=True)]
    return Deploy(
        seconds=round(ended - began, 2),
        requests=len(traffic.requests),
        failed=len(traffic.failures),
        reasons=reasons([traffic]),
        gone_back=sum(len(traffic.gone_back(host)) for host in fleet.hosts),
        quiet_p99_ms=two_ms(traffic.between(began - QUIET_SECONDS, began))[1],
        whole_p99_ms=two_ms(traffic.between(began, ended))[1],
        switch_p99_ms=max(two_ms(part)[1] for part in switches),
        tasks=max(map(len, tasks)),
        host_seconds=tuple(round(at - own[0][0], 2) for at, own in zip(moved, tasks, strict=True)),
    )


def rollback(fleet: Fleet) -> Rollback:
    """Go back to the release before, whose colour is warm on both hosts."""
    former = fleet.live()[0]
    with _asking(fleet) as running:
        began = time.monotonic()
        run(fleet, "rollback")
        ended = time.monotonic()
        go_on(running, 1.5)
    traffic = running.stop()
    last = max(one.ended for one in traffic.requests if one.model_version == former)
    return Rollback(
        all_traffic_seconds=round(last - began, 2),
        command_seconds=round(ended - began, 2),
        requests=len(traffic.requests),
        failed=len(traffic.failures),
        reasons=reasons([traffic]),
    )


@contextmanager
def _asking(fleet: Fleet) -> Iterator[Load]:
    with load(fleet.plan(PER_SECOND, seconds=600.0)) as running:
        go_on(running, QUIET_SECONDS + 0.5)
        yield running


def change(fleet: Fleet) -> Change:
    """Make a release and bring it to a host by the registry, then by a pipe; it is not started."""
    mark = len(_log(fleet))
    fleet.make()
    pushing = _log(fleet)[mark:]
    images = fleet.workspace.read_json("../release.json", "image")["images"].values()
    mark = len(_log(fleet))
    pull_seconds = _pull(fleet)
    pull_bytes = bytes_to(fleet.rehearsal.host(HOST).address, _log(fleet)[mark:])
    fleet.rehearsal.run(HOST, f"docker image rm {' '.join(one['reference'] for one in images)}")
    save_bytes, load_seconds = _pipe(fleet, [f"{one['name']}:{one['tag']}" for one in images])
    return Change(
        ledger_bytes=sum(one["pushed_bytes"] for one in images),
        push_seconds=round(push_seconds(pushing), 2),
        pull_bytes=pull_bytes,
        pull_seconds=round(pull_seconds, 2),
        save_bytes=save_bytes,
        load_seconds=round(load_seconds, 2),
    )


def _log(fleet: Fleet) -> str:
    return fleet.images.log.read_text("utf-8", errors="replace")


def _pull(fleet: Fleet) -> float:
    """Let the host take the release in as at a deploy, without Ansible; returns the seconds."""
    _, order = order_of(fleet.config, fleet.workspace)
    began = time.monotonic()
    _checked([*fleet.rehearsal.ssh(HOST), f"{PROGRAM} accept"], order.encode())
    return time.monotonic() - began


def _checked(command: list[str], stdin: bytes) -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise UnavailableError(f"`{command[-1]}` failed (exit {done.returncode}):\n{said}")


def _pipe(fleet: Fleet, images: Sequence[str]) -> tuple[int, float]:
    """`docker save | ssh docker load`; returns bytes and seconds."""
    began, moved = time.monotonic(), 0
    with (
        subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saving,
        subprocess.Popen(
            [*fleet.rehearsal.ssh(HOST), "docker load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        ) as loading,
    ):
        while part := saving.stdout.read(1 << 20):
            loading.stdin.write(part)
            moved += len(part)
        loading.stdin.close()
    if saving.returncode or loading.returncode:
        raise UnavailableError(
            f"`docker save | ssh docker load` failed (exit {saving.returncode} and "
            f"{loading.returncode}); their words are above."
        )
    return moved, time.monotonic() - began


def measure(
    folder: Path, bundle: Path, times: int, tell: Callable[[str], None]
) -> tuple[list[Deploy], list[Rollback], list[Change]]:
    """Two hosts from nothing to the last figure; all is gone afterwards.

    Args:
        folder: For files, with a short path: it holds sockets.
        bundle: What every release is made of; only its card differs.
        times: How often each thing is done.
        tell: Hears of the progress.
    """
    tell("two hosts start (the first time on a machine takes a minute more)")
    deploys, rollbacks, changes = [], [], []
    with open_fleet(folder, bundle, bundle) as fleet:
        run(fleet, "hosts", "prepare")
        tell("prepared; the first release goes out")
        fleet.make()
        run(fleet, "deploy", "--single-machine")
        for number in range(1, times + 1):
            deploys.append(deploy(fleet))
            tell(f"{number} of {times}, {_said(deploys[-1])}")
            rollbacks.append(rollback(fleet))
            tell(f"{number} of {times}, {_said(rollbacks[-1])}")
            changes.append(change(fleet))
            tell(f"{number} of {times}, {_said(changes[-1])}")
    return deploys, rollbacks, changes


def _said(one: Deploy | Rollback | Change) -> str:
    match one:
        case Deploy():
            return f"deploy in {one.seconds:.1f} s, {one.failed} of {one.requests} failed"
        case Rollback():
            return (
                f"rollback: all traffic in {one.all_traffic_seconds:.1f} s, "
                f"{one.failed} of {one.requests} failed"
            )
        case Change():
            return (
                f"model-only change: {one.pull_bytes / 1e6:.1f} MB pulled in "
                f"{one.pull_seconds:.1f} s, {one.save_bytes / 1e6:.1f} MB by save | load in "
                f"{one.load_seconds:.1f} s"
            )
