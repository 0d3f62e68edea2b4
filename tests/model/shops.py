"""Small event logs for tests of the data room, written as real files."""

import contextlib
from pathlib import Path

from model.data.cleaning import Limits
from model.data.contract import Meaning
from model.data.engines import DuckDBEngine
from model.data.preparing import Preparation, Prepared, prepare
from model.data.sources import Source

HEADER = "event_id,user_id,item_id,event_type,query,position,quantity,price,timestamp"
LOOSE = Limits(
    max_events_per_day=1000, min_user_events=1, min_item_events=1, session_gap_seconds=1800
)


def write_log(path: Path, rows: list[str], header: str = HEADER) -> Source:
    """A CSV event log."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return Source(str(path))


def prepared_from(source: Source, **wanted) -> Prepared:
    """Prepare on DuckDB with loose limits and short windows unless told otherwise."""
    settings = {
        "meaning": Meaning(),
        "limits": LOOSE,
        "test_days": 1,
        "validation_days": 1,
        "max_bad_share": 0.99,
    }
    with contextlib.closing(DuckDBEngine()) as engine:
        return prepare(engine, Preparation(source=source, **(settings | wanted)))
