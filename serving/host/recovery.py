"""Puts a host back to what its record says, after a crash, a kill or a reboot at any moment."""

import logging

from serving.host.control import Caller, RefusedOrderError
from serving.host.host import Host
from serving.host.record import Colour
from serving.host.rollout import undo
from serving.host.verification import UnhealthyError

log = logging.getLogger(__name__)


async def recover(host: Host) -> None:
    """End what was begun and not finished, and give the traffic to the recorded live colour."""
    for line in host.record.history:
        if line.state == "starting":
            line.state = "failed"
            line.reason = f"interrupted in the step `{line.step or 'begin'}`"
    for colour in list(host.record.colours.values()):
        if colour.state == "starting":
            await host.end(colour)
    host.save()
    live = host.record.live_colour
    if live:
        await restore(host, live)
        await _finish(host, live)
    for colour in list(host.record.colours.values()):
        if colour.name != host.record.live and not host.is_running(colour):
            await host.end(colour)


async def _finish(host: Host, live: Colour) -> None:
    """Confirm the live release, or undo it, where its rollout was broken off before it did so."""
    line = host.record.latest_of(live.key)
    if line is None or not line.step:
        return
    try:
        await host.model_available(live, Caller(lambda _: None))
        await host.confirm(live)
        line.step = ""
        host.save()
    except UnhealthyError as error:
        former = next((c for c in host.record.colours.values() if c is not live), None)
        reason = f"interrupted in the step `{line.step}`; afterwards: {error}"
        await undo(host, line, former, live, reason)
        if former:
            await restore(host, former)


async def restore(host: Host, live: Colour) -> None:
    """Bring back what is missing of the live colour and make it take the traffic.

    The gateway serves at once: while its model loads it answers 503, which tells a client more
    than a connection that hangs.
    """
    try:
        await host.revive(live)
        await host.gateway_answers(live)
        await host.switch(live)
    except (UnhealthyError, RefusedOrderError, OSError) as error:
        log.warning("%s is not back yet: %s", live.name, error)
