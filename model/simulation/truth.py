"""What a simulated shop knows of itself: how good the bot cut is, and the best reachable score."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from model.data.preparing import Prepared
from model.data.sources import Source
from model.data.targets import Targets, first_baskets

BOTS = "simulated_bots"
ORACLE = "simulated_oracle"
TEST = 2  # the split
K = 10
NEAR_SECONDS = 86_400  # an oracle that speaks up to a day from the cut knows the same shopper


class Shelf(Protocol):
    """An engine that may find a table beside the event log."""

    def beside(self, source: Source, table: str) -> pa.Table | None:
        """A table of the source's database; None where there is none."""


def bot_cut(engine: Shelf, source: Source, prepared: Prepared) -> dict[str, Any] | None:
    """Precision and recall of the bot cut; None for a real shop.

    Returns:
        `planted`, `cut`, `precision`, `recall`; a share of nothing is 1.
    """
    found = engine.beside(source, BOTS)
    if found is None:
        return None
    planted, cut = set(found["user_id"].to_pylist()), set(prepared.bots)
    right = len(planted & cut)
    return {
        "planted": len(planted),
        "cut": len(cut),
        "precision": right / len(cut) if cut else 1.0,
        "recall": right / len(planted) if planted else 1.0,
    }


def oracle_score(
    engine: Shelf, source: Source, prepared: Prepared, target: tuple[str, str]
) -> dict[str, Any] | None:
    """NDCG@10 of the oracle's lists on the test window's first baskets.

    None for a real shop, for another target than the first basket of all, and when the oracle spoke
    of another moment than the start of this window.
    """
    found = engine.beside(source, ORACLE) if target == ("purchase", "all") else None
    if found is None or not found.num_rows:
        return None
    if abs(int(found["oracle_at"][0].as_py()) - prepared.moments.test_start) > NEAR_SECONDS:
        return None
    rows = np.flatnonzero(prepared.events["split"] == TEST)
    targets = first_baskets(SimpleNamespace(**prepared.events), rows, purchases_only=True)
    lists = _lists(found, prepared)
    scores = [
        ndcg(lists.get(int(user), []), targets.items[start:end].tolist())
        for user, start, end in _baskets(targets)
    ]
    return {"ndcg_at_10": float(np.mean(scores)), "users": len(scores)} if scores else None


def ndcg(listed: list[int], wanted: list[int], k: int = K) -> float:
    """Normalised discounted cumulative gain with one unit of gain an item.

    DCG = sum of 1 / log2(place + 1) over hits in the first k places; divided by the DCG of a list
    that begins with all wanted items (Järvelin and Kekäläinen, 2002). Item 0 cannot be hit.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    hit = np.array([item > 0 and item in wanted for item in listed[:k]], bool)
    return float(discounts[: len(hit)][hit].sum() / discounts[: min(k, len(wanted))].sum())


def _baskets(targets: Targets) -> Iterator[tuple[int, int, int]]:
    return zip(targets.user_index, targets.offsets[:-1], targets.offsets[1:], strict=True)


def _lists(found: pa.Table, prepared: Prepared) -> dict[int, list[int]]:
    """Item indexes by user index, best first; items outside the vocabulary are 0."""
    users = {name: number for number, name in enumerate(prepared.users["user_id"])}
    items = {name: number for number, name in enumerate(prepared.items["item_id"], start=1)}
    lists: dict[int, list[int]] = {}
    rows = found.append_column("order", found["place"].cast(pa.int64()))  # SQLite gives text
    for row in rows.sort_by("order").to_pylist():
        if row["user_id"] in users:
            lists.setdefault(users[row["user_id"]], []).append(items.get(row["item_id"], 0))
    return lists
