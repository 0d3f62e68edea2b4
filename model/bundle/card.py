"""The card of a bundle: where it comes from, what it takes, and what it must answer."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.schema import INPUTS, Output

CARD = "card.json"
# Batches that a server forms; each size is warmed up for each signature.
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
# How far an engine's scores may lie from the Keras model's, relative where they exceed 1.
TOLERANCE = {"savedmodel": 1e-4, "litert": 1e-3}


@dataclass(frozen=True)
class Lineage:
    """Where a bundle comes from; goes into its card as it is.

    Attributes:
        model: Name of the rung.
        task: The served model's name.
        shop: The shop.
        data_digest: Digest of the dataset it was trained on.
        commit: Commit of the code.
        settings: The model settings used.
        validation: Metrics on the validation window.
        trained_until: ISO 8601 time of the newest event it has seen.
        inputs_read: The inputs that change its answers.
    """

    model: str
    task: str
    shop: str
    data_digest: str
    commit: str
    settings: Mapping[str, Any]
    validation: Mapping[str, float]
    trained_until: str
    inputs_read: tuple[str, ...]


def golden(requests: Mapping[str, np.ndarray], answers: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The golden part of a card: one request and one answer a row, as plain lists."""
    rows = range(len(requests[INPUTS[0]]))
    return {
        "requests": [{name: _plain(requests[name][row]) for name in INPUTS} for row in rows],
        "answers": [
            {name: _plain(answers[name][row]) for name in (Output.ITEM_IDS, Output.SCORES)}
            for row in rows
        ],
    }


def golden_requests(card: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The golden requests of a card as the five inputs of one batch."""
    requests = card["golden"]["requests"]
    return {
        name: np.array(
            [request[name] for request in requests],
            dtype=object if isinstance(requests[0][name][0], str) else np.float32,
        )
        for name in INPUTS
    }


def golden_answers(card: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The golden answers of a card: `item_ids` text and `scores` float32, both (batch, K)."""
    answers = card["golden"]["answers"]
    return {
        Output.ITEM_IDS: np.array([answer[Output.ITEM_IDS] for answer in answers], dtype=object),
        Output.SCORES: np.array([answer[Output.SCORES] for answer in answers], dtype=np.float32),
    }


def read_card(bundle: Path) -> dict[str, Any]:
    """The card of a bundle."""
    card: dict[str, Any] = json.loads((bundle / CARD).read_text("utf-8"))
    return card


def write_card(bundle: Path, lineage: Lineage, facts: Mapping[str, Any]) -> None:
    """Write the card: the lineage and what was measured on the bundle."""
    content = {**asdict(lineage), "batch_sizes": BATCH_SIZES, "tolerance": TOLERANCE, **facts}
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (bundle / CARD).write_text(text + "\n", "utf-8")


def _plain(values: np.ndarray) -> list[Any]:
    """Plain values that read back as the very same float32: an age of months keeps its seconds."""
    if np.issubdtype(values.dtype, np.number):
        return [float(str(value)) for value in values.astype(np.float32)]
    return [str(value) for value in values]
