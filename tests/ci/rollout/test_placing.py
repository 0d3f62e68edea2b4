"""A release is placed on the host whole or not at all, and let go when nobody wants it."""

from pathlib import Path

import pytest

from ci.config import load_config
from ci.errors import RefusedError, UsageError
from ci.rollout import placing
from ci.workspace import digest_of
from serving.host import releases
from serving.host.record import Record
from serving.host.releases import ReleaseError, folder_of
from tests.rollout_shop import Shop
from tests.serving.host.test_record import colour, line


def test_a_placed_release_holds_the_bundle_and_the_shoppers(shop: Shop):
    digest = shop.export(1)
    placed = placing.place(shop.config, shop.workspace)
    assert digest_of(placed.bundle(shop.home)) == digest
    assert placed.users(shop.home).stat().st_size > 0
    assert releases.load(shop.home, digest) == placed
    assert placed.commit == "c0ffee"


def test_what_happens_under_build_does_not_reach_the_release(shop: Shop):
    digest = shop.export(1)
    placed = placing.place(shop.config, shop.workspace)
    for path in shop.workspace.path("bundle/1").rglob("*.tflite"):
        path.write_bytes(b"other weights")
    assert digest_of(placed.bundle(shop.home)) == digest


def test_an_altered_bundle_is_refused_and_nothing_is_left(shop: Shop):
    digest = shop.export(1)
    (shop.workspace.path("bundle/1") / "edge" / "model.tflite").write_bytes(b"other weights")
    with pytest.raises(RefusedError, match="was altered after it was made"):
        placing.place(shop.config, shop.workspace)
    assert list(folder_of(shop.home, digest).parent.iterdir()) == []


def test_without_a_bundle_the_stage_to_run_is_named(shop: Shop):
    with pytest.raises(UsageError, match="bin/ci export"):
        placing.place(shop.config, shop.workspace)


def test_a_release_that_is_not_there_is_told(shop: Shop):
    with pytest.raises(ReleaseError, match="is not on this host"):
        releases.load(shop.home, "sha256:0")


@pytest.mark.parametrize(
    ("source", "clock", "at"),
    [
        ("simulator", "", 1_767_225_601.0),
        ("events.csv", "", None),
        ("events.csv", "as_of", 1_767_225_601.0),
        ("simulator", "now", None),
    ],
)
def test_the_clock_of_a_log_that_has_stopped_stands_at_its_end(shop: Shop, source, clock, at):
    """2026-01-01T00:00:00Z is second 1,767,225,600; one later, that event is past."""
    shop.export(1)
    overrides = {"data.source": source, "serving.clock": f'"{clock}"'}
    config = load_config(shop.config.path, overrides)
    assert placing.place(config, shop.workspace).at == at


def test_only_what_a_rollback_may_want_is_kept(tmp_path: Path):
    history = [line(n, n, "previous") for n in range(1, 8)]
    history += [line(8, 8, "failed"), line(9, 9, "live")]
    known = Record("shop", "local", live="blue", colours={"blue": colour("blue", 9)})
    known.colours["green"] = colour("green", 1, "warm")  # kept: it runs
    known.history = history
    for one in history:
        folder_of(tmp_path, one.digest).mkdir(parents=True)
    stranger = folder_of(tmp_path, "sha256:being-placed")
    stranger.mkdir()
    assert placing.prune(tmp_path, known) == [2, 3, 4, 8]
    left = {int(p.name) for p in stranger.parent.iterdir() if p != stranger}
    assert left == {1, 5, 6, 7, 9}
    assert stranger.exists()
