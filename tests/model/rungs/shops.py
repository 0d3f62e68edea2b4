"""Small shops in memory, made of NumPy alone: shoppers with tastes, favourites and sessions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from model.data.dataset import Dataset
from model.schema import CLICK, EVENT_TYPE_INDEX, PURCHASE, VIEW

DAY = 86_400
START = 1_700_000_000


@dataclass(frozen=True)
class Row:
    """One event of a shop written by hand."""

    user: int
    item: int
    day: float
    event_type: str = PURCHASE
    price: float = 1.0


def dataset_of(
    rows: list[Row],
    items: int,
    validation_day: float,
    test_day: float,
    features: np.ndarray | None = None,
) -> Dataset:
    """A dataset of events given by hand; days count from START."""
    rows = sorted(rows, key=lambda row: (row.user, row.day))
    time = np.array([START + round(row.day * DAY) for row in rows], np.int64)
    user = np.array([row.user for row in rows], np.int32)
    item = np.array([row.item for row in rows], np.int32)
    bought = np.array([row.event_type == PURCHASE for row in rows])
    validation, test = (START + round(day * DAY) for day in (validation_day, test_day))
    session = np.zeros(len(rows), np.int32)
    for place in range(1, len(rows)):
        if user[place] == user[place - 1]:
            later = time[place] - time[place - 1] > 1800
            session[place] = session[place - 1] + later
    counts = np.bincount(item[bought & (time < test)], minlength=items + 1)[1:]
    table = pd.DataFrame({"item_id": [f"i{k:03}" for k in range(1, items + 1)]})
    table["train_count"] = counts
    if features is not None:
        table["price_normalised"] = features.astype(np.float32)
    return Dataset(
        user_index=user,
        item_index=item,
        outside_index=np.zeros(len(rows), np.int32),
        event_type=np.array([EVENT_TYPE_INDEX[row.event_type] for row in rows], np.int8),
        timestamp=time,
        session=session,
        split=np.where(time < validation, 0, np.where(time < test, 1, 2)).astype(np.int8),
        quantity=np.ones(len(rows), np.float32),
        price=np.array([row.price for row in rows], np.float32),
        item_table=table,
        user_table=pd.DataFrame({"user_id": [f"u{k}" for k in range(int(user.max()) + 1)]}),
        meta={
            "digest": "sha256:shop",
            "validation_start": _iso(validation),
            "test_start": _iso(test),
            "features": [] if features is None else ["price"],
            "target": "purchase",
        },
    )


def tasteful_shop(users: int = 250, items: int = 60, days: int = 90, seed: int = 0) -> Dataset:
    """Shoppers who browse and buy by popularity, taste, favourites and the session's theme."""
    random = np.random.default_rng(seed)
    group = np.arange(items) % 6
    popularity = 1.0 / (1.0 + np.arange(items)) ** 0.6
    rows: list[Row] = []
    for user in range(users):
        taste = random.dirichlet(np.full(6, 0.3))
        liking = popularity * (taste[group] + 0.02)
        liking[random.choice(items, 3, replace=False)] *= 8.0
        day = random.uniform(0.0, 10.0)
        while day < days:
            theme = liking * np.where(group == random.choice(6, p=taste), 5.0, 1.0)
            seen = random.choice(items, size=random.integers(2, 6), p=theme / theme.sum())
            for item in seen:
                rows.append(Row(user, int(item) + 1, day, VIEW))
                kind = random.choice([PURCHASE, CLICK, ""], p=[0.4, 0.2, 0.4])
                if kind:
                    rows.append(Row(user, int(item) + 1, day + 10 / DAY, str(kind), 1.0 + item))
                day += 40 / DAY
            day += 0.1 + random.exponential(6.0)
    features = random.normal(size=items)
    return dataset_of(rows, items, days - 28.0, days - 14.0, features)


def _iso(seconds: int) -> str:
    return pd.Timestamp(seconds, unit="s", tz="UTC").isoformat()
