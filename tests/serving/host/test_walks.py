"""Whatever happens to a host of target `process`, a healthy release answers."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.serving.host.machine import Fault
from tests.serving.host.walk import LONGEST_ROLLOUT, Walk

TestWalk = Walk.TestCase
TestWalk.settings = settings(
    max_examples=500,
    stateful_step_count=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@contextlib.contextmanager
def walk(good_releases: int) -> Iterator[Walk]:
    one = Walk()
    try:
        one.begins()
        for _ in range(good_releases):
            one.a_good_release()
        yield one
        one.hold()
    finally:
        one.teardown()


def disturbed(happens: Callable[[Walk, int], None], good_releases: int = 2) -> tuple[str, str]:
    """Disturb something at its first moment, at its second, … until that comes too late.

    Returns:
        How it ended when it was disturbed, and when it was not.
    """
    outcomes: list[str] = []
    while len(set(outcomes)) < 2:
        with walk(good_releases) as one:
            happens(one, len(outcomes) + 1)
            outcomes.append(one.outcome)
    return outcomes[0], outcomes[-1]


@pytest.mark.parametrize("fault", [Fault.NONE, Fault.WRONG, Fault.DEAF_TO_SERVE, Fault.ILL])
def test_a_deploy_killed_at_any_moment_is_finished_or_undone(fault: Fault):
    ends = disturbed(lambda one, kill: one.change("deploy", one.place(fault), kill))
    assert ends == ("killed", "done" if fault is Fault.NONE else "undone")


def test_a_first_release_undone_and_killed_at_any_moment_is_not_kept_warm():
    ends = disturbed(lambda one, kill: one.a_good_release(kill, lost=0), good_releases=0)
    assert ends == ("killed", "undone")


@pytest.mark.parametrize("lost", range(5))
def test_an_order_lost_in_a_switch_makes_no_release_go_back(lost: int):
    with walk(good_releases=2) as one:
        one.a_good_release(lost=lost)
        # `wait` to the target, `relay` to the other, `serve` to the target
        assert one.outcome == ("undone" if lost in (0, 2) else "done")


def test_an_order_lost_in_a_recovery_is_given_again():
    # where the kill came before the rollout's first order, the recovery's is lost
    assert disturbed(lambda one, kill: one.a_good_release(kill, lost=0)) == ("killed", "undone")


def test_a_caller_who_hangs_up_at_any_moment_leaves_the_warm_release_warm():
    ends = disturbed(lambda one, hang_up: one.a_rollback(hang_up=hang_up))
    assert ends == ("undone", "done")


def test_a_supervisor_told_to_end_during_a_rollout_leaves_no_process():
    for moment in range(1, LONGEST_ROLLOUT, 2):
        with walk(good_releases=2) as one:
            one.it_is_told_to_end_during_a_rollout(moment)


def test_a_release_taken_back_after_a_reboot_makes_room_for_the_one_before():
    with walk(good_releases=2) as one:
        one.the_power_fails()
        one.the_fleet_takes_it_back()
        assert one.known.live_colour.model_version == 1
