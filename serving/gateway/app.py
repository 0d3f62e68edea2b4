"""The shopper's door: recommendations over HTTP from one release; no TensorFlow in this process."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from model.history import user_state
from model.schema import PADDING_ID
from serving.gateway.model_client import ModelClient, ModelUnavailableError
from serving.gateway.shoppers import ShopperStore

DEFAULT_ITEMS = 10
LONGEST_USER_ID = 256


@dataclass(frozen=True)
class Served:
    """The release behind a gateway, as its card tells it."""

    model_version: int
    digest: str
    top_k: int
    history_length: int
    frequent_length: int


class BadRequestError(Exception):
    """The shopper's request cannot be answered; the message says why."""


def clock(fixed: float | None) -> Callable[[], float]:
    """The moment as of which is answered: one that stands, or now."""
    return time.time if fixed is None else lambda: fixed


class Recommender:
    """Turns a shopper's id into the model's answer.

    Args:
        served: The release.
        model: Line to its model server.
        shoppers: The events packed with it.
        clock: Present moment in seconds since 1970 UTC.
    """

    def __init__(
        self,
        served: Served,
        model: ModelClient,
        shoppers: ShopperStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.served = served
        self.model = model
        self._shoppers = shoppers
        self._clock = clock

    async def recommend(self, user_id: str, k: int) -> dict[str, Any]:
        """The k best items for a shopper; popularity for one without history."""
        state = user_state(
            self._shoppers.events(user_id),
            self._clock(),
            self.served.history_length,
            self.served.frequent_length,
        )
        answer = await self.model.recommend(
            {name: list(values) for name, values in state._asdict().items()}
        )
        best = [
            (item_id, score)
            for item_id, score in zip(answer["item_ids"], answer["scores"], strict=True)
            if item_id != PADDING_ID
        ][:k]
        return {
            "user_id": user_id,
            "items": self._described(best),
            "model_version": self.served.model_version,
            "known_items": answer["known_items"],
        }

    def _described(self, best: list[tuple[str, float]]) -> list[dict[str, Any]]:
        titles = self._shoppers.titles([item_id for item_id, _ in best])
        return [
            {"item_id": item_id, "score": score}
            | ({"title": titles[item_id]} if item_id in titles else {})
            for item_id, score in best
        ]


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


def build(recommender: Recommender) -> Starlette:
    """Make the application of one release."""
    served = recommender.served
    version_header = {"X-Model-Version": str(served.model_version)}

    def answer(body: dict[str, Any], status: int = 200, **headers: str) -> Response:
        return Response(
            orjson.dumps(body), status, version_header | headers, media_type="application/json"
        )

    async def recommendations(request: Request) -> Response:
        user_id = request.path_params["user_id"]
        if not 0 < len(user_id) <= LONGEST_USER_ID:
            raise BadRequestError(
                f"the user id has {len(user_id)} characters, allowed are 1 to {LONGEST_USER_ID}"
            )
        k = wanted_items(request.query_params.get("k"), served.top_k)
        return answer(await recommender.recommend(user_id, k))

    async def healthz(_: Request) -> Response:
        return answer({"status": "up"})

    async def readyz(_: Request) -> Response:
        is_ready = await recommender.model.is_available()
        body = {"model_version": served.model_version, "digest": served.digest}
        return answer(
            {"status": "ready" if is_ready else "model not available", **body},
            200 if is_ready else 503,
        )

    async def refused(_: Request, error: Exception) -> Response:
        return answer({"error": str(error)}, 400)

    async def unavailable(_: Request, error: Exception) -> Response:
        return answer({"error": str(error)}, 503, **{"Retry-After": "1"})

    async def not_served(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = error.detail if isinstance(error, HTTPException) else "internal error"
        return answer({"error": detail}, status)

    return Starlette(
        routes=[
            Route("/v1/users/{user_id:path}/recommendations", recommendations),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ],
        exception_handlers={
            BadRequestError: refused,
            ModelUnavailableError: unavailable,
            HTTPException: not_served,
            500: not_served,
        },
    )
