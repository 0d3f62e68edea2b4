"""What became of each request of a load: failures, latencies, and which release answered."""

import math
from dataclasses import dataclass, replace

FAILURES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Request:
    """One request and its end; moments are those of `time.monotonic()`.

    Attributes:
        host: Who was asked.
        user_id: For whom.
        due: When the load wanted it sent.
        sent: When it was sent; later than `due` on a machine that is too busy.
        ended: When the whole answer was there, or the request had failed.
        status: Of HTTP; 0 where no answer came.
        model_version: The release that answered; 0 where the answer does not tell.
        error: Why it failed; "" for a good answer.
    """

    host: str
    user_id: str
    due: float
    sent: float
    ended: float
    status: int
    model_version: int
    error: str = ""

    @property
    def latency(self) -> float:
        """Seconds from when it was due: a queue, even this machine's own, is not left out."""
        return self.ended - self.due


@dataclass(frozen=True)
class Traffic:
    """The requests that were due from `began` to `ended`."""

    requests: tuple[Request, ...]
    began: float
    ended: float

    @property
    def failures(self) -> list[Request]:
        """Requests without a good answer."""
        return [request for request in self.requests if request.error]

    @property
    def hosts(self) -> list[str]:
        """Who was asked, by name."""
        return sorted({request.host for request in self.requests})

    def of(self, host: str) -> "Traffic":
        """The part that one host was asked."""
        chosen = tuple(request for request in self.requests if request.host == host)
        return replace(self, requests=chosen)

    def between(self, start: float, end: float) -> "Traffic":
        """The part that was due in a window.

        Raises:
            ValueError: There was no load during some of the window, so it would prove nothing.
        """
        if not self.began <= start < end <= self.ended:
            raise ValueError(
                f"The load lasted from {self.began:.2f} to {self.ended:.2f}, the window from "
                f"{start:.2f} to {end:.2f} is not inside: let the load last longer"
            )
        chosen = tuple(request for request in self.requests if start <= request.due < end)
        return Traffic(chosen, start, end)

    def percentile(self, share: float) -> float:
        """The latency, in seconds, that this share of all requests did not exceed.

        Failures count with the time they took: a request that nobody answered is a slow one.

        Args:
            share: 0.99 is p99; the smallest latency that covers it is one that was measured.

        Raises:
            ValueError: There are no requests, or the share is not above 0 and up to 1.
        """
        if not self.requests or not 0 < share <= 1:
            raise ValueError(
                f"A percentile needs requests and a share above 0 and up to 1; "
                f"there are {len(self.requests)} and the share is {share}"
            )
        latencies = sorted(request.latency for request in self.requests)
        return latencies[math.ceil(share * len(latencies)) - 1]

    def releases(self, host: str) -> list[int]:
        """The releases that answered on a host, in the order of their first answers."""
        return list(dict.fromkeys(request.model_version for request in self._answered(host)))

    def gone_back(self, host: str) -> list[Request]:
        """Requests sent after an answer of one release and answered by an older one."""
        answered = self._answered(host)
        newest, position, back = 0, 0, []
        for request in sorted(answered, key=lambda one: one.sent):
            while position < len(answered) and answered[position].ended <= request.sent:
                newest = max(newest, answered[position].model_version)
                position += 1
            if request.model_version < newest:
                back.append(request)
        return back

    def monotonic(self, host: str) -> bool:
        """Whether no answer of a host ever went back to an older release."""
        return not self.gone_back(host)

    def _answered(self, host: str) -> list[Request]:
        answers = (one for one in self.requests if one.host == host and not one.error)
        return sorted(answers, key=lambda one: one.ended)

    def summary(self) -> str:
        """A line a host: requests, failures, latencies, releases in order; then some failures."""
        head = f"{'host':<12} {'sent':>6} {'failed':>6} {'p50 ms':>7} {'p99 ms':>7}  releases"
        failures = [
            f"{one.host}, {one.user_id}: {one.error}" for one in self.failures[:FAILURES_SHOWN]
        ]
        return "\n".join([head, *map(self._line, self.hosts), *failures])

    def _line(self, host: str) -> str:
        part = self.of(host)
        p50, p99 = (1000 * part.percentile(share) for share in (0.5, 0.99))
        failed, releases = len(part.failures), " → ".join(map(str, part.releases(host)))
        return f"{host:<12} {len(part.requests):>6} {failed:>6} {p50:>7.0f} {p99:>7.0f}  {releases}"
