"""What is known of every item: the shop's catalogue, prices seen in the log, normalised columns."""

from typing import Any

import ibis
import numpy as np
import pandas as pd

from model.data.columns import choose_item_columns
from model.data.contract import seconds_of, text_of
from model.data.engines import Engine
from model.data.sources import Source
from model.schema import DataError, EventColumn

DAY = 86_400
FEATURES = ("price", "in_stock", "train_count", "age_days")


def land_catalogue(engine: Engine, source: Source | None, cut: int) -> pd.DataFrame:
    """The catalogue, one row an item id, as text.

    An item that comes several times is taken from its newest row before the cut when the mapping
    names a `timestamp`, and from its first row in text order otherwise.

    Args:
        engine: See `model/data/preparing.py`.
        source: Where the items lie; None gives an empty catalogue.
        cut: Rows with a `timestamp` at or after it (seconds UTC) do not count.

    Raises:
        DataError: There is no column for the item id, or a mapped column is not there.
    """
    if source is None:
        return pd.DataFrame({"item_id": pd.Series(dtype=str)})
    selected = choose_item_columns(engine.columns(source), source)
    landed = engine.land(source, "catalogue", selected)
    texts = {name: text_of(landed[name]) for name in selected if name != EventColumn.TIMESTAMP}
    rows = landed.select(**texts, seen_at=_seen_at(landed))
    rows = rows.filter(rows.item_id.notnull() & (rows.seen_at < cut))
    return engine.fetch(_newest(rows)).to_pandas()


def _seen_at(landed: ibis.Table) -> Any:
    if EventColumn.TIMESTAMP in landed.columns:
        return seconds_of(landed[EventColumn.TIMESTAMP])
    return ibis.literal(0).cast("int64")


def _newest(rows: ibis.Table) -> ibis.Table:
    others = [name for name in rows.columns if name not in {"item_id", "seen_at"}]
    window = ibis.window(group_by="item_id", order_by=[rows.seen_at.desc(), *others])
    ranked = rows.mutate(place=ibis.row_number().over(window))
    return ranked.filter(ranked.place == 0).drop("place", "seen_at").order_by("item_id")


def describe_items(
    items: pd.DataFrame,
    events: dict[str, np.ndarray],
    catalogue: pd.DataFrame,
    cut: int,
    features: tuple[str, ...],
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """The table of the vocabulary, with every feature also as a z-score.

    Statistics come from the vocabulary, hence from before the cut; a missing value becomes 0, the
    mean. A price that the catalogue lacks is the median price paid or shown before the cut.

    Args:
        items: `item_id` and `train_count` in index order.
        events: Arrays of the dataset.
        catalogue: One row an item id.
        cut: Start of the test window, seconds UTC.
        features: Names of numeric columns: see `FEATURES`.

    Returns:
        The table and, by feature, its mean and standard deviation.

    Raises:
        DataError: A feature is not one of `FEATURES`, or no item has a value for it.
    """
    table = items[["item_id", "train_count"]].merge(catalogue, on="item_id", how="left")
    table = _with_types(table)
    seen = _median_prices(events, len(items), cut)
    table["price"] = table["price"].fillna(seen) if "price" in table else seen
    statistics = {}
    for name in features:
        values = _numeric(table, name, cut)
        mean, deviation = float(np.nanmean(values)), float(np.nanstd(values))
        scores = (values - mean) / deviation if deviation > 0 else values * 0
        table[f"{name}_normalised"] = np.nan_to_num(scores).astype(np.float32)
        statistics[name] = {"mean": mean, "deviation": deviation}
    return table, statistics


def _with_types(table: pd.DataFrame) -> pd.DataFrame:
    """Prices as float32, stock as 0 or 1, the rest as text."""
    typed = table.copy()
    if "price" in typed:
        typed["price"] = pd.to_numeric(typed["price"], errors="coerce").astype(np.float32)
    if "in_stock" in typed:
        stock = typed["in_stock"].str.lower().map(_is_in_stock, na_action="ignore")
        typed["in_stock"] = stock.astype(np.float32)
    return typed


def _is_in_stock(text: str) -> float:
    return 0.0 if text in {"0", "0.0", "false", "f", "no", "n"} else 1.0


def _median_prices(events: dict[str, np.ndarray], items: int, cut: int) -> pd.Series:
    """Median price of one piece by item before the cut, in index order; NaN where never seen."""
    early = (events["timestamp"] < cut) & (events["item_index"] > 0)
    prices = pd.Series(events["price"][early], dtype=np.float32)
    median = prices.groupby(events["item_index"][early]).median()
    return median.reindex(np.arange(1, items + 1)).reset_index(drop=True).astype(np.float32)


def _numeric(table: pd.DataFrame, name: str, cut: int) -> np.ndarray:
    values: np.ndarray
    if name not in FEATURES:
        raise DataError(f"[data] features has {name!r}; it may have {', '.join(FEATURES)}.")
    if name == "age_days" and "created_at" in table:
        created = pd.to_datetime(table["created_at"], utc=True, errors="coerce", format="ISO8601")
        seconds = (created - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        values = (cut - seconds).to_numpy(np.float64) / DAY
    else:
        values = table[name].to_numpy(np.float64) if name in table else np.full(len(table), np.nan)
    if np.isnan(values).all():
        raise DataError(
            f"[data] features names {name!r}, but no item has a value for it. Map the column in "
            "[data.catalogue_columns], or take the feature out."
        )
    return values
