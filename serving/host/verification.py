"""Proves that a colour answers as its release must, before and after it gets traffic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from serving.host.calls import Answer, CallError, call
from serving.host.releases import Placed


class UnhealthyError(Exception):
    """A colour does not answer as its release must; the message holds what was seen."""


@dataclass(frozen=True)
class Ranked:
    """A ranked list: item ids and their scores, best first."""

    item_ids: Sequence[str]
    scores: Sequence[float]


def difference(expected: Ranked, seen: Ranked, tolerance: float) -> str | None:
    """Say how two ranked lists differ beyond rounding, or None when they do not.

    Scores may differ by the tolerance, so items whose scores are that close may swap places, also
    across the end of the list; anything else is a different answer.

    Args:
        expected: What the trained model answers.
        seen: What the server answers.
        tolerance: Largest difference of scores, absolute, or relative where scores exceed 1.
    """
    if len(expected.item_ids) != len(seen.item_ids):
        return f"{len(seen.item_ids)} items, expected {len(expected.item_ids)}"
    for rank, (want, got) in enumerate(zip(expected.scores, seen.scores, strict=True), start=1):
        if not _is_close(want, got, tolerance):
            return f"score {got:.6g} at rank {rank}, expected {want:.6g} within {tolerance:g}"
    scores = dict(zip(seen.item_ids, seen.scores, strict=True))
    for item_id, want in zip(expected.item_ids, expected.scores, strict=True):
        # Missing is right only for an item that may have swapped with one beyond the end.
        got = scores.get(item_id, expected.scores[-1])
        if not _is_close(want, got, tolerance if item_id in scores else 2 * tolerance):
            seen_at = f"scores {got:.6g}" if item_id in scores else "is missing"
            return f"item {item_id} {seen_at}, expected {want:.6g} within {tolerance:g}"
    return None


def _is_close(want: float, got: float, tolerance: float) -> bool:
    return abs(want - got) <= tolerance * max(1.0, abs(want))  # False for NaN


def model_state(address: str, placed: Placed) -> str:
    """State of the release's version as its model server tells it, e.g. AVAILABLE.

    Raises:
        CallError: Nobody answers yet.
        UnhealthyError: The server gave the version up.
    """
    path = f"/v1/models/{placed.task}/versions/{placed.model_version}"
    answer = call(address, path)
    if answer.status != 200:
        return f"HTTP {answer.status}"
    status = answer.body["model_version_status"][0]
    state: str = status["state"]
    if state == "END":
        raise UnhealthyError(f"the model did not load: {status['status'].get('error_message', '')}")
    return state


def verify_model(address: str, placed: Placed, card: dict[str, Any]) -> int:
    """Ask the golden requests of the card and compare with its golden answers.

    Returns:
        How many were asked.

    Raises:
        UnhealthyError: An answer is missing or differs beyond the engine's tolerance.
    """
    golden = card["golden"]
    path = f"/v1/models/{placed.task}/versions/{placed.model_version}:predict"
    tolerance = card["tolerance"][placed.engine]
    pairs = list(zip(golden["requests"], golden["answers"], strict=True))
    if not pairs:
        raise UnhealthyError("the card holds no golden request, so nothing proves the model")
    for number, (request, wanted) in enumerate(pairs, start=1):
        body = _answered(address, path, {"instances": [request]}).body
        seen = body["predictions"][0]
        expected = Ranked(wanted["item_ids"], wanted["scores"])
        reason = difference(expected, Ranked(seen["item_ids"], seen["scores"]), tolerance)
        if reason:
            raise UnhealthyError(f"golden request {number} of {len(pairs)}: {reason}")
    return len(pairs)


def verify_gateway(address: str, placed: Placed, user_id: str) -> dict[str, Any]:
    """Ask a gateway which release it serves, and for one shopper's recommendations.

    Returns:
        The recommendations.

    Raises:
        UnhealthyError: It is not ready, or another release answers.
    """
    ready = _answered(address, "/readyz").body
    if (ready["model_version"], ready["digest"]) != (placed.model_version, placed.digest):
        raise UnhealthyError(
            f"http://{address} serves release {ready['model_version']} ({ready['digest']}), "
            f"not {placed.model_version} ({placed.digest})"
        )
    path = f"/v1/users/{quote(user_id, safe='')}/recommendations"
    example: dict[str, Any] = _answered(address, path).body
    if example["model_version"] != placed.model_version or not example["items"]:
        raise UnhealthyError(f"http://{address}{path} answered {example}")
    return example


def _answered(address: str, path: str, body: Any = None) -> Answer:
    try:
        answer = call(address, path, body)
    except CallError as error:
        raise UnhealthyError(str(error)) from error
    if answer.status != 200:
        raise UnhealthyError(f"http://{address}{path} answered {answer.status}: {answer.body}")
    return answer
