"""The shopper's door: the routes of one release over HTTP; no TensorFlow in this process."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.gateway.event_store import EventStoreError
from serving.gateway.model_client import ModelUnavailableError
from serving.gateway.posted_events import MOST_BYTES, PostedEventsError
from serving.gateway.problems import MEDIA_TYPE, problem
from serving.gateway.recommender import NotOfferedError, Recommender, UnknownItemError

DEFAULT_ITEMS = 10
LONGEST_ID = 256


class BadRequestError(Exception):
    """The shopper's request cannot be answered; the message says why."""


class TooLargeError(Exception):
    """More was posted than is read."""


# What is wrong with a request, and the status that tells so.
STATUSES: Final[Mapping[type[Exception], int]] = {
    BadRequestError: 400,
    NotOfferedError: 404,
    UnknownItemError: 404,
    TooLargeError: 413,
    PostedEventsError: 422,
}


def wanted_items(text: str | None, top_k: int) -> int:
    """Read how many items are wanted, 1 to `top_k`.

    Raises:
        BadRequestError: Not a whole number, or outside what the model was exported with.
    """
    if text is None:
        return min(DEFAULT_ITEMS, top_k)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= top_k):
        raise BadRequestError(f"k is {text[:20]!r}, it must be a whole number from 1 to {top_k}")
    return int(text)


def _id(request: Request, kind: str) -> str:
    """The id of a user or an item in the path.

    Raises:
        BadRequestError: It is empty or too long.
    """
    found: str = request.path_params[f"{kind}_id"]
    if not 0 < len(found) <= LONGEST_ID:
        raise BadRequestError(
            f"the {kind} id has {len(found)} characters, allowed are 1 to {LONGEST_ID}"
        )
    return found


async def _body(request: Request) -> bytes:
    """The body of a request, no more of it than is allowed.

    Raises:
        TooLargeError: It is longer.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise TooLargeError(
                f"the body is longer than {MOST_BYTES:,} bytes; post fewer events at a time"
            )
    return body


class Api:
    """The routes of one release; each answer names it.

    Args:
        recommender: Answers for it.
    """

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender
        self._version = {"X-Model-Version": str(recommender.served.model_version)}

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/events", self.events, methods=["POST"]),
                Route("/v1/users/{user_id:path}/recommendations", self.recommendations),
                Route("/v1/items/{item_id:path}/similar", self.similar),
                Route("/healthz", self.healthz),
                Route("/readyz", self.readyz),
            ],
            exception_handlers={
                **dict.fromkeys(STATUSES, self.refused),
                ModelUnavailableError: self.unavailable,
                EventStoreError: self.unavailable,
                HTTPException: self.not_served,
                500: self.not_served,
            },
        )

    async def recommendations(self, request: Request) -> Response:
        """The best items for a shopper."""
        user_id = _id(request, "user")
        return self._answer(await self._recommender.recommend(user_id, self._wanted(request)))

    async def similar(self, request: Request) -> Response:
        """The best items for somebody who looks at one."""
        item_id = _id(request, "item")
        return self._answer(await self._recommender.similar(item_id, self._wanted(request)))

    def _wanted(self, request: Request) -> int:
        return wanted_items(request.query_params.get("k"), self._recommender.served.top_k)

    async def events(self, request: Request) -> Response:
        """Take what shoppers did; acknowledged once it is durable."""
        return self._answer({"accepted": await self._recommender.take(await _body(request))})

    async def healthz(self, _: Request) -> Response:
        """Whether this process answers."""
        return self._answer({"status": "up"})

    async def readyz(self, _: Request) -> Response:
        """Whether the model of this release is loaded too."""
        served = self._recommender.served
        is_ready = await self._recommender.model.is_available()
        body = {"model_version": served.model_version, "digest": served.digest}
        return self._answer(
            {"status": "ready" if is_ready else "model not available", **body},
            200 if is_ready else 503,
        )

    async def refused(self, _: Request, error: Exception) -> Response:
        """What was asked for cannot be."""
        return self._told(STATUSES[type(error)], str(error))

    async def unavailable(self, _: Request, error: Exception) -> Response:
        """What is needed for the answer is not there now."""
        return self._told(503, str(error), **{"Retry-After": "1"})

    async def not_served(self, _: Request, error: Exception) -> Response:
        """No such route, or a mistake of ours."""
        if isinstance(error, HTTPException):
            return self._told(error.status_code, error.detail)
        return self._told(500, "the gateway made a mistake; its log tells")

    def _answer(self, body: dict[str, Any], status: int = 200) -> Response:
        content = orjson.dumps(body)
        return Response(content, status, self._version, media_type="application/json")

    def _told(self, status: int, detail: str, **headers: str) -> Response:
        body = problem(status, detail)
        return Response(body, status, self._version | headers, media_type=MEDIA_TYPE)
