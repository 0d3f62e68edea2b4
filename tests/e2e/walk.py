"""A walk of a fleet, step by step at random: what may happen to it, and what holds after each."""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ci import registry
from ci.rehearsal.load import load
from ci.rehearsal.traffic import Request
from tests.e2e.fleet import Fleet
from tests.rollout_shop import eventually

PACE = 20.0  # requests a second and host


def wait_for_line(process: subprocess.Popen[str], words: str) -> str:
    """Read what a command prints until some words come."""
    said = ""
    for line in process.stdout or ():
        said += line
        if words in line:
            return said
    raise AssertionError(f"{words!r} never came:\n{said}")


@dataclass
class Walk:
    """What happened to a fleet so far.

    Attributes:
        fleet: Prepared, with two releases that it can go back and forth between.
        dice: Decide what happens.
        steps: By name.
        dark: Who was without power, from when until when it served again.
    """

    fleet: Fleet
    dice: random.Random
    steps: list[str] = field(default_factory=list)
    dark: list[tuple[str, float, float]] = field(default_factory=list)

    def go(self, count: int) -> list[Request]:
        """Go that many steps, each kind at least once, under load.

        Returns:
            The requests that failed, but for those to a host that was without power.
        """
        kinds: list[Callable[[], None]] = [
            self.a_good_release,
            self.a_bad_release,
            self.a_killed_deploy,
            self.a_host_without_power,
            self.a_rollback,
        ]
        kinds += self.dice.choices(kinds, k=count - len(kinds))
        self.dice.shuffle(kinds)
        with load(self.fleet.plan(PACE, seconds=900)) as running:
            for step in kinds:
                self.steps.append(step.__name__)
                step()
                self.hold()
        traffic = running.stop()
        print(traffic.summary(), *self.steps, sep="\n")
        return [one for one in traffic.failures if not self._was_dark(one)]

    def _was_dark(self, request: Request) -> bool:
        return any(
            request.host == host and request.sent <= end and request.ended >= start
            for host, start, end in self.dark
        )

    def hold(self) -> None:
        """What is so after each step."""
        told = " → ".join(self.steps)
        (live,) = set(self.fleet.live())
        known = registry.live_version(self.fleet.config, self.fleet.config.options.environment)
        assert (known and known.number) == live, f"the ledger differs after {told}"
        for host in self.fleet.hosts:
            assert len(self.fleet.record(host).colours) <= 2, told
            assert self.fleet.containers(host).count("-gateway ") <= 2, told
        code, said = self.fleet.run("status")
        assert code == 0, f"after {told}:\n{said}"
        assert said.count(f"release {live} answers") == len(self.fleet.hosts)

    def a_good_release(self) -> None:
        version = self.fleet.make()
        code, said = self.fleet.deploy()
        assert code == 0, said
        assert set(self.fleet.live()) == {version}

    def a_bad_release(self) -> None:
        live = self.fleet.live()
        self.fleet.make(is_broken=True)
        code, said = self.fleet.deploy()
        assert code == 5, said
        assert self.fleet.live() == live

    def a_killed_deploy(self) -> None:
        """Killed, or ended by whoever waits for it, at one of its moments; then run again."""
        moments = [
            f"{host}: {task}"
            for host in self.fleet.hosts
            for task in ("Verify and pull", "Start, verify and switch")
        ]
        version = self.fleet.make()
        deploying = self.fleet.begin("deploy", "--single-machine")
        wait_for_line(deploying, self.dice.choice(moments))
        deploying.send_signal(self.dice.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
        deploying.communicate(timeout=60)
        code, said = self.fleet.deploy()
        assert code == 0, said
        assert set(self.fleet.live()) == {version}

    def a_host_without_power(self) -> None:
        """It loses it during a deploy, which the others are then spared; later it comes back."""
        live = self.fleet.live()
        host = self.dice.choice(self.fleet.hosts)
        self.fleet.make()
        deploying = self.fleet.begin("deploy", "--single-machine")
        said = wait_for_line(deploying, f"{host}: Verify and pull")
        start = time.monotonic()
        self.fleet.rehearsal.stop(host)
        said += deploying.communicate(timeout=300)[0]
        assert deploying.returncode == 4, said
        assert self.fleet.rehearsal.start(host) == "running"
        eventually(lambda: self.fleet.run("status")[0] == 0, 90)
        self.dark.append((host, start, time.monotonic()))
        assert self.fleet.live() == live

    def a_rollback(self) -> None:
        live = self.fleet.live()
        code, said = self.fleet.run("rollback")
        assert code == 0, said
        assert self.fleet.live() != live
