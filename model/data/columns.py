"""Which column of a source feeds which of ours."""

from collections.abc import Sequence

from model.data.sources import Source
from model.schema import EVENT_COLUMNS, ITEM_COLUMNS, DataError, EventColumn, ItemColumn

REQUIRED = (EventColumn.USER_ID, EventColumn.ITEM_ID, EventColumn.TIMESTAMP)


def choose_event_columns(
    found: Sequence[str], source: Source, one_event_type: bool
) -> dict[str, str]:
    """Our names → the names of the event log's columns.

    Args:
        found: Columns that are there.
        source: With the mapping; case does not matter.
        one_event_type: All rows are of one type, so no column tells it.

    Raises:
        DataError: A needed or a named column is not there; the message lists those that are.
    """
    lower = {name.lower(): name for name in found}
    mapping = {name: name for name in EVENT_COLUMNS if name in lower} | dict(source.columns)
    for ours, theirs in mapping.items():
        if theirs.lower() not in lower:
            raise DataError(_missing(theirs, f"[data.columns] {ours} names it", found, source))
    if one_event_type:
        mapping.pop(EventColumn.EVENT_TYPE, None)
    for ours in (*REQUIRED, *(() if one_event_type else (EventColumn.EVENT_TYPE,))):
        if ours not in mapping:
            advice = f'set [data.columns] {ours} = "…"'
            if ours == EventColumn.EVENT_TYPE:
                advice += ' or, when all rows are of one kind, [data] event_type = "purchase"'
            raise DataError(_missing(ours, advice, found, source))
    return {name: lower[mapping[name].lower()] for name in EVENT_COLUMNS if name in mapping}


def choose_item_columns(found: Sequence[str], source: Source) -> dict[str, str]:
    """Our names → the names of the catalogue's columns.

    Raises:
        DataError: There is no column for the item id, or a named column is not there.
    """
    lower = {name.lower(): name for name in found}
    mapping = {name: name for name in ITEM_COLUMNS if name in lower} | dict(source.columns)
    for ours, theirs in mapping.items():
        if theirs.lower() not in lower:
            advice = f"[data.catalogue_columns] {ours} names it"
            raise DataError(_missing(theirs, advice, found, source))
    if ItemColumn.ITEM_ID not in mapping:
        advice = 'set [data.catalogue_columns] item_id = "…"'
        raise DataError(_missing(ItemColumn.ITEM_ID, advice, found, source))
    return {ours: lower[theirs.lower()] for ours, theirs in mapping.items()}


def _missing(column: str, advice: str, found: Sequence[str], source: Source) -> str:
    return f"{source.url} has no column {column!r}: it has {', '.join(found)}. Fix: {advice}."
