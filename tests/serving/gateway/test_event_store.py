"""Posted events are kept: through a kill, once each, for every process that shares the file."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from model.history import Event
from serving.gateway.event_store import EventStoreError, SqliteEventStore
from serving.gateway.posted_events import PostedEvent
from serving.host.host import SOURCES

WRITER = """
import sys
from pathlib import Path
from serving.gateway.event_store import SqliteEventStore
from serving.gateway.posted_events import PostedEvent
store = SqliteEventStore(Path(sys.argv[1]))
for number in range(10_000):
    store.add([PostedEvent(f"{sys.argv[2]}-{number}", "anna", "item1", "click", float(number))])
    print(number, flush=True)
"""


def event(number: int, user: str = "anna", moment: float | None = None) -> PostedEvent:
    at = float(number) if moment is None else moment
    return PostedEvent(f"e{number}", user, f"item{number}", "click", at)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.db"


@pytest.fixture
def store(path):
    opened = SqliteEventStore(path)
    yield opened
    opened.close()


def test_what_a_shopper_did_comes_back_in_its_order(store):
    assert store.add([event(3), event(1), event(2, user="bob")]) == 2 + 1
    assert store.events("anna", after=0) == [
        Event("item1", "click", 1.0), Event("item3", "click", 3.0)
    ]  # fmt: skip
    assert store.events("anna", after=1) == [Event("item1", "click", 1.0)]  # the second to come
    assert store.events("nobody", after=0) == []


def test_an_id_counts_once_however_often_it_is_posted(store):
    assert store.add([event(1), event(2)]) == 2
    assert store.add([event(2), event(3)]) == 1
    assert store.add([event(1, user="mallory")]) == 0
    assert len(store.events("anna", after=0)) == 3


def test_two_processes_share_it(store, path):
    other = SqliteEventStore(path)
    store.add([event(1)])
    assert other.events("anna", after=0) == [Event("item1", "click", 1.0)]
    other.add([event(2)])
    assert len(store.events("anna", after=0)) == 2
    other.close()


def test_threads_may_post_at_once(store):
    def post(start: int) -> None:
        for number in range(start, start + 25):
            store.add([event(number)])

    threads = [threading.Thread(target=post, args=(100 * one,)) for one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.events("anna", after=0)) == 100


def test_what_was_acknowledged_survives_a_kill(path):
    """Two processes write, as two colours do; both are killed in the middle."""
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [
        subprocess.Popen([*command, name], cwd=SOURCES, stdout=subprocess.PIPE, text=True)
        for name in ("blue", "green")
    ]
    for writer in writers:
        for _ in range(30):
            writer.stdout.readline()
    acknowledged = {}
    for name, writer in zip(("blue", "green"), writers, strict=True):
        os.kill(writer.pid, signal.SIGKILL)
        rest, _ = writer.communicate()
        acknowledged[name] = 30 + len(rest.splitlines())
    store = SqliteEventStore(path)
    kept = sqlite3.connect(path).execute("SELECT event_id FROM events").fetchall()
    for name, count in acknowledged.items():
        assert {f"{name}-{number}" for number in range(count)} <= {one for (one,) in kept}
    assert store.add([PostedEvent("blue-0", "anna", "item1", "click", 0.0)]) == 0
    store.close()


def test_a_log_gets_each_event_in_the_order_they_came(store):
    store.add([event(3), event(1), event(2)])
    waiting = store.waiting("the log", most=2)
    assert [(number, one.event_id) for number, one in waiting] == [(1, "e3"), (2, "e1")]
    assert store.waiting("the log", most=2) == waiting  # until it is said that the log has them
    store.mark_forwarded("the log", 2)
    assert [one.event_id for _, one in store.waiting("the log", most=2)] == ["e2"]
    store.mark_forwarded("the log", 3)
    assert (store.waiting("the log", most=2), store.forwarded("the log")) == ([], 3)
    assert len(store.waiting("another log", most=9)) == 3


def test_what_was_posted_comes_out_as_it_went_in(store):
    whole = PostedEvent("e", "anna", "", "search", 5.5, "rot", 1.0, 2.0, 3.5, 7)
    store.add([whole])
    assert store.waiting("log", most=1) == [(1, whole)]


def test_each_commit_is_written_through_to_the_disk(store):
    (level,) = store._database.execute("PRAGMA synchronous").fetchone()
    (mode,) = store._database.execute("PRAGMA journal_mode").fetchone()
    assert (level, mode) == (2, "wal")  # 2 is FULL


def test_a_file_of_a_later_format_is_not_touched(path):
    later = sqlite3.connect(path)
    later.execute("PRAGMA user_version = 9")
    later.close()
    with pytest.raises(EventStoreError, match="has format 9, this release reads up to 1"):
        SqliteEventStore(path)


def test_a_file_that_is_none_is_told(path):
    path.write_bytes(b"no database at all, but long enough to look like one" * 20)
    with pytest.raises(EventStoreError, match="cannot be opened"):
        SqliteEventStore(path)


def test_a_full_disk_keeps_none_of_the_post(store):
    store._database.execute("PRAGMA max_page_count = 4")
    with pytest.raises(EventStoreError, match="cannot be written"):
        store.add([event(number) for number in range(5_000)])
    assert store.events("anna", after=0) == []
