"""Whatever is killed, whenever: what is live goes on, and the next command puts the rest right."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ci.errors import RolloutUndoneError, UnavailableError
from ci.rollout import client, placing
from ci.rollout.served import ask_served
from serving.host import processes, record
from serving.host.host import SOURCES
from serving.host.processes import ProcessIdentity
from tests.rollout_shop import Shop, eventually, open_shop, running
from tests.shoppers import Shoppers

STEPS = ("drain", "start", "load", "verify", "switch", "confirm")
ORDERS = ("order:wait", "order:relay", "order:serve")
DYING = Path(__file__).parent / "dying_supervisor.py"


def replace_supervisor(shop: Shop, dies_at: str) -> None:
    """Let a supervisor take over that will be killed at a step."""
    client.leave(shop.record)
    command = [sys.executable, str(DYING), *client.supervisor_arguments(shop.config), "--daemon"]
    environment = {**os.environ, "DIES_AT": dies_at, "PYTHONPATH": str(SOURCES)}
    subprocess.run(command, check=True, env=environment, cwd=SOURCES)


def assert_only_recorded_processes_run(shop: Shop) -> None:
    known = shop.record
    assert running(shop.home) == {
        "supervisor": [known.supervisor.pid],
        "server": sorted(colour.model.pid for colour in known.colours.values()),
        "gateway_process": sorted(colour.gateway.pid for colour in known.colours.values()),
    }


@pytest.mark.parametrize("step", [*STEPS, *ORDERS])
def test_a_supervisor_killed_at_any_step_is_followed_by_one_that_recovers(shop: Shop, step: str):
    for version in (1, 2):
        shop.deploy(version)
    replace_supervisor(shop, step)
    with Shoppers(shop.address, count=2) as shoppers:
        with pytest.raises(UnavailableError, match="went away during the rollout"):
            shop.deploy(3)
        eventually(lambda: not processes.is_alive(shop.record.supervisor))
        client.ensure_supervisor(shop.config)
        shoppers.wait_for(50)
        live_by_record = shop.record.live_colour.model_version
        assert {colour.state for colour in shop.record.colours.values()} <= {"live", "warm"}
        assert_only_recorded_processes_run(shop)
        shop.deploy(4)
        shoppers.wait_for(50)
    # the record names release 3 as live from the moment that its first answer was possible
    assert live_by_record == (3 if step in ("confirm", *ORDERS) else 2)
    assert shoppers.failed == []
    assert shoppers.gone_back() == []
    assert ask_served(shop.record).model_version == 4
    assert_only_recorded_processes_run(shop)
    states = {line.model_version: line.state for line in shop.record.history}
    assert states[3] == ("previous" if live_by_record == 3 else "failed")


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_first_release_killed_at_any_step_comes_up_by_the_next_deploy(shop: Shop, step: str):
    client.ensure_supervisor(shop.config)
    replace_supervisor(shop, step)
    with pytest.raises(UnavailableError):
        shop.deploy(1)
    shop.deploy(2)
    assert ask_served(shop.record).model_version == 2
    assert_only_recorded_processes_run(shop)


KILLED_CALLER = """
import os, signal, sys
from pathlib import Path
from ci.config import load_config
from ci.rollout import client
def progress(news):
    if news["step"] == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
client.deploy(load_config(Path(sys.argv[1])), sys.argv[2], "c0ffee", progress)
"""


@pytest.mark.parametrize("step", STEPS)
def test_a_deploy_killed_at_any_step_leaves_a_release_serving(shop: Shop, step: str):
    for version in (1, 2):
        shop.deploy(version)
    shop.export(3)
    placed = placing.place(shop.config, shop.workspace)
    with Shoppers(shop.address, count=2) as shoppers:
        command = [sys.executable, "-c", KILLED_CALLER, str(shop.config.path), placed.digest, step]
        killed = subprocess.run(command, check=False, cwd=SOURCES)
        eventually(lambda: shop.record.history[-1].state != "starting")
        if step in ("drain", "start", "load"):  # early enough to be called off
            assert shop.record.history[-1].state == "failed"
            assert "the caller went away" in shop.record.history[-1].reason
        shop.deploy(4)
        shoppers.wait_for(50)
    assert killed.returncode == -signal.SIGKILL
    assert shoppers.failed == []
    assert shoppers.gone_back() == []
    assert ask_served(shop.record).model_version == 4
    assert_only_recorded_processes_run(shop)


def test_after_a_reboot_the_recorded_live_release_alone_serves_on_the_same_port(shop: Shop):
    shop.deploy(1)
    shop.deploy(2)
    before = shop.record
    for pids in running(shop.home).values():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not running(shop.home))
    assert ask_served(before) is None
    client.ensure_supervisor(shop.config)
    eventually(lambda: ask_served(shop.record))
    assert ask_served(shop.record).model_version == 2
    assert shop.record.port == before.port
    assert list(shop.record.colours) == ["green"]
    assert_only_recorded_processes_run(shop)


def test_a_supervisor_of_newer_sources_takes_over_without_a_lost_request(shop: Shop):
    shop.deploy(1)
    address, gateway = shop.address, shop.record.colours["blue"].gateway
    with Shoppers(shop.address, count=2) as shoppers:
        shoppers.wait_for(50)
        client.leave(shop.record)
        shoppers.wait_for(50)
        client.ensure_supervisor(shop.config)
        shoppers.wait_for(50)
        shop.deploy(2)
        shoppers.wait_for(50)
    assert shoppers.failed == []
    assert shop.address == address
    assert shop.record.colours["blue"].gateway == gateway
    assert shoppers.asked[-1].version == 2


@pytest.mark.parametrize("part", ["model", "gateway"])
def test_a_dead_process_of_the_live_colour_is_started_again(shop: Shop, part: str):
    shop.deploy(1)
    before = getattr(shop.record.colours["blue"], part)
    os.kill(before.pid, signal.SIGKILL)
    eventually(lambda: getattr(shop.record.colours["blue"], part) != before)
    eventually(lambda: ask_served(shop.record))
    assert_only_recorded_processes_run(shop)


def test_a_dead_warm_colour_is_let_go_and_rollback_starts_it_anew(shop: Shop):
    shop.deploy(1)
    shop.deploy(2)
    os.kill(shop.record.colours["blue"].model.pid, signal.SIGKILL)
    eventually(lambda: "blue" not in shop.record.colours)
    target = shop.record.rollback_target()
    done = client.rollback(shop.config, target.digest, lambda _: None)
    assert done["warm"] is False
    assert ask_served(shop.record).model_version == 1


def test_a_reused_process_number_is_never_killed(shop: Shop):
    """After a crash the record may hold a number that another program has by now."""
    shop.deploy(1)
    client.leave(shop.record, "stop")
    known = shop.record
    with subprocess.Popen(["sleep", "600"]) as bystander:
        now = processes.identify(bystander.pid)
        known.colours["blue"].model = ProcessIdentity(bystander.pid, "another boot/17")
        known.colours["blue"].gateway = ProcessIdentity(bystander.pid, f"{now.started}0")
        known.supervisor = ProcessIdentity(bystander.pid, "another boot/17")
        record.save(known, shop.home)
        client.ensure_supervisor(shop.config)
        eventually(lambda: ask_served(shop.record))
        shop.deploy(2)
        shop.deploy(3)
        is_alive = bystander.poll() is None
        bystander.kill()
    assert is_alive


def test_a_port_that_another_program_holds_is_replaced_and_kept(tmp_path, released_model):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        shop = open_shop(tmp_path / "shop", released_model, taken)
        shop.deploy(1)
        first = shop.record.port
    try:
        client.leave(shop.record, "stop")
        client.ensure_supervisor(shop.config)
        eventually(lambda: ask_served(shop.record))
        assert first > taken
        assert shop.record.port == first
    finally:
        shop.end()


def test_a_first_release_that_fails_leaves_nothing_running(shop: Shop):
    with pytest.raises(RolloutUndoneError, match="no release serves"):
        shop.deploy(1, is_broken=True)
    eventually(lambda: not running(shop.home))
    assert [line.state for line in shop.record.history] == ["failed"]


def test_two_shops_do_not_disturb_each_other(shop: Shop, tmp_path, released_model):
    neighbour = open_shop(tmp_path / "neighbour", released_model, shop.config.environment.port)
    try:
        shop.deploy(1)
        neighbour.deploy(1)
        neighbour.deploy(2)
        assert ask_served(shop.record).model_version == 1
        assert ask_served(neighbour.record).model_version == 2
        assert shop.record.port != neighbour.record.port
    finally:
        neighbour.end()
