"""Addresses for a rehearsal that no network of this machine uses."""

import random
import socket
import struct
from ipaddress import IPv4Network
from pathlib import Path

from ci.errors import UnavailableError

ROUTES = Path("/proc/net/route")


def free_network(routes: str | None = None) -> IPv4Network:
    """A /24 of 10.0.0.0/8 that no route of this machine overlaps.

    By chance, so that two rehearsals that start at once do not choose the same.

    Args:
        routes: The kernel's table; None: as it is now.

    Raises:
        UnavailableError: Routes cover all of it.
    """
    used = _destinations(ROUTES.read_text() if routes is None else routes)
    every = list(IPv4Network("10.0.0.0/8").subnets(new_prefix=24))
    for net in random.sample(every, 1000):
        if not any(net.overlaps(other) for other in used):
            return net
    raise UnavailableError(
        "A rehearsal needs a free /24 of 10.0.0.0/8, and this machine has routes to all of it: "
        + ", ".join(map(str, used))
    )


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _destinations(table: str) -> list[IPv4Network]:
    """Destinations of the kernel's table; the default route is everybody's, so it is left out."""
    words = [line.split() for line in table.splitlines()[1:]]
    found = [(_dotted(line[1]), _dotted(line[7])) for line in words if line[7] != "00000000"]
    return [IPv4Network(pair, strict=False) for pair in found]


def _dotted(little_endian: str) -> str:
    return socket.inet_ntoa(struct.pack("<L", int(little_endian, 16)))
