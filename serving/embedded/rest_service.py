"""The REST side: TensorFlow Serving's paths as a bare ASGI application on uvicorn."""

import asyncio
import logging
import re
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import orjson
import uvicorn
from google.protobuf import json_format

from serving.embedded.engine import Deadline
from serving.embedded.messages import (
    GetModelMetadataRequest,
    GetModelStatusRequest,
    SignatureDefMap,
)
from serving.embedded.service import Service, Target
from serving.embedded.status import Code, ServingError, http_status, invalid

_LOG: Final = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES: Final = 16 * 2**20
MAX_PENDING: Final = 1024  # requests read but not answered; further ones get 503
_DRAIN_SECONDS: Final = 30
_VERSION: Final = r"(?:/versions/(?P<number>\d+)|/labels/(?P<label>[^/:]+))?"
_POST: Final = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<method>classify|regress|predict)", re.IGNORECASE
)
_GET: Final = re.compile(
    rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?P<metadata>/metadata)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Answer:
    """What goes back: HTTP status, body and its type."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"


class TooLargeError(Exception):
    """The body of a request has more than MAX_BODY_BYTES."""


class RestApi:
    """The ASGI application.

    Args:
        service: What answers.
        threads: Predictions that are worked on side by side.
        timeout_seconds: After which a request is answered with 504.
        metrics_path: Where the Prometheus page is; None serves none.
    """

    def __init__(
        self, service: Service, threads: int, timeout_seconds: float, metrics_path: str | None
    ) -> None:
        self._service = service
        self._pool = ThreadPoolExecutor(threads, "rest")
        self._timeout = timeout_seconds
        self._metrics_path = metrics_path
        self._pending = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        answer = await self._answer(scope, receive)
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", str(len(answer.body)).encode()),
        ]
        if answer.status == 413:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        try:
            return await self._route(scope, receive)
        except ServingError as error:
            return _failed(http_status(error.code), error.message)
        except TooLargeError:
            return _failed(413, f"The body of a request may have {MAX_BODY_BYTES} bytes.")
        except Exception as error:  # the client gets a status, the server lives on
            _LOG.exception("A REST request failed")
            return _failed(500, f"{type(error).__name__}: {error}")

    async def _route(self, scope: Scope, receive: Receive) -> Answer:
        path = scope["raw_path"].decode("latin-1")
        method = scope["method"]
        if method == "GET" and path == self._metrics_path:
            return Answer(200, self._service.metrics.page().encode(), b"text/plain")
        if not path.lower().startswith("/v1/"):
            return _failed(404, "Not Found")
        if method == "POST" and (match := _POST.fullmatch(path)):
            return await self._predict(match, await _body(scope, receive))
        if method == "GET" and (match := _GET.fullmatch(path)):
            return self._about(match)
        raise invalid(f"Malformed request: {method} {path}")

    async def _predict(self, match: re.Match[str], body: bytes) -> Answer:
        if match["method"].lower() != "predict":
            raise ServingError(
                Code.UNIMPLEMENTED, f"{match['method']} is not offered by this server; use predict."
            )
        if self._pending >= MAX_PENDING:
            raise ServingError(Code.UNAVAILABLE, f"{self._pending} requests are already waiting.")
        deadline = Deadline.after(self._timeout)
        self._pending += 1
        running = asyncio.get_running_loop().run_in_executor(
            self._pool, self._service.predict_json, _target(match), body, deadline
        )
        running.add_done_callback(self._finished)
        # The thread sees the same deadline; this one also ends the wait for a free thread.
        done, _ = await asyncio.wait({running}, timeout=self._timeout)
        if not done:
            running.cancel()
            raise ServingError(
                Code.DEADLINE_EXCEEDED, f"No answer within {self._timeout * 1000:.0f} ms."
            )
        return Answer(200, running.result())

    def _finished(self, running: "asyncio.Future[bytes]") -> None:
        self._pending -= 1
        if not running.cancelled():
            running.exception()  # seen: the error of a request that was given up is nobody's

    def _about(self, match: re.Match[str]) -> Answer:
        target = _target(match)
        if not target.name:
            raise invalid("Missing model name in request.")
        if match["metadata"]:
            return Answer(200, self._metadata(target))
        status = self._service.status(_fill(GetModelStatusRequest(), target))
        return Answer(200, _json(status).encode())

    def _metadata(self, target: Target) -> bytes:
        request = _fill(GetModelMetadataRequest(metadata_field=["signature_def"]), target)
        response = self._service.metadata(request)
        signatures = SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        spec = _json(response.model_spec)
        return (
            f'{{"model_spec": {spec}, "metadata": {{"signature_def": {_json(signatures)}}}}}'
        ).encode()


class RestServer:
    """Runs the application on a socket in a thread of its own.

    Args:
        application: The ASGI application.
        host: Address to listen on.
        port: TCP port.

    Raises:
        ServingError: UNAVAILABLE when the address cannot be bound.
    """

    def __init__(self, application: RestApi, host: str, port: int) -> None:
        self._socket = _bound(host, port)
        self._server = uvicorn.Server(
            uvicorn.Config(
                application,
                http="httptools",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # a gateway's pooled connection must not be closed under its next request
                timeout_keep_alive=75,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="rest", daemon=True
        )

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def drain(self) -> None:
        """Stops accepting and begins to finish the requests in flight."""
        self._server.should_exit = True

    def join(self) -> None:
        """Waits until the last request in flight is answered."""
        if self._thread.ident:
            self._thread.join()
        self._socket.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ServingError(
            Code.UNAVAILABLE, f"Cannot listen on {host}:{port} for REST: {error}"
        ) from error
    return bound


async def _body(scope: Scope, receive: Receive) -> bytes:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    if int(length) > MAX_BODY_BYTES:
        raise TooLargeError
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ServingError(Code.CANCELLED, "The client went away.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise TooLargeError
        more = message.get("more_body", False)
    return b"".join(parts)


def _target(match: re.Match[str]) -> Target:
    number, label = match["number"], match["label"]
    if number is not None and int(number) >= 2**63:
        raise invalid(f"Failed to convert version: {number} to numeric.")
    return Target(
        unquote(match["name"] or ""),
        None if number is None else int(number),
        None if label is None else unquote(label),
    )


def _fill(request: Any, target: Target) -> Any:
    request.model_spec.name = target.name
    if target.number is not None:
        request.model_spec.version.value = target.number
    if target.label is not None:
        request.model_spec.version_label = target.label
    return request


def _json(message: Any) -> str:
    printed: str = json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return printed


def _failed(status: int, message: str) -> Answer:
    return Answer(status, orjson.dumps({"error": message}))
