"""Shoppers who ask without pause over kept-alive connections and never ask twice."""

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

PATH = "/v1/users/anna/recommendations?k=3"


@dataclass(frozen=True)
class Asked:
    """One request: when it began and ended, and what came back."""

    began: float
    ended: float
    status: int
    version: int
    error: str = ""


@dataclass
class Shoppers:
    """Threads that each hold one connection, as a shop's own servers do.

    Attributes:
        address: `host:port` of the public endpoint.
        count: How many ask at once.
    """

    address: str
    count: int = 4
    asked: list[Asked] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Shoppers":
        for _ in range(self.count):
            thread = threading.Thread(target=self._ask_on)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        while not self._stop.is_set():
            self.asked.append(ask_once(connection))
        connection.close()

    def wait_for(self, more: int) -> None:
        """Wait until that many more requests were answered."""
        goal = len(self.asked) + more
        deadline = time.monotonic() + 60
        while len(self.asked) < goal:
            assert time.monotonic() < deadline, f"only {len(self.asked)} of {goal} answers"
            self._stop.wait(0.01)

    @property
    def failed(self) -> list[Asked]:
        """Requests without a good answer."""
        return [one for one in self.asked if one.status != 200]

    def gone_back(self) -> list[Asked]:
        """Requests answered by an older release than an answer that came before they began."""
        by_end = sorted(self.asked, key=lambda one: one.ended)
        newest, position, back = 0, 0, []
        for one in sorted(self.asked, key=lambda one: one.began):
            while position < len(by_end) and by_end[position].ended <= one.began:
                newest = max(newest, by_end[position].version)
                position += 1
            if one.version < newest:
                back.append(one)
        return back


def ask_once(connection: http.client.HTTPConnection) -> Asked:
    """Ask once over a connection; it is opened anew only after the server announced its end."""
    began = time.monotonic()
    try:
        connection.request("GET", PATH)
        answer = connection.getresponse()
        text = answer.read()
        # A proxy that has nobody behind it says so in HTML.
        body = json.loads(text) if text.startswith(b"{") else {"error": text.decode()}
        version = int(body.get("model_version", 0))
        return Asked(began, time.monotonic(), answer.status, version, body.get("error", ""))
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return Asked(began, time.monotonic(), 0, 0, repr(error))
