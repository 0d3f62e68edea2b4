"""Turns a shopper's id into the model's answer, with what they did until this moment."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from model.history import Event, UserState, user_state
from model.schema import PADDING_ID, VIEW
from serving.gateway.event_store import EventStoreError, Lately
from serving.gateway.model_client import ModelClient
from serving.gateway.posted_events import read_events
from serving.gateway.shoppers import ShopperStore

log = logging.getLogger(__name__)


class NotOfferedError(Exception):
    """This gateway does not do what is asked for; the message says why."""


class UnknownItemError(Exception):
    """The release does not know an item."""


@dataclass(frozen=True)
class Served:
    """The release behind a gateway, as its card tells it."""

    model_version: int
    digest: str
    top_k: int
    history_length: int
    frequent_length: int


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
        lately: What shoppers did since it was packed; None where no events are taken.
    """

    def __init__(
        self,
        served: Served,
        model: ModelClient,
        shoppers: ShopperStore,
        clock: Callable[[], float] = time.time,
        lately: Lately | None = None,
    ) -> None:
        self.served = served
        self.model = model
        self._shoppers = shoppers
        self._clock = clock
        self._lately = lately

    async def take(self, body: bytes) -> int:
        """Keep posted events; when this returns they are durable. How many ids were new.

        Raises:
            NotOfferedError: Events are not taken here.
            PostedEventsError: They break a rule; none was taken.
            EventStoreError: They cannot be kept now; none was taken.
        """
        if self._lately is None:
            raise NotOfferedError("no events are taken here: this gateway has no store for them")
        return await asyncio.to_thread(self._lately.store.add, read_events(body, time.time()))

    async def recommend(self, user_id: str, k: int) -> dict[str, Any]:
        """The k best items for a shopper; popularity for one without history."""
        at = self._clock()
        lately, is_degraded = self._done_lately(user_id, at)
        state = user_state(
            [*self._shoppers.events(user_id), *lately],
            at,
            self.served.history_length,
            self.served.frequent_length,
        )
        answer = await self._ask(state)
        return {
            "user_id": user_id,
            "items": self._described(_listed(answer)[:k]),
            "model_version": self.served.model_version,
            "known_items": answer["known_items"],
            "degraded": is_degraded,
        }

    async def similar(self, item_id: str, k: int) -> dict[str, Any]:
        """The k best items for somebody who has just looked at one, without that one.

        Raises:
            UnknownItemError: The model does not know the item.
        """
        at = self._clock()
        looked = [Event(item_id, VIEW, at - 1.0)]
        answer = await self._ask(
            user_state(looked, at, self.served.history_length, self.served.frequent_length)
        )
        if not answer["known_items"]:
            raise UnknownItemError(
                f"this release knows no item {item_id[:50]!r}; it learns of it when it is trained "
                "on events of it"
            )
        others = [pair for pair in _listed(answer) if pair[0] != item_id]
        return {
            "item_id": item_id,
            "items": self._described(others[:k]),
            "model_version": self.served.model_version,
            "degraded": False,
        }

    async def _ask(self, state: UserState) -> dict[str, Any]:
        return await self.model.recommend(
            {name: list(values) for name, values in state._asdict().items()}
        )

    def _done_lately(self, user_id: str, at: float) -> tuple[list[Event], bool]:
        """A shopper's events since the release was packed, and whether they cannot be told.

        They are as old as they are, also where the release's own events are seen from a standing
        moment.
        """
        if self._lately is None:
            return [], False
        try:
            events = self._lately.events(user_id)
        except EventStoreError as error:
            log.warning("answering without what shoppers just did: %s", error)
            return [], True
        shift = at - time.time()
        return [event._replace(timestamp=event.timestamp + shift) for event in events], False

    def _described(self, best: list[tuple[str, float]]) -> list[dict[str, Any]]:
        known = self._shoppers.items([item_id for item_id, _ in best])
        return [
            {"item_id": item_id, "score": score, **known.get(item_id, {})}
            for item_id, score in best
        ]


def _listed(answer: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The items of the model's answer with their scores, best first, without padding."""
    pairs = zip(answer["item_ids"], answer["scores"], strict=True)
    return [(item_id, score) for item_id, score in pairs if item_id != PADDING_ID]
