"""What a load asks, whom, and how often: within bounds, and of this machine alone."""

import ipaddress
from dataclasses import dataclass

from ci.errors import UsageError

MOST_PER_SECOND = 500.0
MOST_SECONDS = 1800.0


@dataclass(frozen=True)
class Plan:
    """A constant load: each host is asked at a fixed pace, whether it answers or not.

    Attributes:
        hosts: Address (`127.0.0.1:port`) by name.
        per_second: Requests to each host.
        seconds: How long at most.
        users: Whom it asks for, in turn.
        path: With `{user_id}`.
        timeout_seconds: After which a shopper gives up.
        new_connections: Share of the requests that open a connection of their own, as phones do;
            the others keep theirs and use it again, as a shop's servers do.

    Raises:
        UsageError: An address is not of this machine, the load has no bound worth the name, or the
            share is none.
    """

    hosts: dict[str, str]
    per_second: float = 25.0
    seconds: float = 300.0
    users: tuple[str, ...] = ("anna", "bob", "carol", "dave")
    path: str = "/v1/users/{user_id}/recommendations?k=3"
    timeout_seconds: float = 10.0
    new_connections: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what could load anything but a rehearsal."""
        for address in self.hosts.values():
            if not _is_loopback(address):
                raise UsageError(
                    f"A load asks loopback addresses alone, such as 127.0.0.1:8080; "
                    f"{address!r} is none. Publish the host's port on 127.0.0.1."
                )
        if not self.hosts or not self.users:
            raise UsageError("A load needs a host to ask and a user to ask for.")
        total = self.per_second * len(self.hosts)
        if not (0 < total <= MOST_PER_SECOND and 0 < self.seconds <= MOST_SECONDS):
            raise UsageError(
                f"A load of {total:g} requests a second for {self.seconds:g} s is out of bounds: "
                f"up to {MOST_PER_SECOND:g} a second over all hosts, for up to {MOST_SECONDS:g} s."
            )
        if not 0 <= self.new_connections <= 1:
            raise UsageError(
                f"A share of {self.new_connections:g} of the requests cannot open connections of "
                "their own: it is from 0 to 1."
            )

    def opens(self, number: int) -> bool:
        """Whether a host's request of this number, from 0 on, opens a connection of its own."""
        return int((number + 1) * self.new_connections) > int(number * self.new_connections)


def _is_loopback(address: str) -> bool:
    host, colon, port = address.rpartition(":")
    try:
        return colon == ":" and port.isdecimal() and ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False  # a name may lead anywhere
