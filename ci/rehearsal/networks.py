"""Addresses for a rehearsal that no network of this machine uses."""

import random
import socket
import struct
from ipaddress import IPv4Network
from pathlib import Path

from ci.errors import UnavailableError

ROUTES = Path("/proc/net/route")


def free_network(seed: int | None = None) -> IPv4Network:
    """A /24 of 10.0.0.0/8 that no route of this machine overlaps.

    Args:
        seed: Two at the same time ask for different ones; None: by chance.
    """
    used = _routes(ROUTES.read_text())
    chance = random.Random(seed)  # noqa: S311  no secret
    for _ in range(1000):
        net = IPv4Network((f"10.{chance.randrange(64, 255)}.{chance.randrange(256)}.0", 24))
        if not any(net.overlaps(other) for other in used):
            return net
    raise UnavailableError(f"The routes of this machine leave no /24 of 10.0.0.0/8: {used}")


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _routes(table: str) -> list[IPv4Network]:
    """Destinations of the kernel's table; the default route is everybody's, so it is left out."""
    words = [line.split() for line in table.splitlines()[1:]]
    found = [(_dotted(line[1]), _dotted(line[7])) for line in words if line[7] != "00000000"]
    return [IPv4Network(pair, strict=False) for pair in found]


def _dotted(little_endian: str) -> str:
    return socket.inet_ntoa(struct.pack("<L", int(little_endian, 16)))
