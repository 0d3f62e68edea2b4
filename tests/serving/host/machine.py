"""A machine in memory: its clock, its processes, the door that they share, and two shoppers."""

import asyncio
import enum
import itertools
import selectors
from dataclasses import dataclass, field
from typing import Any

from serving.host.control import Caller
from serving.host.processes import ProcessIdentity
from serving.host.releases import Placed

LISTENS_AFTER, LOADS_AFTER, DIES_AFTER = 0.2, 1.0, 0.5  # seconds of a process's life
LONGEST_HOLD = 30.0  # of a request, before the gateway gives up on it: its LONGEST_HOLD_SECONDS
LONGEST_IDLE = 1.0  # of a connection that a shopper leaves open


class Fault(enum.Enum):
    """What is wrong with a release."""

    NONE = "nothing"
    NO_START = "its processes cannot be started"
    DIES = "its model server dies while loading"
    GIVES_UP = "its model server gives the model up"
    NEVER_LOADS = "its model never loads"
    WRONG = "its golden answers are wrong"
    ERRORS = "its gateway answers 500"
    DEAF_TO_WAIT = "its gateway does not take the order `wait`"
    DEAF_TO_SERVE = "its gateway does not take the order `serve`"
    ILL = "it answers 500 once it has shoppers"


class Killed(BaseException):
    """The supervisor got SIGKILL at this moment."""


@dataclass
class Life:
    """One supervisor process, and what is to happen to it.

    Attributes:
        moments: Effects on the machine so far.
        fates: What happens at which moment.
    """

    moments: int = 0
    is_over: bool = False
    fates: dict[int, Any] = field(default_factory=dict)

    def plan(self, after: int | None, fate: Any) -> None:
        """Let something happen some moments from now."""
        if after is not None:
            self.fates[self.moments + after] = fate

    def end(self) -> None:
        """End now, in the middle of whatever is under way."""
        self.is_over = True
        raise Killed


@dataclass(eq=False)
class Process:
    """A model server or a gateway."""

    part: str
    placed: Placed
    fault: Fault
    born: float
    port: int
    model_port: int
    mode: str = "waiting"
    accepts: bool = False
    next_port: int = 0
    failed: int = 0


class TurnedSelector(selectors.DefaultSelector):
    """Turns the clock forward instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits for somebody else"
            self.now += timeout
        return ready


class TurnedLoop(asyncio.SelectorEventLoop):
    """An event loop whose hours pass at once."""

    def __init__(self) -> None:
        self._turned = TurnedSelector()
        super().__init__(self._turned)

    def time(self) -> float:
        return self._turned.now

    def run_in_executor(self, *work: Any) -> Any:
        """Refuse: hours may pass here before a thread has done anything."""
        raise AssertionError(f"{work} would be done in a thread, whose time is not turned")


class Machine:
    """Processes of one environment, the door that they share, and two shoppers who never rest.

    One shopper makes a new connection for each request, the other keeps hers as long as it is
    left open. They ask at every moment at which the supervisor does anything.

    Attributes:
        faults: What is wrong with releases, by key.
        seen: Releases that answered, each time another one did.
        failures: Releases that should have answered and did not.
        lost_order: How many orders from now one is lost on its way.
    """

    def __init__(self, loop: TurnedLoop) -> None:
        self.time = loop.time
        self.running: dict[int, Process] = {}
        self.faults: dict[str, Fault] = {}
        self.seen: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self.lost_order: int | None = None
        self.life = Life(is_over=True)
        self._numbers = itertools.count(1)
        self._loyal: Process | None = None
        self._loyal_since = 0.0
        self._held_since: float | None = None

    def number(self) -> int:
        """One that was never given out: of a process, a port."""
        return next(self._numbers)

    def moment(self, life: Life) -> None:
        """The supervisor does something, shoppers ask, and fate may strike."""
        if life.is_over:
            raise Killed
        self.shop()
        life.moments += 1
        fate = life.fates.pop(life.moments, None)
        if fate:
            fate()

    def alive(self, identity: ProcessIdentity | None) -> Process | None:
        """The process of this identity, if it lives."""
        process = self.running.get(identity.pid) if identity else None
        dies = process and process.part == "model" and process.fault is Fault.DIES
        if dies and self._age(process) >= DIES_AFTER:
            del self.running[identity.pid]
            return None
        return process

    def _age(self, process: Process) -> float:
        return self.time() - process.born

    def model_state(self, process: Process) -> str:
        """What a model server says of its model."""
        if process.fault is Fault.NEVER_LOADS or self._age(process) < LOADS_AFTER:
            return "LOADING"
        return "END" if process.fault is Fault.GIVES_UP else "AVAILABLE"

    def power_cut(self) -> None:
        """End every process at once."""
        self.running.clear()
        self.life.is_over = True

    def at(self, part: str, port: int) -> Process | None:
        """Who listens at a port."""
        for pid, process in self.running.items():
            if (process.part, process.port) == (part, port):
                return self.alive(ProcessIdentity(pid, ""))
        return None

    def connections(self, gateway: Process) -> int:
        """Shoppers' connections that a gateway has."""
        return int(self._loyal is gateway and self.time() - self._loyal_since < LONGEST_IDLE)

    def shop(self) -> str:
        """Both shoppers ask; the key of the release that answered the new connection, or ""."""
        if self._loyal and self._loyal in self.running.values():
            relayed = self._loyal.mode == "relaying"
            self._note(self._ask(self._loyal))
            if relayed:
                self._loyal = None  # its answer closed the connection
        doors = [one for one in self.running.values() if one.accepts]
        answers = [self._note(self._ask(door)) for door in doors]
        if not doors:
            is_open = self.running or not self.life.is_over
            self._note(("held" if is_open else "refused", ""))
        if doors and doors[0] is not self._loyal:
            self._loyal, self._loyal_since = doors[0], self.time()
        return answers[0] if answers else ""

    def _ask(self, gateway: Process) -> tuple[str, str]:
        if gateway.mode == "waiting":
            return "held", ""
        answering: Process | None = gateway
        if gateway.mode == "relaying":
            answering = self.at("gateway", gateway.next_port)
        if answering is None:
            return "nobody to relay to", gateway.placed.key
        model = self.at("model", answering.model_port)
        is_ill = answering.fault is Fault.ILL and answering.mode == "serving"
        if is_ill or model is None or self.model_state(model) != "AVAILABLE":
            gateway.failed += 1
            return "503", answering.placed.key
        return "answered", answering.placed.key

    def _note(self, heard: tuple[str, str]) -> str:
        outcome, key = heard
        if outcome == "held":
            self._held_since = self.time() if self._held_since is None else self._held_since
            if self.time() - self._held_since > LONGEST_HOLD:
                self.failures.append(("held too long", key))
            return ""
        self._held_since = None
        if outcome != "answered":
            self.failures.append(heard)
            return ""
        if self.seen[-1:] != [key]:
            self.seen.append(key)
        return key


def caller_who_hangs_up(life: Life, after: int | None) -> Caller:
    """Whoever gives an order, and goes away some moments later."""
    caller = Caller(lambda _: None)

    def hang_up() -> None:
        caller.is_gone = True

    life.plan(after, hang_up)
    return caller
