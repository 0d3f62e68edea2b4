"""The peer of `benchmarks/prepare.py`: the same preparation as plain pandas, written straight on.

It knows only what the simulated log needs (every column is there, times are times), so it has less
to do than `prepare`, which reads anything. Its dataset must have the same digest.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from model.data.accounting import Accounting
from model.data.cleaning import Limits, Moments
from model.data.contract import EMAIL, PHONE
from model.data.items import describe_items
from model.data.preparing import Prepared
from model.schema import EVENT_TYPE_INDEX, EVENT_TYPES, HISTORY_EVENT_TYPES, PURCHASE, SEARCH

DAY = 86_400


def prepare_with_pandas(
    path: Path, limits: Limits, test_days: int, validation_days: int
) -> Prepared:
    """Prepare a simulated log."""
    raw = pd.read_parquet(path)
    rows = len(raw)
    broken = _broken(raw)
    quarantined = int(broken.sum())
    raw = raw[~broken].drop(columns=["query", "position", "model_version"])
    raw["timestamp"] = raw["timestamp"].astype("datetime64[s]").astype("int64")
    raw = raw.sort_values(["timestamp", "user_id", "item_id", "event_type"], kind="stable")
    unique = raw.drop_duplicates("event_id")
    duplicates = len(raw) - len(unique)
    events = unique[unique["event_type"].isin(HISTORY_EVENT_TYPES)]
    newest = int(unique["timestamp"].max())
    start = newest - test_days * DAY
    moments = Moments(0, start - validation_days * DAY, start, newest)
    events, bots = _without_bots(events, moments, limits)
    kept = _core(events, moments, limits)
    filtered = {"all": len(unique) - len(kept)}
    users, items = _users(kept, moments), _items(kept, moments)
    arrays = _arrays(kept, users, items, moments, limits)
    known = items[items["known"]]
    none = pd.DataFrame({"item_id": pd.Series(dtype=str)})
    table, statistics = describe_items(known, arrays, none, moments.test_start, ())
    balance = Accounting(rows, len(kept), quarantined, duplicates, filtered)
    outside = items.loc[~items["known"], "item_id"].tolist()
    return Prepared(arrays, table, users, pa.table({}), moments, balance, bots, outside, statistics)


def _broken(raw: pd.DataFrame) -> pd.Series:
    broken = raw["user_id"].isna() | raw["event_id"].isna() | raw["timestamp"].isna()
    broken |= raw["item_id"].isna() & (raw["event_type"] != SEARCH)
    broken |= ~raw["event_type"].isin(EVENT_TYPES)
    broken |= (raw["price"] < 0) | (raw["quantity"] == 0) | (raw["position"] < 0)
    for name in ("user_id", "item_id", "query"):
        text = raw[name]
        broken |= (text.str.len() > 200).fillna(False)
        broken |= text.str.contains(EMAIL, regex=True, na=False)
        broken |= text.str.match(PHONE.replace("(", "(?:"), na=False)
    return broken


def _without_bots(
    events: pd.DataFrame, moments: Moments, limits: Limits
) -> tuple[pd.DataFrame, list[str]]:
    late = events["timestamp"] >= moments.test_start
    acts = events.groupby(["user_id", events["timestamp"] // DAY, late], observed=True).size()
    busy = acts[acts > limits.max_events_per_day]
    early_bots = {key[0] for key in busy.index if not key[2]}
    late_bots = {key[0] for key in busy.index if key[2]}
    is_bot = events["user_id"].isin(early_bots) | (events["user_id"].isin(late_bots) & late)
    return events[~is_bot], sorted(early_bots | late_bots)


def _core(events: pd.DataFrame, moments: Moments, limits: Limits) -> pd.DataFrame:
    early = events[events["timestamp"] < moments.test_start]
    while True:
        before = len(early)
        for key, least in (
            ("item_id", limits.min_item_events),
            ("user_id", limits.min_user_events),
        ):
            early = early[early.groupby(key)[key].transform("size") >= least]
        if len(early) == before:
            break
    return pd.concat([early, events[events["timestamp"] >= moments.test_start]])


def _users(kept: pd.DataFrame, moments: Moments) -> pd.DataFrame:
    early = (kept["timestamp"] < moments.test_start).groupby(kept["user_id"]).sum()
    users = early.rename("train_events").reset_index()
    users["late"] = users["train_events"] == 0
    users = users.sort_values(["late", "user_id"]).drop(columns="late").reset_index(drop=True)
    users.insert(0, "user_index", np.arange(len(users)))
    return users.astype({"train_events": "int64"})


def _items(kept: pd.DataFrame, moments: Moments) -> pd.DataFrame:
    early = kept["timestamp"] < moments.test_start
    items = pd.DataFrame(
        {
            "acts": early.groupby(kept["item_id"]).sum(),
            "train_count": (early & (kept["event_type"] == PURCHASE))
            .groupby(kept["item_id"])
            .sum(),
        }
    ).reset_index()
    items["known"] = items["acts"] > 0
    order = ["known", "train_count", "acts", "item_id"]
    items = items.sort_values(order, ascending=[False, False, False, True], ignore_index=True)
    return items.assign(item_number=np.arange(1, len(items) + 1))


def _arrays(
    kept: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    moments: Moments,
    limits: Limits,
) -> dict[str, np.ndarray]:
    flat = kept.merge(users[["user_id", "user_index"]]).merge(
        items[["item_id", "item_number", "known"]]
    )
    flat = flat.sort_values(["user_index", "timestamp", "event_id"], ignore_index=True)
    timestamp, user = flat["timestamp"].to_numpy(), flat["user_index"]
    begins = flat.groupby("user_index")["timestamp"].diff() > limits.session_gap_seconds
    known, number = flat["known"].to_numpy(), flat["item_number"].to_numpy().astype(np.int32)
    vocabulary = int(items["known"].sum())
    split = (timestamp >= moments.validation_start).astype(np.int8)
    return {
        "user_index": user.to_numpy().astype(np.int32),
        "item_index": np.where(known, number, 0).astype(np.int32),
        "outside_index": np.where(known, 0, number - vocabulary).astype(np.int32),
        "event_type": flat["event_type"].map(EVENT_TYPE_INDEX).to_numpy().astype(np.int8),
        "timestamp": timestamp.astype(np.int64),
        "session": begins.groupby(user).cumsum().to_numpy().astype(np.int32),
        "split": split + (timestamp >= moments.test_start).astype(np.int8),
        "quantity": flat["quantity"].fillna(1.0).to_numpy(np.float32),
        "price": flat["price"].to_numpy(np.float32, na_value=np.nan),
    }
