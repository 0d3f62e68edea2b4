"""The stage `deploy` through the command line, with its exit codes and what it leaves behind."""

import json
import os
import signal

import pytest

from ci import registry
from ci.__main__ import main
from ci.errors import HeldError, InconclusiveError, RefusedError
from ci.rollout.served import ask_served
from ci.stages.deploy import check_decision
from tests.receivers import Robot
from tests.rollout_shop import Shop, eventually, running, unused_port

EXPORTED = {"digest": "sha256:new"}


def gate(decision: str = "PROMOTE", challenger: str = "sha256:new", baseline: str | None = None):
    return {
        "decision": decision,
        "reason": "because",
        "challenger": {"digest": challenger},
        "baseline": {"digest": baseline} if baseline else None,
    }


@pytest.mark.parametrize(
    ("decided", "live", "error"),
    [
        (gate("HOLD"), None, HeldError),
        (gate("INCONCLUSIVE"), None, InconclusiveError),
        (gate("MAYBE"), None, RefusedError),
        (gate(challenger="sha256:other"), None, RefusedError),
        (gate(), "sha256:live", RefusedError),  # a first release, but one is live
        (gate(baseline="sha256:older"), "sha256:live", RefusedError),
    ],
)
def test_a_rollout_needs_the_gates_word_about_these_bundles(decided, live, error):
    with pytest.raises(error):
        check_decision(decided, EXPORTED, live)


@pytest.mark.parametrize(
    ("decided", "live"),
    [(gate(), None), (gate(baseline="sha256:live"), "sha256:live"), (gate(), "sha256:new")],
)
def test_with_it_the_rollout_may_begin(decided, live):
    check_decision(decided, EXPORTED, live)


def ci(shop: Shop, *command: str) -> int:
    return main(["--config", str(shop.config.path), *command])


def deployment(shop: Shop) -> dict:
    return json.loads((shop.config.build / "deployment.json").read_text())


@pytest.fixture(scope="module")
def deployed(live_story: Shop) -> Shop:
    """A shop whose first release went out through the command line."""
    assert live_story.register(live_story.export(1)) == 1
    assert ci(live_story, "deploy") == 0
    return live_story


def test_a_deploy_leaves_its_evidence(deployed: Shop):
    seen = deployment(deployed)
    assert seen["environment"] == "local"
    assert seen["model_version"] == 1
    assert seen["digest"] == deployed.record.live_colour.digest
    assert (seen["colour"], seen["verified"]) == ("blue", True)
    assert seen["url"] == f"http://{deployed.address}"
    assert seen["example"]["model_version"] == 1
    assert len(seen["example"]["items"]) == 5
    assert registry.live_version(deployed.config, "local").number == 1


def test_what_is_live_already_is_not_rolled_out_again(deployed: Shop, capsys):
    before = deployed.record
    assert ci(deployed, "deploy") == 0
    assert "release 1 is already live" in capsys.readouterr().out
    assert deployed.record == before


def test_after_a_reboot_a_deploy_brings_back_what_is_live_already(deployed: Shop, capsys):
    for pids in running(deployed.home).values():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not running(deployed.home))
    assert ci(deployed, "deploy") == 0
    assert "already live" in capsys.readouterr().out
    assert ask_served(deployed.record).model_version == 1


@pytest.mark.parametrize(
    ("decision", "code"), [("HOLD", 10), ("INCONCLUSIVE", 11)], ids=["hold", "inconclusive"]
)
def test_what_the_gate_did_not_promote_stays_out(deployed: Shop, decision: str, code: int):
    deployed.export(2, decision=decision)
    assert ci(deployed, "deploy") == code
    assert ask_served(deployed.record).model_version == 1


def test_a_decision_about_another_baseline_is_refused(deployed: Shop, capsys):
    digest = deployed.export(2)
    deployed.decide(digest, "PROMOTE", "sha256:another")
    assert ci(deployed, "deploy") == 6
    assert "Run `bin/ci evaluate` and `bin/ci gate` again" in capsys.readouterr().err


def test_an_unhealthy_release_is_undone(deployed: Shop, capsys):
    """Its golden answers do not match its weights, as after one changed weight."""
    deployed.export(2, is_broken=True)
    assert ci(deployed, "deploy") == 5
    told = capsys.readouterr().err
    assert "release 1 serves on" in told
    assert "golden request 1 of 5: score" in told
    assert ask_served(deployed.record).model_version == 1
    assert deployed.record.history[-1].state == "failed"
    assert list(deployed.record.colours) == [deployed.record.live]


HOOK = 'notify.webhooks.team={kind = "json", url_env = "TEAM"}'


def test_people_are_told_of_releases_failures_and_rollbacks(deployed: Shop, monkeypatch):
    monkeypatch.setenv("BUILD_URL", "https://ci.example.com/job/7/")
    monkeypatch.setenv("PUSHCART_APPROVED_BY", "anna")
    with Robot() as robot:
        monkeypatch.setenv("TEAM", robot.url)
        deployed.export(3, is_broken=True)
        assert ci(deployed, "--set", HOOK, "deploy") == 5
        deployed.register(deployed.export(3))
        assert ci(deployed, "--set", HOOK, "deploy") == 0
        assert ci(deployed, "--set", HOOK, "deploy") == 0  # live already: nothing to tell
        assert ci(deployed, "--set", HOOK, "rollback") == 0
        assert ci(deployed, "--set", HOOK, "rollback", "--to", "9") == 2
        address = robot.url
    undone, released, back, wrong = [post.body for post in robot.posts]
    assert (undone["event"], undone["exit_code"]) == ("failure", 5)
    assert "The rollout was undone, release 1 serves on" in undone["reason"]
    assert (released["event"], released["model_version"]) == ("release", 3)
    assert (released["decision"], released["reason"]) == ("PROMOTE", "the test says PROMOTE")
    assert released["title"] == "rollout: release 3 is live in local"
    assert (released["link"], released["approved_by"]) == ("https://ci.example.com/job/7/", "anna")
    assert (back["title"], back["reason"]) == (
        "rollout: local went back to release 1",
        "from release 3",
    )
    assert (wrong["event"], wrong["exit_code"]) == ("failure", 2)
    files = [path for path in deployed.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if address.rpartition("=")[2].encode() in path.read_bytes()]


def test_a_robot_that_cannot_be_reached_fails_no_release(deployed: Shop, monkeypatch, capsys):
    monkeypatch.setenv("TEAM", f"http://127.0.0.1:{unused_port()}/")
    deployed.register(deployed.export(4))
    assert ci(deployed, "--set", HOOK, "deploy") == 0
    assert ask_served(deployed.record).model_version == 4
    assert "team (json) was not told of the release" in capsys.readouterr().err


def test_a_freeze_that_was_overridden_is_told(deployed: Shop, monkeypatch):
    sale = 'freeze.sale={environments = ["local"], dates = ["2020-01-01 to 2990-01-01"]}'
    deployed.register(deployed.export(5))
    with Robot() as robot:
        monkeypatch.setenv("TEAM", robot.url)
        assert ci(deployed, "--set", HOOK, "--set", sale, "deploy") == 6
        flags = ("--override-freeze", "prices are wrong")
        assert ci(deployed, "--set", HOOK, "--set", sale, "deploy", *flags) == 0
    frozen, released = [post.body for post in robot.posts]
    assert (frozen["event"], frozen["exit_code"]) == ("failure", 6)
    assert "local is frozen by [freeze.sale]" in frozen["reason"]
    assert (released["event"], released["override"]) == ("release", "prices are wrong")


def test_a_cluster_rolls_its_releases_out_by_itself(deployed: Shop, capsys):
    kind = 'environments.local.target="kubernetes"'
    assert main(["--config", str(deployed.config.path), "--set", kind, "deploy"]) == 2
    assert "kubectl apply" in capsys.readouterr().err
