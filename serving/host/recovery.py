"""Puts a host back to what its record says, after a crash, a kill or a reboot at any moment."""

import logging

from serving.host.control import RefusedOrderError
from serving.host.host import Host
from serving.host.record import Colour
from serving.host.verification import UnhealthyError

log = logging.getLogger(__name__)


async def recover(host: Host) -> None:
    """End what was begun and not finished, and give the traffic to the recorded live colour."""
    for line in host.record.history:
        if line.state == "starting":
            line.state = "failed"
            line.reason = f"interrupted in the step `{line.step or 'begin'}`"
    for colour in list(host.record.colours.values()):
        is_kept = colour.state == "warm" and host.is_running(colour)
        if colour.name != host.record.live and not is_kept:
            await host.end(colour)
    host.save()
    live = host.record.live_colour
    if live:
        await restore(host, live)


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
