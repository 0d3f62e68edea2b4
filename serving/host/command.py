"""`pushcart-host`: what a host does when told to, by SSH or on this machine; standard library only.

Each command prints JSON lines: progress while it works, then one answer or one refusal. The exit
code is that of `bin/ci`: 0 done, 4 something does not answer, 5 undone, 6 refused.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from serving.host import orders, outbox, record, releases
from serving.host.calls import CallError, call
from serving.host.container_host import ContainerHost
from serving.host.control import Caller, RefusedOrderError
from serving.host.host import LOOPBACK
from serving.host.locking import own
from serving.host.proxy import NOBODY, Proxy
from serving.host.record import Record, Release
from serving.host.recovery import recover
from serving.host.rollout import Request, Rollout, take_back
from serving.host.statement import StatementError
from serving.host.verification import UnhealthyError

SETTINGS: Final = Path("/etc/pushcart")
LOCK: Final = "lock"
# A rollout whose caller was killed goes on to its end here; whoever asks next waits for it.
LOCK_SECONDS: Final = 120.0
CODES: Final = {"unavailable": 4, "owned": 4, "undone": 5, "refused": 6, "missing": 6}
Answer = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What `hosts prepare`, or target `compose`, wrote about an environment of this host.

    Attributes:
        shop: The shop.
        environment: Its environment.
        home: Folder of the record and the releases.
        port: Public port.
        keys: Folder of the trusted public keys.
        proxy_socket: HAProxy's runtime API.
        proxy_map: The file that names the live colour.
        proxy_map_name: The same file as the proxy calls it; "": by the same path.
        address: Where this machine reaches the public port.
        builds_here: Whether this machine makes releases for itself (target `compose`).
        ledger: The file that finished rollouts are told to; "": whoever asks reads the record.
    """

    shop: str
    environment: str
    home: str
    port: int
    keys: str
    proxy_socket: str
    proxy_map: str
    proxy_map_name: str = ""
    address: str = LOOPBACK
    builds_here: bool = False
    ledger: str = ""

    @property
    def proxy(self) -> Proxy:
        """The door."""
        return Proxy(Path(self.proxy_socket), Path(self.proxy_map), self.proxy_map_name)


def read_settings(path: Path) -> Settings:
    """Read an environment's settings.

    Raises:
        RefusedOrderError: The host was not prepared for it.
    """
    try:
        return Settings(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RefusedOrderError(
            "unavailable", f"{path} cannot be read ({error}): run `bin/ci hosts prepare`"
        ) from error


def open_host(settings: Settings) -> ContainerHost:
    """The host as its record tells it, or as it is before any release."""
    home = Path(settings.home)
    home.mkdir(parents=True, exist_ok=True)
    known = record.load(home) or Record(shop=settings.shop, environment=settings.environment)
    known.port = known.preferred_port = settings.port
    return ContainerHost(home, known, settings.proxy, settings.address)


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[ContainerHost]:
    """The host, held against any other rollout.

    Raises:
        RefusedOrderError: Another rollout is under way here.
    """
    home = Path(settings.home)
    home.mkdir(parents=True, exist_ok=True)
    lock = own(home / LOCK, LOCK_SECONDS)
    try:
        yield open_host(settings)
    finally:
        os.close(lock)


@contextlib.contextmanager
def owned(settings: Settings) -> Iterator[ContainerHost]:
    """The host, held against any other rollout, and put right after one that was killed.

    Raises:
        RefusedOrderError: Another rollout is under way here.
    """
    with locked(settings) as host:
        try:
            asyncio.run(recover(host))
            yield host
        finally:
            if settings.ledger and outbox.report(host.record, Path(settings.ledger)):
                host.save()


def status(settings: Settings, _: argparse.Namespace, __: Caller) -> Answer:
    """The record, what runs, and what the public port answers."""
    host = open_host(settings)
    known = host.record
    live = known.live_colour
    example = None
    if live:
        with contextlib.suppress(UnhealthyError, releases.ReleaseError):
            example = host.ask(settings.address, known.port, host.placed(live))
    running = {colour.name: host.is_running(colour) for colour in known.colours.values()}
    return {
        "record": asdict(known),
        "running": running,
        "served": _served(f"{settings.address}:{known.port}"),
        "example": example,
    }


def _served(place: str) -> Answer | None:
    try:
        answer = call(place, "/readyz", timeout=3.0)
    except CallError:
        return None
    if answer.status != 200 or not isinstance(answer.body, dict):
        return None
    return {"model_version": answer.body["model_version"], "digest": answer.body["digest"]}


def accept(settings: Settings, _: argparse.Namespace, __: Caller) -> Answer:
    """Verify the order on standard input, pull its images and place it; nothing is started."""
    order = orders.parse(sys.stdin.read())
    with owned(settings) as host:
        keys = Path(settings.keys)
        pulled = orders.accept(
            order, host.home, host.record, keys, builds_here=settings.builds_here
        )
        host.save()
    return {"key": order.placed.key, "pulled": pulled}


def deploy(settings: Settings, options: argparse.Namespace, caller: Caller) -> Answer:
    """Start an accepted release beside the live one, verify it, and move the traffic to it."""
    with owned(settings) as host:
        done = _change(host, _request("deploy", options), caller)
        done["removed"] = orders.prune(host.home, host.record)
        return done


def rollback(settings: Settings, options: argparse.Namespace, caller: Caller) -> Answer:
    """Go back to a release that is still here; nothing is pulled."""
    with owned(settings) as host:
        _require_whole(host, options.key)
        return _change(host, _request("rollback", options), caller)


def _request(kind: Literal["deploy", "rollback"], options: argparse.Namespace) -> Request:
    return Request(
        kind=kind,
        key=options.key,
        who=options.who,
        commit=options.commit,
        rollout=options.rollout,
        approved_by=options.approved_by,
        override_freeze=options.override_freeze,
    )


def _require_whole(host: ContainerHost, key: str) -> None:
    """See that the images of a release are still here; by their digests, they are what they were.

    Raises:
        RefusedOrderError: One is not, or the release is not.
    """
    try:
        placed = releases.load(host.home, key)
    except releases.ReleaseError as error:
        raise RefusedOrderError("missing", str(error)) from error
    if gone := [image for image in placed.images.values() if not orders.is_here(image)]:
        raise RefusedOrderError(
            "missing",
            f"release {placed.model_version} is not on this host any more: its image {gone[0]} "
            "was removed; deploy it again",
        )


def _change(host: ContainerHost, request: Request, caller: Caller) -> Answer:
    live = host.record.live_colour
    if live and live.key == request.key:
        return {"already_live": True, "model_version": live.model_version, "colour": live.name}
    try:
        line = asyncio.run(Rollout(host, request, caller).run())
    except releases.ReleaseError as error:
        raise RefusedOrderError("missing", str(error)) from error
    if line.state != "live":
        raise RefusedOrderError("undone", line.reason)
    return _told(line)


def _told(line: Release) -> Answer:
    names = ("model_version", "colour", "seconds", "warm", "failed_requests")
    return {name: getattr(line, name) for name in names}


def undo(settings: Settings, options: argparse.Namespace, _: Caller) -> Answer:
    """Give a release back that went live here, because another host could not take it."""
    with owned(settings) as host:
        undone = asyncio.run(take_back(host, options.key, options.reason))
        live = host.record.live_colour
        return {"undone": undone, "live": live.model_version if live else None}


def follow(settings: Settings, _: argparse.Namespace, __: Caller) -> Answer:
    """Write down for the proxy, before it starts, which colour the record names as live."""
    known = record.load(Path(settings.home))
    live = (known.live if known else "") or NOBODY
    settings.proxy.write(live)
    return {"live": live}


def repair(settings: Settings, _: argparse.Namespace, __: Caller) -> Answer:
    """Put the host back to what its record says; after a rollout that was broken off."""
    with owned(settings) as host:
        live = host.record.live_colour
        return {"live": live.model_version if live else None}


def stop(settings: Settings, _: argparse.Namespace, __: Caller) -> Answer:
    """End both colours; the record goes on to name the live one, and `repair` brings it back."""
    with locked(settings) as host:
        for colour in host.record.colours.values():
            asyncio.run(host.stop(colour))
        return {"stopped": [*host.record.colours]}


COMMANDS: Final[dict[str, Callable[[Settings, argparse.Namespace, Caller], Answer]]] = {
    one.__name__: one for one in (status, accept, deploy, rollback, undo, follow, repair, stop)
}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pushcart-host", description=__doc__)
    parser.add_argument("--shop", default="", help="whose host.json in /etc/pushcart is read")
    parser.add_argument("--environment", default="", help="which of its environments")
    parser.add_argument("--settings", type=Path, help="another host.json than that one")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in COMMANDS.items():
        one = commands.add_parser(name, help=function.__doc__)
        if name in {"deploy", "rollback", "undo"}:
            one.add_argument("--key", required=True, help="the release's key")
            one.add_argument("--who", default="", help="who asks")
            one.add_argument("--commit", default="", help="the source that made it")
            one.add_argument("--rollout", default="", help="the rollout of the fleet")
            one.add_argument("--approved-by", default="", help="who approved it")
            one.add_argument("--override-freeze", default="", help="why a freeze did not hold it")
            one.add_argument("--reason", default="", help="why it is undone")
    options = parser.parse_args(argv)
    if not options.settings and not (options.shop and options.environment):
        parser.error("name --shop and --environment, or --settings")
    return options


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Carry one command out; returns the exit code."""
    options = _arguments(argv)
    path = options.settings or SETTINGS / f"{options.shop}-{options.environment}" / "host.json"
    try:
        answer = COMMANDS[options.command](read_settings(path), options, Caller(_say))
    except RefusedOrderError as refusal:
        return _refuse(refusal.code, str(refusal))
    except StatementError as error:
        return _refuse("refused", str(error))
    except (OSError, record.RecordError, ValueError) as error:
        return _refuse("unavailable", str(error))
    _say(json.dumps(answer).encode() + b"\n")
    return 0


def _refuse(code: str, message: str) -> int:
    _say(json.dumps({"refused": code, "message": message}).encode() + b"\n")
    return CODES.get(code, 1)


if __name__ == "__main__":
    sys.exit(main())
