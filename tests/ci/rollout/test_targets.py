"""Every target keeps the same promises: deploy, verify, undo, roll back, come back.

The tests of one target tell one story, in their order.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ci import registry
from ci.rollout import ledger
from ci.rollout.accountable import APPROVED_BY
from tests.rollout_places import Place, of_compose, of_hosts, of_process
from tests.rollout_shop import eventually
from tests.shoppers import Shoppers


@pytest.fixture(scope="module", params=["process", "compose", "hosts"])
def place(request, tmp_path_factory, released_model: Path) -> Iterator[Place]:
    """A place of each target, to which nothing was ever released."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as held:
        if request.param == "process":
            one = of_process(folder, released_model)
            held.callback(one.shop.end)
        elif request.param == "hosts":
            short = held.enter_context(tempfile.TemporaryDirectory(prefix="pushcart-"))
            one = held.enter_context(of_hosts(Path(short), released_model))
        else:
            engine = request.getfixturevalue("engine")
            one = held.enter_context(of_compose(folder, released_model, engine))
        yield one


def frozen(place: Place) -> tuple[str, str]:
    """Options that freeze the place."""
    dates = '["2020-01-01 to 2990-01-01"]'
    return "--set", f'freeze.sale={{environments = ["{place.environment}"], dates = {dates}}}'


def deployment(place: Place) -> dict:
    return json.loads((place.shop.config.build / "deployment.json").read_text())


def test_before_the_first_release_the_way_to_it_is_told(place: Place, capsys):
    assert place.ci("status") == 2
    assert "Run `bin/ci run` first" in capsys.readouterr().err


def test_the_first_release_answers_and_leaves_its_evidence(place: Place):
    digest = place.export(1)
    assert place.ci("deploy") == 0
    assert place.versions() == {1}
    seen = deployment(place)
    assert (seen["model_version"], seen["digest"], seen["verified"]) == (1, digest, True)
    assert seen["example"]["model_version"] == 1
    assert len(seen["example"]["items"]) == 5
    assert registry.live_version(place.shop.config, place.environment).number == 1


def test_what_is_live_already_is_not_rolled_out_again(place: Place, capsys):
    assert place.ci("deploy") == 0
    assert "release 1 is already live" in capsys.readouterr().out
    assert place.states() == ["live"]


def test_a_switch_loses_nothing_and_never_goes_back(place: Place):
    place.export(2)
    with Shoppers(place.address) as shoppers:
        shoppers.wait_for(200)
        assert place.ci("deploy") == 0
        shoppers.wait_for(200)
    assert (shoppers.failed, shoppers.gone_back()) == ([], [])
    assert {one.version for one in shoppers.asked} == {1, 2}
    assert place.versions() == {2}
    assert [one["failed_requests"] for one in deployment(place)["hosts"]] == [0] * len(place.look())


def test_a_release_that_answers_otherwise_than_its_card_is_undone(place: Place, capsys):
    place.export(3, is_broken=True)
    with Shoppers(place.address) as shoppers:
        shoppers.wait_for(100)
        assert place.ci("deploy") == 5
        shoppers.wait_for(100)
    assert shoppers.failed == []
    assert {one.version for one in shoppers.asked} == {2}
    told = capsys.readouterr().err
    assert "golden request 1 of 5" in told
    assert place.states() == ["previous", "live", "failed"]
    assert registry.live_version(place.shop.config, place.environment).number == 2


def test_a_release_that_the_gate_holds_never_starts(place: Place):
    place.export(4, decision="HOLD")
    assert place.ci("deploy") == 10
    assert place.states() == ["previous", "live", "failed"]
    assert place.versions() == {2}


def test_a_frozen_environment_keeps_what_it_has(place: Place, capsys):
    place.export(4)
    assert place.ci("deploy", *frozen(place)) == 6
    told = capsys.readouterr().err
    assert (
        f"{place.environment} is frozen by [freeze.sale] until Sat 2990-01-02 00:00 (UTC)" in told
    )
    assert place.states() == ["previous", "live", "failed"]
    assert place.ci("status", *frozen(place)) == 0
    assert "freeze       [freeze.sale] until" in capsys.readouterr().out


def test_with_a_reason_it_goes_out_and_both_are_written_down(place: Place, capsys, monkeypatch):
    monkeypatch.setenv(APPROVED_BY, "the head of shop")
    assert place.ci("deploy", *frozen(place), "--override-freeze", "prices are wrong") == 0
    assert place.versions() == {4}
    assert place.ci("history") == 0
    told = capsys.readouterr().out
    assert ", approved by the head of shop" in told
    assert "frozen, overridden: prices are wrong" in told


def test_a_rollback_is_never_frozen(place: Place, monkeypatch):
    monkeypatch.setenv(APPROVED_BY, "the watch")
    assert place.ci("rollback", *frozen(place)) == 0
    assert place.versions() == {2}


def test_a_rollback_loses_nothing(place: Place, capsys):
    with Shoppers(place.address) as shoppers:
        shoppers.wait_for(100)
        assert place.ci("rollback") == 0
        shoppers.wait_for(100)
    assert shoppers.failed == []
    assert {one.version for one in shoppers.asked} == {1, 2}
    assert "to release 1 from release 2" in capsys.readouterr().out
    states = ["previous", "previous", "failed", "withdrawn", "withdrawn", "live"]
    assert place.states() == states
    assert registry.live_version(place.shop.config, place.environment).number == 1


def test_there_may_be_nothing_to_go_back_to(place: Place, capsys):
    assert place.ci("rollback") == 6
    assert "There is nothing to roll back to" in capsys.readouterr().err
    assert place.versions() == {1}


def test_a_rollback_to_a_named_release_needs_no_build(place: Place):
    build = place.shop.config.build
    aside = build.with_name("aside")
    shutil.move(build, aside)
    assert place.ci("rollback", "--to", "2") == 0
    shutil.rmtree(build, ignore_errors=True)
    shutil.move(aside, build)
    assert place.versions() == {2}


def test_status_and_history_tell_what_runs(place: Place, capsys):
    assert place.ci("status") == 0
    told = capsys.readouterr().out
    assert "release 2 answers" in told
    assert "release 2 (litert" in told
    assert "ledger       knows all" in told
    assert place.ci("history") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    kinds = [row[1:4] for row in rows if row and row[0].isdecimal()]
    assert kinds[-2:] == [["rollback", "1", "withdrawn"], ["rollback", "2", "live"]]


def test_the_ledger_was_told_of_every_rollout(place: Place):
    lines = ledger.outbox(place.shop.config).read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [(one["kind"], one["model_version"], one["verdict"]) for one in entries] == [
        ("deploy", 1, "live"),
        ("deploy", 2, "live"),
        ("deploy", 3, "failed"),
        ("deploy", 4, "live"),
        ("rollback", 2, "live"),
        ("rollback", 1, "live"),
        ("rollback", 2, "live"),
    ]
    approved = {one["model_version"]: one["approved_by"] for one in entries if one["approved_by"]}
    assert approved == {4: "the head of shop", 2: "the watch"}
    overridden = [(one["model_version"], one["override_freeze"]) for one in entries]
    assert [one for one in overridden if one[1]] == [(4, "prices are wrong")]


def test_a_live_release_that_dies_comes_back_by_itself(place: Place):
    place.kill(place)
    eventually(lambda: place.versions() == {2}, seconds=60)
    assert place.states()[-1] == "live"


def test_a_release_after_all_that_is_rolled_out_as_ever(place: Place):
    place.export(5)
    with Shoppers(place.address) as shoppers:
        shoppers.wait_for(50)
        assert place.ci("deploy") == 0
        shoppers.wait_for(50)
    assert shoppers.failed == []
    assert place.versions() == {5}


def test_what_was_ended_is_brought_back_by_a_deploy(place: Place, capsys):
    place.stop(place)
    assert place.versions() == {0}
    assert place.ci("status") == 4
    assert place.ci("deploy") == 0
    assert "release 5 is already live" in capsys.readouterr().out
    assert place.versions() == {5}
