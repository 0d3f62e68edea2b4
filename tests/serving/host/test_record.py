"""The host's record: whole after any crash, and the rules of going back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.host import record
from serving.host.processes import ProcessIdentity
from serving.host.record import Colour, Record, RecordError, Release


def line(number: int, version: int, state: str, kind: str = "deploy") -> Release:
    return Release(
        number=number,
        kind=kind,
        model_version=version,
        digest=f"sha256:{version}",
        engine="litert",
        state=state,
        who="anna",
        commit="c0ffee",
        started_at="2026-01-01T00:00:00+00:00",
    )


def colour(name: str, version: int, state: str = "live") -> Colour:
    return Colour(
        name=name,
        digest=f"sha256:{version}",
        model_version=version,
        engine="litert",
        state=state,
        rest_port=1,
        grpc_port=2,
        gateway_port=3,
        model=ProcessIdentity(41, "boot/1"),
    )


def known(live: int, *history: Release) -> Record:
    return Record(
        "shop", "local", live="blue", colours={"blue": colour("blue", live)}, history=list(history)
    )


def test_a_saved_record_reads_back_equal(tmp_path):
    before = known(2, line(1, 1, "previous"), line(2, 2, "live"))
    record.save(before, tmp_path)
    assert record.load(tmp_path) == before


def test_no_record_is_none(tmp_path):
    assert record.load(tmp_path) is None


def test_a_crash_while_writing_leaves_the_record_of_before(tmp_path):
    record.save(known(1, line(1, 1, "live")), tmp_path)
    (tmp_path / "record.draft").write_text('{"schema": 1, "sho')  # killed in the middle
    assert record.load(tmp_path).live_colour.model_version == 1


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', "not JSON"])
def test_a_broken_record_is_named_with_its_file(tmp_path, text):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(RecordError, match=r"record\.json: not a record"):
        record.load(tmp_path)


def test_a_record_of_a_newer_pushcart_is_refused(tmp_path):
    record.save(known(1), tmp_path)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2}))
    with pytest.raises(RecordError, match="schema 2, this Pushcart reads up to 1"):
        record.load(tmp_path)


@pytest.mark.parametrize(
    ("live", "history", "target"),
    [
        (1, [line(1, 1, "live")], None),
        (2, [line(1, 1, "previous"), line(2, 2, "live")], 1),
        # the newest good one, not the oldest
        (3, [line(1, 1, "previous"), line(2, 2, "previous"), line(3, 3, "live")], 2),
        # a withdrawn release is never gone back to
        (3, [line(1, 1, "previous"), line(2, 2, "withdrawn"), line(3, 3, "live")], 1),
        # a failed one neither
        (3, [line(1, 1, "previous"), line(2, 2, "failed"), line(3, 3, "live")], 1),
        # after a rollback 2 → 1 there is nothing below 1
        (
            1,
            [line(1, 1, "previous"), line(2, 2, "withdrawn"), line(3, 1, "live", "rollback")],
            None,
        ),
        # withdrawn after it was good: its last word counts
        (3, [line(1, 2, "previous"), line(2, 2, "withdrawn"), line(3, 3, "live")], None),
        # good, and then a second rollout of it that failed: it still was good
        (3, [line(1, 2, "previous"), line(2, 3, "live"), line(3, 2, "failed", "rollback")], 2),
    ],
)
def test_a_rollback_goes_to_the_newest_good_release_that_was_not_withdrawn(live, history, target):
    found = known(live, *history).rollback_target()
    assert (found.model_version if found else None) == target


def test_a_version_that_never_was_healthy_is_not_known():
    record_ = known(1, line(1, 1, "live"), line(2, 2, "failed"))
    assert record_.version(2) is None
    assert record_.version(1).number == 1


states = st.sampled_from(["live", "previous", "withdrawn", "failed", "starting"])


@given(st.lists(st.tuples(st.integers(1, 4), states), max_size=12), st.integers(1, 4))
def test_no_history_leads_back_to_what_is_live_or_withdrawn(pairs, live):
    history = [line(n, version, state) for n, (version, state) in enumerate(pairs, start=1)]
    target = known(live, *history).rollback_target()
    if target:
        assert target.model_version != live
        verified = [(v, s) for v, s in pairs if s in ("live", "previous", "withdrawn")]
        last_words = [s for v, s in verified if v == target.model_version]
        assert last_words[-1] == "previous"
