"""What happens to a host of target `process`, in any order, and what must hold after it.

The supervisor, its rollouts, its recovery and its record on disk are the real ones; the machine
beneath them is in memory, and its clock is turned.
"""

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from serving.host import outbox, record
from serving.host.control import Caller, Order, RefusedOrderError
from serving.host.record import VERIFIED, Record
from serving.host.releases import Placed, folder_of
from serving.host.rollout import take_back
from serving.supervisor import Supervisor
from tests.serving.host.machine import (
    Fault,
    Killed,
    Life,
    Machine,
    TurnedLoop,
    caller_who_hangs_up,
)
from tests.serving.host.machine_host import MachineHost

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  each save syncs a disk
LONGEST_OUTAGE = 60.0  # seconds
LONGEST_ROLLOUT = 110  # moments: of one that drains, starts, switches and is undone
moments = st.none() | st.integers(1, LONGEST_ROLLOUT)
bad = st.sampled_from([fault for fault in Fault if fault is not Fault.NONE])


class Walk(RuleBasedStateMachine):
    """One machine, from before its first release on.

    `kill`, `hang_up`: moments from now at which the supervisor is killed, the caller goes away.

    Attributes:
        must_answer: Whether a release was healthy, and so the door must answer.
        taken_back: Numbers of the lines that the fleet took back.
        outcome: How the last order ended: `done`, `undone`, or the supervisor was `killed`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pushcart-walk-", dir=MEMORY))
        self.home, self.ledger = self.folder / "home", self.folder / "outbox.jsonl"
        self.home.mkdir()
        self.loop = TurnedLoop()
        self.machine = Machine(self.loop)
        self.must_answer = False
        self.taken_back: set[int] = set()
        self.outcome = ""

    def teardown(self) -> None:
        self._bury()
        self.loop.close()
        shutil.rmtree(self.folder)

    # What happens.

    @initialize()
    def begins(self) -> None:
        self._boot()

    @rule(kill=moments, hang_up=moments, lost=st.none() | st.integers(0, 5))
    def a_good_release(self, kill=None, hang_up=None, lost=None) -> None:
        self.change("deploy", self.place(Fault.NONE), kill, hang_up, lost)
        assert self.outcome == "done" or (kill, hang_up, lost) != (None, None, None)

    @rule(fault=bad, kill=moments)
    def a_bad_release(self, fault, kill=None) -> None:
        self.change("deploy", self.place(fault), kill)

    @precondition(lambda self: self.machine.faults)
    @rule(data=st.data(), kill=moments, hang_up=moments)
    def a_release_again(self, data, kill, hang_up) -> None:
        key = data.draw(st.sampled_from(sorted(self.machine.faults)))
        self.change("deploy", key, kill, hang_up)

    @precondition(lambda self: self.known.rollback_target())
    @rule(kill=moments, hang_up=moments)
    def a_rollback(self, kill=None, hang_up=None) -> None:
        self.change("rollback", self.known.rollback_target().key, kill, hang_up)

    @precondition(lambda self: self._verified())
    @rule(data=st.data(), kill=moments)
    def a_rollback_to_any(self, data, kill) -> None:
        self.change("rollback", data.draw(st.sampled_from(self._verified())), kill)

    @precondition(lambda self: self.known.live_colour)
    @rule(kill=moments)
    def the_fleet_takes_it_back(self, kill=None) -> None:
        live, target = self._live_key(), self.known.rollback_target()
        expected = self._warm() or (target.key if target else "")
        self.taken_back.add(self.known.latest_of(live).number)

        async def order(_: Order, __: Caller) -> Order:
            async with self.supervisor._busy:
                await take_back(self.host, live, "another host could not take it")
                self.supervisor._report()
            return {}

        self._plan(kill)
        self._give({}, obey=order)
        self.must_answer = bool(expected)
        self._settle()
        assert self._live_key() in ({live, expected} if self.outcome == "killed" else {expected})

    @rule(kill=moments)
    def the_supervisor_is_killed(self, kill) -> None:
        self._restart(kill)
        self._settle()

    @rule(kill=moments)
    def it_leaves_for_a_newer_one(self, kill) -> None:
        self._plan(kill)
        self._give({"order": "leave"})
        self._restart()
        self._settle()

    @rule(after=st.integers(1, LONGEST_ROLLOUT))
    def it_is_told_to_end_during_a_rollout(self, after) -> None:
        """By SIGTERM: what `run` does then."""
        self.life.plan(after, self.supervisor._ended.set)
        order = {"order": "deploy", "digest": self.place(Fault.NONE), "who": "", "commit": ""}
        self.loop.create_task(self.supervisor.obey(order, Caller(lambda _: None)))
        ended = self.loop.create_task(self.supervisor._ended.wait())
        self.loop.run_until_complete(asyncio.wait({ended}, timeout=LONGEST_OUTAGE))
        self.watching.cancel()
        self.loop.run_until_complete(self.supervisor.end())
        self._bury()
        assert not self.machine.running
        self._restart()
        self._settle(is_outage=True)

    @rule(kill=moments)
    def the_power_fails(self, kill=None) -> None:
        self.machine.power_cut()
        self._restart(kill)
        self._settle(is_outage=True)

    @precondition(lambda self: self.machine.running)
    @rule(data=st.data(), kill=moments)
    def a_process_dies(self, data, kill) -> None:
        del self.machine.running[data.draw(st.sampled_from(sorted(self.machine.running)))]
        self._plan(kill)
        self._settle(is_outage=True)

    @rule(seconds=st.floats(0.1, 40))
    def time_passes(self, seconds) -> None:
        self._let_pass(seconds)
        self._settle()

    # What must hold after it.

    @invariant()
    def the_record_on_disk_is_what_the_supervisor_knows(self) -> None:
        assert record.load(self.home) == self.known

    @invariant()
    def a_healthy_release_answers(self) -> None:
        assert self._live_key() or not self.must_answer
        answered = self.machine.shop()
        assert answered == self._live_key()
        assert not answered or self.machine.faults[answered] is Fault.NONE

    @invariant()
    def at_most_two_colours_run_and_no_other_process(self) -> None:
        colours = self.known.colours
        assert set(colours) <= {"blue", "green"}
        recorded = {one.pid for c in colours.values() for one in (c.model, c.gateway) if one}
        assert set(self.machine.running) <= recorded

    @invariant()
    def every_colour_was_verified(self) -> None:
        for colour in self.known.colours.values():
            assert self.known.latest_of(colour.key), colour
            assert colour.state == ("live" if colour.name == self.known.live else "warm")

    @invariant()
    def one_line_is_live_and_none_is_open(self) -> None:
        lines = self.known.history
        live = [self._live_key()] if self.known.live else []
        assert [line.key for line in lines if line.state == "live"] == live
        assert all(line.state != "starting" for line in lines)
        assert [line.number for line in lines] == list(range(1, len(lines) + 1))

    @invariant()
    def the_ledger_heard_what_happened(self) -> None:
        text = self.ledger.read_text() if self.ledger.exists() else ""
        heard = {one["id"]: one for one in map(json.loads, text.splitlines())}
        happened = [outbox.entry(self.known, line) for line in self.known.history]
        assert list(heard) == [one["id"] for one in happened]
        for line, one in zip(self.known.history, happened, strict=True):
            if line.number not in self.taken_back:  # it was live when the ledger heard of it
                assert heard[one["id"]] == one

    def hold(self) -> None:
        """Check every invariant, where no hypothesis does."""
        self.the_record_on_disk_is_what_the_supervisor_knows()
        self.a_healthy_release_answers()
        self.at_most_two_colours_run_and_no_other_process()
        self.every_colour_was_verified()
        self.one_line_is_live_and_none_is_open()
        self.the_ledger_heard_what_happened()

    # How it is made to happen.

    @property
    def known(self) -> Record:
        return self.host.record

    def _live_key(self) -> str:
        live = self.known.live_colour
        return live.key if live else ""

    def _warm(self) -> str:
        """Key of the release that runs without traffic."""
        colours = (c for c in self.known.colours.values() if c is not self.known.live_colour)
        return next((c.key for c in colours if self.host.is_running(c)), "")

    def _verified(self) -> list[str]:
        return sorted({line.key for line in self.known.history if line.state in VERIFIED})

    def place(self, fault: Fault) -> str:
        """Put a new release on the host; returns its key."""
        version = len(self.machine.faults) + 1
        placed = Placed("next_item", version, f"sha256:{version:03}", "litert", "c0ffee", 10.0, 2.0)
        folder = folder_of(self.home, placed.key)
        folder.mkdir(parents=True)
        placed.write(folder)
        self.machine.faults[placed.key] = fault
        return placed.key

    def change(self, kind, key, kill=None, hang_up=None, lost=None) -> None:
        """Order a release, and hold what came of it against what was before."""
        before, warm = self._live_key(), self._warm()
        states = {line.number: line.state for line in self.known.history}
        self.machine.seen = [before] if before else []
        self.machine.lost_order = lost
        self._plan(kill)
        self._give({"order": kind, "digest": key, "who": "anna", "commit": "c0ffee"}, hang_up)
        if self.outcome == "done" or (self.outcome == "undone" and before and lost is None):
            assert self.machine.shop() == self._live_key()  # at once, without the watch
        self.machine.lost_order = None
        self._settle(excused=key)
        now = self._live_key()
        assert now in {"done": {key}, "undone": {before}, "killed": {before, key}}[self.outcome]
        ways = [[before, now], [now]] if now == key else [[before], [before, key, before]]
        assert self.machine.seen in [[one for one in way if one] for way in ways]
        if self._was_broken_off():  # before it was written down as live: it answered nobody
            assert key == before or key not in self.machine.seen
        leaves = "withdrawn" if kind == "rollback" else "previous"
        for line in self.known.history[: len(states)]:
            was = states[line.number]
            assert line.state == (leaves if was == "live" and now != before else was)
        if self.outcome == "undone" and warm == key:
            assert self._warm() == warm or "went away" not in self.known.history[-1].reason

    def _was_broken_off(self) -> bool:
        reason = self.known.history[-1].reason if self.known.history else ""
        return reason.startswith("interrupted") and "afterwards" not in reason

    def _plan(self, kill: int | None) -> None:
        self.life.plan(kill, self.life.end)

    def _give(self, order: Order, hang_up: int | None = None, obey: object = None) -> None:
        """Give the supervisor an order; one that ends over it is followed by another."""
        caller = caller_who_hangs_up(self.life, hang_up)
        self.outcome = "done"
        try:
            self.loop.run_until_complete((obey or self.supervisor.obey)(order, caller))
        except RefusedOrderError as refusal:
            self.outcome = refusal.code
        except Killed:
            self.outcome = "killed"
            self._restart()
        self.life.fates.clear()
        if self.supervisor._ended.is_set():
            self.loop.run_until_complete(self.supervisor.end())
            self._restart()

    def _let_pass(self, seconds: float) -> None:
        """Let the supervisor watch for a while; one that is killed is followed by another."""
        self.loop.run_until_complete(asyncio.sleep(seconds))
        if self.life.is_over:
            self._restart()

    def _settle(self, *, is_outage: bool = False, excused: str | None = None) -> None:
        """Wait until the recorded release answers; no other request may have failed till then."""
        deadline = self.loop.time() + LONGEST_OUTAGE
        while self.machine.shop() != self._live_key():
            assert self.loop.time() < deadline, "the door does not follow the record"
            self._let_pass(0.5)
        self.life.fates.clear()
        failures = [one for one in self.machine.failures if one[1] != excused]
        assert is_outage or not (self.must_answer and failures), failures
        self.must_answer |= self.known.live_colour is not None
        self.machine.failures.clear()

    def _restart(self, kill: int | None = None) -> None:
        self._bury()
        try:
            self._boot(kill)
        except Killed:
            self._bury()
            self._boot()

    def _boot(self, kill: int | None = None) -> None:
        """Start a supervisor as `serving.supervisor.main` does."""
        self.life = self.machine.life = Life()
        self._plan(kill)
        known = record.load(self.home) or Record("corner", "local", 1, 1, str(self.home))
        self.host = MachineHost(self.home, known, self.machine, self.life)
        self.host.save()
        self.supervisor = Supervisor(self.host, self.ledger)
        self.loop.run_until_complete(self.supervisor.begin())
        self.watching = self.loop.create_task(self.supervisor.watch())

    def _bury(self) -> None:
        """End the supervisor, if it still lives, at once."""
        self.life.is_over = True
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        gathered = asyncio.gather(*tasks, return_exceptions=True) if tasks else asyncio.sleep(0)
        with contextlib.suppress(Killed):
            self.loop.run_until_complete(gathered)
