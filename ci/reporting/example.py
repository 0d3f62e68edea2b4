"""One shopper's recommendations from the bundle's card: what the model does, at a glance."""

from dataclasses import dataclass

from ci.reporting.gathered import Gathered, Json
from model.schema import PADDING_ID

SHOWN = 10
RECENT = 5


@dataclass(frozen=True)
class Line:
    """One item: its id, its title where the catalogue has one, what to note about it."""

    item_id: str
    title: str
    note: str = ""


@dataclass(frozen=True)
class Example:
    """The last actions of a shopper and the answer to them."""

    history: tuple[Line, ...]
    answer: tuple[Line, ...]


def example_of(gathered: Gathered) -> Example | None:
    """The golden request with the longest history and its answer; None without a card."""
    golden = gathered.card.get("golden") or {}
    pairs = list(zip(golden.get("requests", []), golden.get("answers", []), strict=False))
    if not pairs:
        return None
    request, answer = max(pairs, key=lambda pair: len(_known(pair[0].get("history", []))))
    history = _known(request.get("history", []))
    kinds = _aligned(request, len(history))
    seen = {*history, *_known(request.get("frequent_items", []))}
    recent = list(zip(history, kinds, strict=True))[::-1][:RECENT]
    return Example(
        history=tuple(_line(item, kind, gathered) for item, kind in recent),
        answer=tuple(
            _line(item, "seen before" if item in seen else "new to this shopper", gathered)
            for item in _known(answer.get("item_ids", []))[:SHOWN]
        ),
    )


def _known(items: list[str]) -> list[str]:
    return [item for item in items if item != PADDING_ID]


def _aligned(request: Json, length: int) -> list[str]:
    """The event types of the history's known part; lists are padded on the left."""
    kinds = [str(kind) for kind in request.get("history_event_type", [])]
    kinds = kinds[len(kinds) - length :] if length else []
    return [""] * (length - len(kinds)) + kinds


def _line(item: str, note: str, gathered: Gathered) -> Line:
    return Line(item, gathered.catalogue.get(item, ""), note)
