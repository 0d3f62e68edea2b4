"""Brings what shoppers did since into the shop's event log, which the next training reads."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from ci.config import Config
from ci.errors import UnavailableError
from ci.sources import SAME, SIMULATOR, event_source
from model.data.sources import Source
from serving.gateway.event_store import EventStoreError, SqliteEventStore
from serving.gateway.posted_events import PostedEvent
from serving.host.process_host import EVENTS

AT_ONCE: Final = 10_000


def forward(config: Config) -> dict[str, int]:
    """Append the events that this machine's gateways took to the log, oldest first.

    An event whose forwarding was cut off is sent again: the log may hold it twice, `prepare` counts
    it once.

    Returns:
        Environment → number of the last event that the log has; empty where nothing is forwarded.

    Raises:
        DataError: The log is no database, or lacks a column.
        SourceUnavailableError: The database cannot be reached or refuses.
        UnavailableError: What the gateways keep cannot be read.
    """
    if config.options.reference or not _is_wanted(config):
        return {}
    try:
        return {name: _forward(config, store) for name, store in _stores(config)}
    except EventStoreError as error:
        raise UnavailableError(f"What shoppers did cannot be read: {error}") from error


def _is_wanted(config: Config) -> bool:
    return config.data.source == SIMULATOR or config.serving.event_log == SAME


def _stores(config: Config) -> Iterator[tuple[str, SqliteEventStore]]:
    """The stores of this machine's environments that have taken an event."""
    for name in sorted(config.settings.environments):
        path = config.environment_state(name) / EVENTS
        if path.exists():
            store = SqliteEventStore(path)
            try:
                yield name, store
            finally:
                store.close()


def _forward(config: Config, store: SqliteEventStore) -> int:
    from model.data.log_writer import append_events  # noqa: PLC0415  needs DuckDB, a no-op does not

    log = event_source(config)
    while waiting := store.waiting(log.url, AT_ONCE):
        events = [event for _, event in waiting]
        append_events(log, _table(_placed(config, log, events), config))
        store.mark_forwarded(log.url, waiting[-1][0])
    return store.forwarded(log.url)


def _placed(config: Config, log: Source, events: Sequence[PostedEvent]) -> list[PostedEvent]:
    """A simulated shop's time stands still between acts: its events follow at once on the last."""
    if config.data.source != SIMULATOR:
        return list(events)
    from model.data.log_writer import newest_event  # noqa: PLC0415

    first = min(event.timestamp for event in events)
    start = math.floor(newest_event(log) or 0.0) + 1
    return [replace(event, timestamp=start + event.timestamp - first) for event in events]


def _table(events: Sequence[PostedEvent], config: Config) -> Any:
    """The rows in the log's own words."""
    import pyarrow as pa  # noqa: PLC0415

    words = {
        ours: theirs if isinstance(theirs, str) else theirs[0]
        for ours, theirs in config.data.event_types.items()
    }
    micros = [round(event.timestamp * 1e6) for event in events]
    columns = {
        "event_id": [event.event_id for event in events],
        "user_id": [event.user_id for event in events],
        "item_id": [event.item_id or None for event in events],
        "event_type": [words.get(event.event_type, event.event_type) for event in events],
        "timestamp": pa.array(micros, pa.timestamp("us", "UTC")),
        "query": [event.query for event in events],
        "position": [event.position for event in events],
        "quantity": [event.quantity for event in events],
        "price": [event.price for event in events],
        "model_version": [str(event.model_version or "") or None for event in events],
    }
    return pa.table(columns)
