"""Writes a prepared dataset, with a digest of its content."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from model.data.preparing import Preparation, Prepared, iso

SPLITS = ("train", "validation", "test")


def write_dataset(folder: Path, prepared: Prepared, meta: dict[str, Any]) -> None:
    """Write `events`, `items`, `users` and `outside.parquet`, and `meta.json`."""
    pq.write_table(pa.table(prepared.events), folder / "events.parquet", compression="zstd")
    prepared.items.to_parquet(folder / "items.parquet", index=False)
    prepared.users.to_parquet(folder / "users.parquet", index=False)
    _outside(prepared).to_parquet(folder / "outside.parquet", index=False)
    text = json.dumps(meta, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "meta.json").write_text(text + "\n", encoding="utf-8")


def meta_of(
    prepared: Prepared,
    wanted: Preparation,
    shop: str,
    task: str,
    *,
    oracle: dict[str, Any] | None = None,
    bots: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of `meta.json`.

    Args:
        prepared: The dataset.
        wanted: How it was prepared.
        shop: Name of the shop.
        task: What the dataset is for.
        oracle: Best reachable score of a simulated shop.
        bots: Precision and recall of the bot cut in a simulated shop.
    """
    moments = prepared.moments
    counts = np.bincount(prepared.events["split"], minlength=len(SPLITS))
    return {
        "shop": shop,
        "task": task,
        "digest": digest_of(prepared, f"{wanted.target} of {wanted.target_users}"),
        "as_of": iso(moments.as_of),
        "validation_start": iso(moments.validation_start),
        "test_start": iso(moments.test_start),
        "test_end": iso(moments.as_of + 1),  # exclusive
        "features": list(wanted.features),
        "feature_statistics": prepared.features,
        "users": len(prepared.users),
        "items": len(prepared.items),
        "events": {name: int(count) for name, count in zip(SPLITS, counts, strict=True)},
        "accounting": prepared.accounting.as_dict(),
        "target": wanted.target,
        "target_users": wanted.target_users,
        "oracle": oracle,
        "bots": bots,
    }


def digest_of(prepared: Prepared, target: str) -> str:
    """`sha256:` over the content, equal for equal content whatever wrote the files.

    Args:
        prepared: The dataset.
        target: What is to be predicted, and for whom.
    """
    whole = hashlib.sha256(f"pushcart dataset 1 {target} {prepared.moments}\n".encode())
    for name, values in sorted(prepared.events.items()):
        whole.update(f"{name} {values.dtype.str} {len(values)}\n".encode())
        whole.update(np.ascontiguousarray(values).tobytes())
    for table in (prepared.items, prepared.users, _outside(prepared)):
        for name in sorted(table.columns):
            whole.update(f"{name} {len(table)}\n".encode())
            whole.update(_bytes(table[name]))
    return f"sha256:{whole.hexdigest()}"


def _outside(prepared: Prepared) -> pd.DataFrame:
    """Ids of the items that appeared only after the cut, row i of `outside_index` i + 1."""
    return pd.DataFrame({"item_id": pd.Series(prepared.outside_ids, dtype="str")})


def _bytes(column: pd.Series) -> bytes:
    if pd.api.types.is_numeric_dtype(column):
        return np.ascontiguousarray(column.to_numpy()).tobytes()
    return json.dumps([None if pd.isna(value) else str(value) for value in column]).encode()
