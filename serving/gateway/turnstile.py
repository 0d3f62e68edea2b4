"""Who answers a shopper's request while releases change: this gateway, or the one that follows it.

Requests that come by the public socket are answered here (`serving`), held for the moment of a
switch (`waiting`), or passed to the next colour (`relaying`); those of the private port are always
answered here. A request that begins after `relaying` was set can therefore never be answered by
this release, and the connection it came on is closed by its answer: never by a timer of ours, so
that no request is lost on its way to a closing connection.
"""

import asyncio
from collections.abc import Iterable
from typing import Literal

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.gateway.problems import MEDIA_TYPE, problem

Mode = Literal["waiting", "serving", "relaying"]
# Headers that belong to one connection, not to the request (RFC 9110, 7.6.1); our own server adds
# the date.
HOP_HEADERS = frozenset(
    (b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"date")
)
LONGEST_HOLD_SECONDS = 30.0


class Turnstile:
    """ASGI application in front of the gateway's own.

    Args:
        app: What answers here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = asyncio.Event()
        self._next: httpx.AsyncClient | None = None
        self.answered = 0
        self.failed = 0

    @property
    def mode(self) -> Mode:
        """What happens to a request that begins now."""
        if not self._open.is_set():
            return "waiting"
        return "serving" if self._next is None else "relaying"

    def serve(self) -> None:
        """Answer here from now on, held requests first."""
        self._next = None
        self._open.set()

    def wait(self) -> None:
        """Hold requests that begin from now on."""
        self._open.clear()

    def relay(self, address: str) -> None:
        """Pass requests that begin from now on to the gateway at `host:port`."""
        self._next = httpx.AsyncClient(
            base_url=f"http://{address}",
            trust_env=False,
            timeout=LONGEST_HOLD_SECONDS,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        )
        self._open.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request here or there."""
        if scope["type"] != "http" or not scope["state"].get("public"):
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answered += 1
                self.failed += message["status"] >= 500
            await send(message)

        try:
            await asyncio.wait_for(self._open.wait(), LONGEST_HOLD_SECONDS)
        except TimeoutError:
            await _say(counted, 503, "no release was given the traffic in time")
            return
        if self._next is None:
            await self._app(scope, receive, counted)
        else:
            await _pass_on(self._next, scope, receive, counted)


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers if name.lower() not in HOP_HEADERS]


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _pass_on(to: httpx.AsyncClient, scope: Scope, receive: Receive, send: Send) -> None:
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    target = httpx.URL(to.base_url, raw_path=scope["raw_path"] + query)
    try:
        request = httpx.Request(
            scope["method"], target, headers=_kept(scope["headers"]), content=await _body(receive)
        )
        answer = await to.send(request, stream=True)
        # Raw: an encoded body goes through as it came.
        content = b"".join([part async for part in answer.aiter_raw()])
        await answer.aclose()
    except httpx.HTTPError as error:
        await _say(send, 503, f"the release that took over does not answer ({error!r})")
        return
    headers = [*_kept(answer.headers.raw), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _say(send: Send, status: int, error: str) -> None:
    body = problem(status, error)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"retry-after", b"1"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
