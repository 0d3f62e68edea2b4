"""The prepared dataset as arrays: what training, evaluation and batch read."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from model.data.states import StateBuilder, Timeline
from model.data.targets import Targets, first_baskets
from model.schema import DataError

SPLITS = {"train": 0, "validation": 1, "test": 2}
Window = Literal["validation", "test"]


@dataclass(frozen=True)
class Dataset:
    """Events of one shop, sorted by user and time, with their items and split.

    Attributes:
        user_index: int32[R], row of `user_ids`.
        item_index: int32[R], 1..N; 0 for an item that appeared only after the cut.
        outside_index: int32[R], 0 for known items; tells items outside the vocabulary apart.
        event_type: int8[R], `EVENT_TYPE_INDEX`.
        timestamp: int64[R], seconds UTC.
        session: int32[R], running number within the user.
        split: int8[R], 0 train, 1 validation, 2 test.
        quantity: float32[R].
        price: float32[R], of one piece.
        item_table: One row an item: row i is item index i + 1.
        user_table: One row a user.
        meta: `meta.json`.
        outside_ids: Id of every `outside_index`, from 1: an older release may know such an item.
    """

    user_index: np.ndarray
    item_index: np.ndarray
    outside_index: np.ndarray
    event_type: np.ndarray
    timestamp: np.ndarray
    session: np.ndarray
    split: np.ndarray
    quantity: np.ndarray
    price: np.ndarray
    item_table: pd.DataFrame
    user_table: pd.DataFrame
    meta: dict[str, Any]
    outside_ids: tuple[str, ...] = ()

    @staticmethod
    def load(path: Path) -> "Dataset":
        """Read a folder that `prepare` wrote.

        Raises:
            DataError: A file is missing, or a normalised column of `meta.json` is not there.
        """
        try:
            events = pq.read_table(path / "events.parquet")
            items = pd.read_parquet(path / "items.parquet")
            users = pd.read_parquet(path / "users.parquet")
            outside = tuple(pd.read_parquet(path / "outside.parquet")["item_id"])
            meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(
                f"{path} is not a whole dataset: {Path(error.filename or '').name or error} is "
                "missing. Run `bin/ci prepare`."
            ) from None
        columns = {name: events.column(name).to_numpy() for name in events.column_names}
        return Dataset(
            **columns, item_table=items, user_table=users, meta=meta, outside_ids=outside
        )

    @property
    def items(self) -> int:
        """N, the number of items in the vocabulary."""
        return len(self.item_table)

    @property
    def users(self) -> int:
        """U, the number of users."""
        return len(self.user_table)

    @cached_property
    def item_ids(self) -> list[str]:
        """Ids of the vocabulary; item index i is at i - 1."""
        return self.item_table["item_id"].tolist()  # type: ignore[no-any-return]

    @cached_property
    def user_ids(self) -> list[str]:
        """Ids of the users by user index."""
        return self.user_table["user_id"].tolist()  # type: ignore[no-any-return]

    @cached_property
    def offsets(self) -> np.ndarray:
        """int64[U+1]: user u's rows are offsets[u]:offsets[u+1]."""
        return np.searchsorted(self.user_index, np.arange(self.users + 1)).astype(np.int64)

    @cached_property
    def item_features(self) -> np.ndarray:
        """float32[N+1, D]: the normalised columns in the order of `meta["features"]`; row 0 zeros.

        Raises:
            DataError: A feature of `meta.json` has no column.
        """
        names = [f"{feature}_normalised" for feature in self.meta["features"]]
        missing = sorted(set(names) - set(self.item_table.columns))
        if missing:
            raise DataError(f"items.parquet has no column {missing[0]}. Run `bin/ci prepare`.")
        features = np.zeros((self.items + 1, len(names)), np.float32)
        features[1:] = self.item_table[names].to_numpy(np.float32)
        return features

    def states(
        self,
        at: int | np.ndarray,
        users: np.ndarray | None = None,
        length: int = 50,
        frequent: int = 50,
    ) -> dict[str, np.ndarray]:
        """The index inputs of the signatures, as `model/history.py: user_state` defines them.

        Rows of items outside the vocabulary are left out: a release does not know them.

        Args:
            at: The moment in seconds UTC, one for all or int64[n], one a row.
            users: int[n] user indexes, repeats allowed; None means every user once.
            length: L.
            frequent: F.

        Returns:
            `history` int32[n, L], `history_event_type` int32[n, L], `history_age_seconds`
            float32[n, L], `frequent_items` int32[n, F], `frequent_counts` float32[n, F].
        """
        users = np.arange(self.users) if users is None else np.asarray(users)
        moments = np.broadcast_to(np.asarray(at), users.shape)
        return self._state_builder.states(users, moments, length, frequent)

    @cached_property
    def _state_builder(self) -> StateBuilder:
        known = self.item_index > 0
        return StateBuilder(
            Timeline(
                self.user_index[known],
                self.item_index[known],
                self.event_type[known],
                self.timestamp[known],
            ),
            self.item_ids,
        )

    def start_of(self, window: Window) -> int:
        """When a window opens, in seconds UTC: the moment whose states are evaluated."""
        return int(pd.Timestamp(self.meta[f"{window}_start"]).timestamp())

    def targets(self, window: Window) -> Targets:
        """What every user active in a window took first: see `model/data/targets.py`.

        With `target_users = "known"` only those count who did something before the window.
        """
        inside = self.split == SPLITS[window]
        if self.meta.get("target_users") == "known":
            before = self.user_index[self.split < SPLITS[window]]
            inside &= np.isin(self.user_index, before)
        rows = np.flatnonzero(inside)
        return first_baskets(self, rows, purchases_only=self.meta["target"] == "purchase")
