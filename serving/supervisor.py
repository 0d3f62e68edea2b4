"""Owns the public socket of an environment and the two colours behind it; standard library only.

`python -m serving.supervisor --home DIR …` runs in the foreground, with `--daemon` in the
background. It keeps nothing that its record does not hold: a killed one is followed by another.
"""

import argparse
import asyncio
import contextlib
import functools
import hashlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from serving.host import control, daemon, outbox, processes, record, releases
from serving.host.control import Caller, Order, RefusedOrderError
from serving.host.host import LOOPBACK, SOURCES
from serving.host.locking import own
from serving.host.process_host import ProcessHost, find_listener, forget_sockets, socket_folder
from serving.host.record import Record
from serving.host.recovery import recover, restore
from serving.host.rollout import Request, Rollout

SOCKET = "supervisor.sock"
LOCK = "supervisor.lock"
WATCH_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
OWN_SECONDS = 5.0
log = logging.getLogger(__name__)


@functools.cache  # of this process: sources that change later are not what it runs
def fingerprint() -> str:
    """What this supervisor is made of: its interpreter and the sources of its room."""
    whole = hashlib.sha256(sys.executable.encode())
    for path in sorted((SOURCES / "serving").rglob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]


class Supervisor:
    """Takes orders for one environment.

    Args:
        host: Its colours.
        ledger: File that finished rollouts are appended to.

    Attributes:
        is_kept: Whether an init system starts it again, so that nobody else may replace it.
    """

    rollout: type[Rollout] = Rollout

    def __init__(self, host: ProcessHost, ledger: Path) -> None:
        self.host = host
        self.record = host.record
        self._ledger = ledger
        self._made_of = fingerprint()
        self._busy = asyncio.Lock()
        self._work: asyncio.Task[Any] | None = None
        self._ended = asyncio.Event()
        self._ends_colours = True
        self.is_kept = False

    async def obey(self, order: Order, caller: Caller) -> Order:
        """Carry out one order."""
        match order:
            case {"order": "status"}:
                return self._status()
            case {"order": "deploy" | "rollback", "digest": str(), "who": str()}:
                return await self._change(_request(order), caller)
            case {"order": "leave"} | {"order": "stop"}:
                async with self._queue(caller):
                    self._ends_colours = order["order"] == "stop"
                    self._ended.set()
                    return {"pid": os.getpid()}
            case _:
                raise RefusedOrderError("usage", f"a supervisor knows no order {order}")

    def _status(self) -> Order:
        live = self.record.live_colour
        return {
            "pid": os.getpid(),
            "made_of": self._made_of,
            "kept": self.is_kept,
            "port": self.record.port,
            "busy": self._busy.locked(),
            "running": {
                colour.name: self.host.is_running(colour) for colour in self.record.colours.values()
            },
            "live": live.model_version if live else None,
        }

    @contextlib.asynccontextmanager
    async def _queue(self, caller: Caller) -> Any:
        """One rollout after the other; who waits is told."""
        if self._busy.locked():
            caller.say(step="queue", what="another rollout is under way; waiting for its end")
        async with self._busy:
            self._work = asyncio.current_task()
            yield

    async def _change(self, request: Request, caller: Caller) -> Order:
        async with self._queue(caller):
            live = self.record.live_colour
            if live and live.key == request.key:
                return {"already_live": True, "model_version": live.model_version}
            try:
                rollout = self.rollout(self.host, request, caller)
            except releases.ReleaseError as error:
                raise RefusedOrderError("missing", str(error)) from error
            line = await rollout.run()
            self._report()
            if not self.record.live:
                self._ended.set()  # nothing to own the socket for
            if line.state != "live":
                raise RefusedOrderError("undone", line.reason)
            return {
                "model_version": line.model_version,
                "colour": line.colour,
                "seconds": line.seconds,
                "warm": line.warm,
                "failed_requests": line.failed_requests,
                "port": self.record.port,
            }

    def _report(self) -> None:
        if outbox.report(self.record, self._ledger):
            self.host.save()

    async def watch(self) -> None:
        """Bring back a live colour that does not serve, ever slower; let a dead warm one go."""
        pause = WATCH_SECONDS
        while True:
            await asyncio.sleep(pause)
            live = self.record.live_colour
            if self._busy.locked() and self._is_switching():
                continue
            if live and not await self.host.is_serving(live):
                await restore(self.host, live)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            pause = WATCH_SECONDS
            if not self._busy.locked():
                await self._let_go_of_dead()

    def _is_switching(self) -> bool:
        return any(line.step in ("switch", "confirm") for line in self.record.history[-1:])

    async def _let_go_of_dead(self) -> None:
        for colour in list(self.record.colours.values()):
            if colour.name != self.record.live and not self.host.is_running(colour):
                await self.host.end(colour)

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until told to end: by SIGTERM or `stop` with the colours, by `leave` without."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        listening = await control.listen(Path(self.record.sockets) / SOCKET, self.obey)
        await self.begin()
        ready()
        live = self.record.live_colour
        serves = f"release {live.model_version}" if live else "the first release to come"
        log.info("http://%s:%d serves %s", LOOPBACK, self.record.port, serves)
        watching = asyncio.ensure_future(self.watch())
        await self._ended.wait()
        watching.cancel()
        listening.close()
        await self.end()

    async def begin(self) -> None:
        """Put the host right after whatever ended the last supervisor."""
        async with self._busy:
            await recover(self.host)
            self._report()

    async def end(self) -> None:
        """Leave the host, with or without its colours; a rollout under way is broken off."""
        if self._work and not self._work.done():
            self._work.cancel()  # it would go on starting what is ended here
            await asyncio.wait({self._work})
        if self._ends_colours:
            for colour in list(self.record.colours.values()):
                await self.host.stop(colour)
            forget_sockets(self.host)
        self.record.supervisor = None
        self.host.save()


def _request(order: Order) -> Request:
    """What an order asks for; what it does not tell is not known."""
    names = ("who", "commit", "approved_by", "override_freeze")
    told = {name: str(order.get(name, "")) for name in names}
    return Request(kind=order["order"], key=order["digest"], **told)


def open_host(home: Path, shop: str, environment: str, preferred_port: int) -> ProcessHost:
    """Read or begin the record of an environment and get hold of its public socket.

    Raises:
        RecordError: The record cannot be read.
        OSError: No port is free.
    """
    known = record.load(home) or Record(shop=shop, environment=environment)
    if known.preferred_port != preferred_port:
        known.preferred_port = preferred_port
        known.port = 0
    known.sockets = socket_folder(home, known.sockets)
    listener = find_listener(known)
    known.port = listener.getsockname()[1]
    known.supervisor = processes.identify(os.getpid())
    host = ProcessHost(home, known, listener)
    host.save()
    return host


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="serving.supervisor", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder of the environment")
    parser.add_argument("--shop", required=True, help="name of the shop")
    parser.add_argument("--environment", required=True, help="name of the environment")
    parser.add_argument("--port", type=int, required=True, help="preferred public port")
    parser.add_argument("--ledger", type=Path, required=True, help="outbox of finished rollouts")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--daemon", action="store_true", help="go to the background when ready")
    how.add_argument("--kept", action="store_true", help="an init system starts it again")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, kind: type[Supervisor] = Supervisor) -> int:
    """Run a supervisor; 0 when it ended as told, 1 when it could not begin."""
    options = _arguments(argv)
    options.home.mkdir(parents=True, exist_ok=True)
    ready = daemon.detach(options.home / "supervisor.log") if options.daemon else daemon.in_front()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        lock = own(options.home / LOCK, OWN_SECONDS)
        host = open_host(options.home, options.shop, options.environment, options.port)
    except (RefusedOrderError, record.RecordError, OSError) as error:
        ready(str(error))
        return 1
    supervisor = kind(host, options.ledger)
    supervisor.is_kept = options.kept
    asyncio.run(supervisor.run(lambda: ready("")))
    os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
