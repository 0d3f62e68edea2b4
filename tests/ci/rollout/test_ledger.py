"""What the registry must hear waits in the outbox until it was heard, once."""

import json

import pytest

from ci import registry
from ci.config import load_config
from ci.errors import UnavailableError
from ci.rollout import ledger
from ci.rollout.targets import Seen
from serving.host import outbox
from serving.host.record import Record, Release
from tests.rollout_shop import Shop
from tests.serving.host.test_record import known as known_of
from tests.serving.host.test_record import line


def reported(shop: Shop, *lines) -> Record:
    known = Record("rollout", "local", history=list(lines))
    outbox.report(known, ledger.outbox(shop.config))
    return known


def test_finished_rollouts_are_reported_once(shop: Shop):
    known = reported(shop, line(1, 1, "previous"), line(2, 2, "live"), line(3, 3, "starting"))
    assert [one.reported for one in known.history] == [True, True, False]
    assert not outbox.report(known, ledger.outbox(shop.config))
    known.history[2].state = "failed"
    assert outbox.report(known, ledger.outbox(shop.config))
    entries, _ = ledger.pending(shop.config)
    assert [(one["model_version"], one["verdict"]) for one in entries] == [
        (1, "live"),
        (2, "live"),
        (3, "failed"),
    ]
    assert len({one["id"] for one in entries}) == 3


def test_a_line_that_is_being_written_waits(shop: Shop):
    reported(shop, line(1, 1, "live"))
    with ledger.outbox(shop.config).open("a") as file:
        file.write('{"id": "half')
    entries, end = ledger.pending(shop.config)
    assert len(entries) == 1
    assert end == ledger.outbox(shop.config).read_bytes().rindex(b"\n") + 1


def test_with_nothing_to_tell_no_registry_is_asked(shop: Shop):
    config = load_config(shop.config.path, {"registry.uri": "http://127.0.0.1:9"})
    assert ledger.settle(config) == 0


@pytest.fixture
def registered(shop: Shop) -> Shop:
    for version in (1, 2):
        assert shop.register(shop.export(version)) == version
    return shop


def test_settling_moves_the_alias_ships_every_entry_and_forgets_none(registered: Shop):
    shop = registered
    reported(shop, line(1, 1, "previous"), line(2, 2, "live"))
    lost = shop.config.state / "mlflow.db"
    lost.rename(lost.with_suffix(".away"))
    with pytest.raises(UnavailableError, match="it was lost"):
        ledger.settle(shop.config)
    lost.with_suffix(".away").rename(lost)
    assert len(ledger.pending(shop.config)[0]) == 2
    assert ledger.settle(shop.config) == 2
    assert registry.live_version(shop.config, "local").number == 2
    assert ledger.pending(shop.config)[0] == []
    assert shipped(shop) == [1, 2]
    # a crash after shipping, before the mark: told again, written once
    (shop.config.state / "outbox.shipped").unlink()
    assert ledger.settle(shop.config) == 2
    assert shipped(shop) == [1, 2]


def shipped(shop: Shop) -> list[int]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{shop.config.state / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("rollout-next_item-ledger")
    runs = client.search_runs([experiment.experiment_id])
    return sorted(json.loads(run.data.tags["ledger"])["model_version"] for run in runs)


def rolled(rollout: str, version: int, state: str, minute: int = 0) -> Release:
    """A host's line about its part of a rollout."""
    one = line(minute + 1, version, state)
    one.rollout, one.started_at = rollout, f"2026-01-01T00:{minute:02d}:00+00:00"
    return one


def told(shop: Shop, *hosts: Record) -> list[tuple[int, str]]:
    """Release and verdict of all entries, once these hosts were asked."""
    seen = [Seen(f"host{number}", one) for number, one in enumerate(hosts, start=1)]
    ledger.collect(shop.config, seen, {})
    return [(one["model_version"], one["verdict"]) for one in ledger.pending(shop.config)[0]]


def test_a_rollout_is_live_where_all_hosts_took_it_and_partial_where_some_did(shop: Shop):
    first = known_of(1, rolled("a", 1, "live"))
    assert told(shop, first, known_of(0)) == [(1, "partial")]
    assert told(shop, first, first) == [(1, "partial"), (1, "live")]
    assert told(shop, first, first) == [(1, "partial"), (1, "live")]


def test_what_takes_up_a_killed_rollout_makes_the_release_live(registered: Shop):
    one = known_of(1, rolled("a", 1, "live"))
    other = known_of(1, rolled("b", 1, "live", minute=5))
    assert told(registered, one, other) == [(1, "live"), (1, "live")]
    ledger.settle(registered.config)
    assert registry.live_version(registered.config, "local").number == 1


def test_a_release_that_is_undone_after_it_was_told_is_told_again(registered: Shop):
    before, after = rolled("a", 1, "previous"), rolled("b", 2, "live", minute=5)
    told(registered, known_of(2, before, after), known_of(2, before, after))
    ledger.settle(registered.config)
    assert registry.live_version(registered.config, "local").number == 2
    before.state, after.state = "live", "failed"
    undone = known_of(1, before, after)
    assert told(registered, undone, undone) == [(2, "failed")]
    ledger.settle(registered.config)
    assert registry.live_version(registered.config, "local").number == 1
