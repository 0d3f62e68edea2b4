"""The process that asks: `python -m ci.rehearsal.shoppers PLAN`, until its plan or its input ends.

It prints lines of JSON: when it began, each request as it ends, and how many it has sent.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import cycle
from urllib.parse import quote

import httpx

from ci.rehearsal.plan import Plan
from ci.rehearsal.traffic import Request

MOST_CONNECTIONS = 64  # to a host; a request that finds none free waits, and its wait is counted


class Shoppers:
    """Ask as planned, each request once.

    Args:
        plan: What is asked, and how often.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._clients = {host: Clients(address) for host, address in plan.hosts.items()}
        self._began = time.monotonic()
        self._stopped = asyncio.Event()
        self.ended = self._began + plan.seconds  # of the asking; answers may come later
        self.sent = 0

    async def ask_all(self) -> None:
        """Ask until the plan is done or `stop` is called; then wait for the last answers."""
        _say({"began": self._began})
        async with asyncio.TaskGroup() as group:
            for number, (host, clients) in enumerate(self._clients.items()):
                lag = number / len(self._clients) / self._plan.per_second  # not all at once
                group.create_task(self._ask_host(host, clients, self._began + lag))

    def stop(self) -> None:
        """Send no more."""
        self.ended = min(self.ended, time.monotonic())
        self._stopped.set()

    async def _ask_host(self, host: str, clients: "Clients", first: float) -> None:
        async with clients.keeping, clients.opening, asyncio.TaskGroup() as group:
            for number, user_id in enumerate(cycle(self._plan.users)):
                due = first + number / self._plan.per_second
                if due >= self.ended or await self._stopped_before(due):
                    return
                self.sent += 1
                client = clients.opening if self._plan.opens(number) else clients.keeping
                group.create_task(self._ask(client, host, user_id, due))

    async def _stopped_before(self, moment: float) -> bool:
        try:
            async with asyncio.timeout(moment - time.monotonic()):
                return await self._stopped.wait()
        except TimeoutError:
            return False

    async def _ask(self, client: httpx.AsyncClient, host: str, user_id: str, due: float) -> None:
        sent, status, version = time.monotonic(), 0, 0
        try:
            async with asyncio.timeout(self._plan.timeout_seconds):
                answer = await client.get(self._plan.path.format(user_id=quote(user_id, safe="")))
            status, version, error = answer.status_code, release_of(answer), wrong_with(answer)
        except TimeoutError:
            error = f"no answer within {self._plan.timeout_seconds:g} s"
        except httpx.HTTPError as failure:
            error = f"{type(failure).__name__}: {failure}"
        ended = time.monotonic()
        _say(asdict(Request(host, user_id, due, sent, ended, status, version, error)))


def release_of(answer: httpx.Response) -> int:
    """The release that a gateway says it is; 0 where nobody says."""
    named = answer.headers.get("X-Model-Version", "")
    return int(named) if named.isdecimal() else 0


def wrong_with(answer: httpx.Response) -> str:
    """Why an answer is of no use to a shopper; "" for a good one."""
    if answer.status_code != httpx.codes.OK:
        return f"HTTP {answer.status_code}: {answer.text[:200]}"
    if not release_of(answer):
        return "the answer names no release (X-Model-Version)"
    try:
        items = answer.json()["items"]
    except (ValueError, KeyError, TypeError):
        return f"not a recommendation: {answer.text[:200]}"
    return "" if items else "the answer holds no items"


class Clients:
    """Who asks a host: one keeps its connections, the other opens one a request and closes it."""

    def __init__(self, address: str) -> None:
        self.keeping = _client(address, kept=MOST_CONNECTIONS)
        self.opening = _client(address, kept=0)


def _client(address: str, kept: int) -> httpx.AsyncClient:
    # A lost request stays lost.
    limits = httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=kept)
    transport = httpx.AsyncHTTPTransport(retries=0, limits=limits, trust_env=False)
    url = f"http://{address}"
    # The time limit is that of a whole request, in `_ask`, not of each of its steps.
    return httpx.AsyncClient(base_url=url, transport=transport, timeout=None, trust_env=False)  # noqa: S113


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def run(plan: Plan) -> None:
    """Ask as planned; stop when the standard input ends, as it does with who started it."""
    shoppers, loop = Shoppers(plan), asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_reader(sys.stdin)
        shoppers.stop()

    loop.add_reader(sys.stdin, stop)
    await shoppers.ask_all()
    _say({"sent": shoppers.sent, "ended": shoppers.ended})


def main(argv: Sequence[str]) -> None:
    """Read the plan from the command line and ask."""
    fields = json.loads(argv[0])
    asyncio.run(run(Plan(**{**fields, "users": tuple(fields["users"])})))


if __name__ == "__main__":
    main(sys.argv[1:])
