"""A network for a rehearsal lies where this machine has no route."""

from ipaddress import IPv4Network

import pytest

from ci.errors import UnavailableError
from ci.rehearsal.networks import free_network

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
DEFAULT = "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"


def route(destination: str, mask: str) -> str:
    """A line of the kernel's table, where addresses are little-endian."""
    return f"tun0\t{destination}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0\n"


def test_it_is_private_and_two_differ():
    one, other = free_network(), free_network()
    assert one.prefixlen == 24
    assert one.is_private
    assert one != other


def test_it_keeps_away_from_every_route_but_the_default():
    # 10.0.0.0/9 is the lower half: what is left begins at 10.128.
    table = HEAD + DEFAULT + route("0000000A", "000080FF")
    chosen = [free_network(table) for _ in range(50)]
    assert all(net.subnet_of(IPv4Network("10.128.0.0/9")) for net in chosen)


def test_without_room_the_routes_are_named():
    with pytest.raises(UnavailableError, match=r"routes to all of it: 10\.0\.0\.0/8"):
        free_network(HEAD + route("0000000A", "000000FF"))
