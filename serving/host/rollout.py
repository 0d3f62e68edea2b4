"""Changes the release that serves: start, verify, switch, confirm; undone where it is not healthy.

The record is written before each step, and names the new colour as live before its first answer:
a supervisor that dies anywhere is followed by one that reads the record and puts the traffic
where it says. Releases never go back on a host except by a rollback or an undo.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from serving.host import releases
from serving.host.control import Caller, RefusedOrderError
from serving.host.host import Host
from serving.host.record import Colour, Record, Release
from serving.host.verification import UnhealthyError

ORDER_TROUBLE = (OSError, RefusedOrderError)


def _now() -> float:
    """Seconds by the event loop's clock."""
    return asyncio.get_running_loop().time()


class AbandonedError(Exception):
    """Whoever asked for the rollout went away before the traffic moved."""


EXPECTED = (UnhealthyError, AbandonedError, *ORDER_TROUBLE)


@dataclass(frozen=True)
class Request:
    """Who asks for which release, by its key; as part of which rollout, by whose word."""

    kind: Literal["deploy", "rollback"]
    key: str
    who: str
    commit: str
    rollout: str = ""
    approved_by: str = ""
    override_freeze: str = ""


class Rollout:
    """One change of release on a host.

    Args:
        host: Where.
        request: What is asked for, by whom.
        caller: Hears of progress; when it hangs up before the switch, all is undone.
    """

    def __init__(self, host: Host, request: Request, caller: Caller) -> None:
        self.host = host
        self.record = host.record
        self.request = request
        self.caller = caller
        self._placed = releases.load(host.home, request.key)
        self._failed_before: dict[str, int] = {}
        self._started = 0.0
        number = max((one.number for one in self.record.history), default=0) + 1
        self.line = Release(
            number=number,
            kind=request.kind,
            model_version=self._placed.model_version,
            digest=self._placed.digest,
            engine=self._placed.engine,
            images=dict(self._placed.images),
            state="starting",
            who=request.who,
            commit=request.commit or self._placed.commit,
            rollout=request.rollout,
            approved_by=request.approved_by,
            override_freeze=request.override_freeze,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def enter(self, step: str, what: str) -> None:
        """Write down and tell a step that the caller may still call off by going away.

        Raises:
            AbandonedError: The caller is gone.
        """
        if self.caller.is_gone:
            raise AbandonedError(f"the caller went away before the step `{step}`")
        self.tell(step, what)

    def tell(self, step: str, what: str) -> None:
        """Write down and tell the step that begins now."""
        self.line.step = step
        self.host.save()
        self.caller.say(step=step, what=what)

    async def run(self) -> Release:
        """Carry the rollout out.

        Returns:
            The line of the history; its state is `live`, or `failed` with the reason.
        """
        self._started = _now()
        self.record.history.append(self.line)
        former = self.record.live_colour
        self._failed_before = await self.host.failed()
        colour: Colour | None = None
        try:
            colour = await self._bring_up()
            await self._take_over(colour)
        except Exception as error:
            await self._undo(former, colour, str(error) or repr(error))
            if not isinstance(error, EXPECTED):
                raise  # a bug: undone all the same, and told as one
        return self.line

    async def _bring_up(self) -> Colour:
        """A colour that holds the release, runs and is verified: the warm one, or a new one."""
        held = self.record.holder_of(self.request.key)
        if held and await self._is_good(held):
            return held
        name = self.record.other
        await self._make_room(name)
        self.line.colour = name
        self.enter(
            "start", f"{name}: model server and gateway of release {self.line.model_version}"
        )
        colour = self.host.add(name, self._placed)
        await self.host.start(colour)
        self.enter("load", f"{name}: waiting for the model ({colour.engine})")
        await self.host.gateway_answers(colour)
        await self.host.model_available(colour, self.caller)
        self.enter("verify", f"{name}: golden requests and one shopper's recommendations")
        await self.host.verify(colour)
        return colour

    async def _is_good(self, held: Colour) -> bool:
        """Whether a colour that holds the release still runs and answers as it must."""
        if held.state != "warm" or not self.host.is_running(held):
            return False
        self.line.colour, self.line.warm = held.name, True
        self.enter("verify", f"{held.name} still runs release {held.model_version}")
        try:
            await self.host.verify(held)
        except UnhealthyError as error:
            self.line.warm = False
            self.caller.say(step="verify", what=f"not healthy any more, starting anew: {error}")
            return False
        return True

    async def _make_room(self, name: str) -> None:
        """End the colour whose place is needed, once its last connections are gone."""
        colour = self.record.colours.get(name)
        if colour is None:
            return
        self.enter("drain", f"{name}: ending warm release {colour.model_version}")
        patience = self._placed.drain_seconds if self.host.is_running(colour) else 0.0
        deadline = _now() + patience
        while _now() < deadline:
            if await self.host.connections(colour) == 0:
                break
            await asyncio.sleep(0.1)
        await self.host.end(colour)

    async def _take_over(self, colour: Colour) -> None:
        self.enter("switch", f"moving the traffic to {colour.name}")
        self._write_live(colour)
        await self.host.switch(colour)
        # From here on nobody's leaving changes anything: the traffic has moved.
        self.tell("confirm", f"port {self.record.port} must answer as this release")
        await self.host.confirm(colour)
        self.line.step = ""
        self.line.seconds = round(_now() - self._started, 3)
        self.line.failed_requests = await self._failed_since()
        self.host.save()

    def _write_live(self, colour: Colour) -> None:
        """From now on this colour is where traffic belongs, whatever happens to us."""
        former = self.record.live_colour
        leaves: Literal["withdrawn", "previous"] = (
            "withdrawn" if self.request.kind == "rollback" else "previous"
        )
        for line in self.record.history:
            if line.state == "live":
                line.state = leaves
        if former:
            former.state = "warm"
        colour.state = "live"
        self.record.live = colour.name
        self.line.state = "live"
        self.host.save()

    async def _undo(self, former: Colour | None, colour: Colour | None, reason: str) -> None:
        """Put the traffic back where it was and end what was begun."""
        self.line.seconds = round(_now() - self._started, 3)
        unfinished = colour or self.record.colours.get(self.line.colour)
        await undo(self.host, self.line, former, unfinished, reason)
        self.line.failed_requests = await self._failed_since()
        self.host.save()

    async def _failed_since(self) -> int:
        """Public requests that failed while this rollout was under way."""
        now = await self.host.failed()
        return sum(count - self._failed_before.get(who, 0) for who, count in now.items())


async def take_back(host: Host, key: str, reason: str) -> bool:
    """Undo a release that went live here, because the fleet does not go on with it.

    Args:
        host: Where.
        key: The release's key.
        reason: Why, for the history.

    Returns:
        Whether it was live here and is no more.
    """
    live = host.record.live_colour
    line = host.record.latest_of(key)
    if live is None or live.key != key or line is None:
        return False
    others = (c for c in host.record.colours.values() if c is not live and host.is_running(c))
    warm, target = next(others, None), host.record.rollback_target()
    if warm is None and target:  # the release before ended meanwhile: it is started anew
        line.reason = reason
        request = Request("rollback", target.key, line.who, "", line.rollout)
        return (await Rollout(host, request, Caller(lambda _: None)).run()).state == "live"
    await undo(host, line, warm, live, reason)
    return True


async def undo(
    host: Host, line: Release, former: Colour | None, colour: Colour | None, reason: str
) -> None:
    """Write a rollout off, put the traffic back where it was, and end what was begun."""
    moved = line.state == "live"
    line.state, line.reason = "failed", reason
    if moved:
        _write_back(host.record, former)
    stays_warm = line.warm and colour and host.is_running(colour)
    ends = colour if colour and colour.name != host.record.live and not stays_warm else None
    if ends:
        ends.state = "starting"  # so that a recovery does not keep it either
    host.save()
    if moved:
        with contextlib.suppress(*ORDER_TROUBLE):  # dead: the watch restarts what is live
            await (host.switch(former) if former else host.forsake())
    if ends:
        await host.end(ends)


def _write_back(known: Record, former: Colour | None) -> None:
    for colour in known.colours.values():
        colour.state = "live" if colour is former else "warm"
    known.live = former.name if former else ""
    if former:
        line = known.latest_of(former.key)
        if line:
            line.state = "live"
