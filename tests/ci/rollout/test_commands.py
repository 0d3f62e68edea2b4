"""`serve`, `status`, `history` and `rollback` as a person meets them."""

import shutil
import signal
import subprocess
import sys

import pytest

from ci.__main__ import main
from ci.rollout import client, ledger
from ci.rollout.served import ask_served
from serving.host import releases
from serving.host.host import SOURCES
from tests.rollout_shop import Shop, eventually, running


def ci(shop: Shop, *command: str) -> int:
    return main(["--config", str(shop.config.path), *command])


@pytest.mark.parametrize("command", ["serve", "status", "history", "rollback"])
def test_before_the_first_release_the_way_to_it_is_told(shop: Shop, command, capsys):
    assert ci(shop, command) == 2
    assert "Run `bin/ci run` first" in capsys.readouterr().err


def test_rollback_needs_neither_registry_nor_build(shop: Shop, capsys):
    shop.deploy(1)
    shop.deploy(2)
    shutil.rmtree(shop.config.build)
    assert not (shop.config.state / "mlflow.db").exists()
    assert ci(shop, "rollback") == 0
    told = capsys.readouterr()
    assert "to release 1 from release 2" in told.out
    assert f"release 1 answers at http://{shop.address}" in told.out
    assert "The ledger will be told later" in told.err
    assert not (shop.config.state / "mlflow.db").exists()
    assert ask_served(shop.record).model_version == 1
    assert [line.state for line in shop.record.history] == ["previous", "withdrawn", "live"]
    assert [one["kind"] for one in ledger.pending(shop.config)[0]] == [
        "deploy",
        "deploy",
        "rollback",
    ]


def test_there_may_be_nothing_to_go_back_to(shop: Shop, capsys):
    shop.deploy(1)
    assert ci(shop, "rollback") == 6
    assert "There is nothing to roll back to" in capsys.readouterr().err
    assert ask_served(shop.record).model_version == 1


def test_rollback_to_a_named_release_of_long_ago(shop: Shop, capsys):
    for version in (1, 2, 3):
        shop.deploy(version)
    assert ci(shop, "rollback", "--to", "1") == 0
    assert ask_served(shop.record).model_version == 1
    assert ci(shop, "rollback", "--to", "7") == 2
    assert "Release 7 never served local; it knows [1, 2, 3]" in capsys.readouterr().err
    # 3 was withdrawn, 1 is live: the newest good one is 2
    assert ci(shop, "rollback") == 0
    assert ask_served(shop.record).model_version == 2
    # named by a person, also a withdrawn one is started again
    assert ci(shop, "rollback", "--to", "3") == 0
    assert ask_served(shop.record).model_version == 3


def test_a_rollback_target_that_is_gone_from_the_host_is_told(shop: Shop, capsys):
    shop.deploy(1)
    shop.deploy(2)
    first = shop.record.history[0]
    shutil.rmtree(shop.home / "releases" / first.digest.removeprefix("sha256:"))
    assert ci(shop, "rollback") == 6
    assert "not on this host any more" in capsys.readouterr().err
    assert ask_served(shop.record).model_version == 2


def test_a_release_altered_on_the_host_is_not_rolled_back_to(shop: Shop, capsys):
    shop.deploy(1)
    shop.deploy(2)
    digest = shop.record.history[0].digest
    model = releases.load(shop.home, digest).bundle(shop.home) / "edge/model.tflite"
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    assert ci(shop, "rollback") == 6
    assert "was altered: its digest is" in capsys.readouterr().err
    assert ask_served(shop.record).model_version == 2


def test_status_and_history_tell_what_runs(shop: Shop, capsys):
    shop.deploy(1)
    shop.deploy(2)
    assert ci(shop, "status") == 0
    told = capsys.readouterr().out
    assert f"http://{shop.address}: release 2 answers" in told
    assert "live         green  release 2 (litert" in told
    assert "warm         blue   release 1 (litert" in told
    assert f"process {shop.record.supervisor.pid}" in told
    assert "2 entries wait to be sent" in told
    assert ci(shop, "history") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[:4] for row in rows] == [
        ["1", "deploy", "1", "previous"],
        ["2", "deploy", "2", "live"],
    ]


def test_status_says_when_nobody_answers(shop: Shop, capsys):
    shop.deploy(1)
    client.leave(shop.record, "stop")
    assert ci(shop, "status") == 4
    told = capsys.readouterr()
    assert "does not run; start it with `bin/ci serve`" in told.out
    assert "Run `bin/ci serve`" in told.err


def test_serve_tells_where_it_is_served_already(shop: Shop, capsys):
    shop.deploy(1)
    assert ci(shop, "serve") == 0
    assert f"release 1 is served at http://{shop.address} already" in capsys.readouterr().out


def test_serve_stays_in_front_until_it_is_told_to_end(shop: Shop):
    shop.deploy(1)
    client.leave(shop.record, "stop")
    command = [sys.executable, "-m", "ci", "--config", str(shop.config.path), "serve"]
    with subprocess.Popen(command, cwd=SOURCES, stdout=subprocess.PIPE, text=True) as serving:
        eventually(lambda: ask_served(shop.record))
        assert ask_served(shop.record).model_version == 1
        assert running(shop.home)["gateway_process"]
        serving.send_signal(signal.SIGINT)
        assert serving.wait(timeout=60) == 0
        assert "serving release 1" in serving.stdout.read()
    eventually(lambda: not running(shop.home))
    assert shop.record.live_colour.model_version == 1


def test_serve_can_end_what_serves_in_the_background(shop: Shop, capsys):
    shop.deploy(1)
    assert ask_served(shop.record) is not None
    assert ci(shop, "serve", "--stop") == 0
    assert ask_served(shop.record) is None
    assert client.find_supervisor(shop.record) is None
    assert ci(shop, "serve", "--stop") == 0
    assert "nothing serves at" in capsys.readouterr().out
