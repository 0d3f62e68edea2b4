"""Puts a host back to what its record says, after a crash, a kill or a reboot at any moment."""

import contextlib
import logging
import socket
from pathlib import Path

from serving.host import control, processes
from serving.host.colours import Host, bind
from serving.host.record import Colour, Record
from serving.host.rollout import ORDER_TROUBLE, switch
from serving.host.verification import UnhealthyError

log = logging.getLogger(__name__)


def find_listener(known: Record) -> socket.socket:
    """The public socket: taken over from a gateway that still has it, else bound anew.

    A gateway outlives its supervisor and goes on serving; taking its socket over keeps every
    connection that waits in it.

    Raises:
        OSError: No port is free.
    """
    for colour in sorted(known.colours.values(), key=lambda one: one.name != known.live):
        if processes.is_alive(colour.gateway):
            with contextlib.suppress(*ORDER_TROUBLE):
                path = Path(known.sockets) / f"{colour.name}.sock"
                return socket.socket(fileno=control.ask(path, {"order": "listener"})["descriptor"])
    return bind(known.port or known.preferred_port)


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
    """Bring the live colour's missing processes back and make it take the traffic.

    The gateway serves at once: while its model loads it answers 503, which tells a client more
    than a connection that hangs.
    """
    if not processes.is_alive(live.model) and not processes.is_alive(live.gateway):
        host.renumber(live)  # after a reboot others may have the ports
    if not processes.is_alive(live.model):
        log.warning("starting the model server of %s", live.name)
        host.start_model(live)
    if not processes.is_alive(live.gateway):
        log.warning("starting the gateway of %s", live.name)
        host.start_gateway(live)
    try:
        await host.gateway_answers(live)
        await switch(host, live)
    except (UnhealthyError, *ORDER_TROUBLE) as error:
        log.warning("%s is not back yet: %s", live.name, error)
