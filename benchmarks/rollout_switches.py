"""What switches of a release cost shoppers who ask at a constant pace, by one way after another."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.rollout_colours import Place, release_at, until
from benchmarks.rollout_ways import WAYS, Way, serving
from ci.rehearsal.load import Load, load
from ci.rehearsal.plan import Plan
from ci.rehearsal.traffic import Traffic
from ci.rollout.users import write_users
from tests.rollout_places import free_ports
from tests.rollout_shop import write_dataset

SHOPPERS = 8  # each with connections of its own, as a shop's servers
PER_SECOND = 48.0  # all of them together: a third of one core, with who answers
NEW_CONNECTIONS = 0.25
QUIET_SECONDS = 1.0
AFTER_SECONDS = 1.0
DOOR = "door"


@dataclass(frozen=True)
class Move:
    """One switch.

    Attributes:
        version: The release that it brought.
        began: When its command began.
        over: Some time after the new release was seen to answer.
    """

    version: int
    began: float
    over: float


@dataclass(frozen=True)
class Round:
    """Some switches by one way under one load: all that was asked, and when traffic was moved."""

    way: str
    traffic: Traffic
    moves: tuple[Move, ...]


@dataclass(frozen=True)
class Switches:
    """The switches of one way.

    Attributes:
        way: Its title.
        switches: How many.
        requests: Sent in all, also between the switches.
        failed: Of those, without a good answer.
        reasons: Why, and how many.
        gone_back: Answered by an older release than an answer that came before they were sent.
        first_seconds: A switch each: from the command to the first answer of the new release.
        last_seconds: To the last answer of the old one; 0 where none came any more.
        quiet_ms: p50 and p99 of the seconds before the commands.
        switch_ms: p50 and p99 from the command to a second after the new release answered.
    """

    way: str
    switches: int
    requests: int
    failed: int
    reasons: dict[str, int]
    gone_back: int
    first_seconds: tuple[float, ...]
    last_seconds: tuple[float, ...]
    quiet_ms: tuple[float, float]
    switch_ms: tuple[float, float]


def first_seconds(traffic: Traffic, move: Move) -> float:
    """Seconds from the command to the first answer of the new release.

    Raises:
        ValueError: None ever came.
    """
    ends = [one.ended for one in traffic.requests if one.model_version == move.version]
    if not ends:
        raise ValueError(f"release {move.version} never answered")
    return min(ends) - move.began


def last_seconds(traffic: Traffic, move: Move) -> float:
    """Seconds from the command to the last answer of an older release.

    Those count that were on their way when the command began, or were sent later.
    """
    ends = [
        one.ended - move.began
        for one in traffic.requests
        if 0 < one.model_version < move.version and one.ended > move.began
    ]
    return max(ends, default=0.0)


def pooled(parts: Iterable[Traffic]) -> Traffic:
    """Windows as one, for percentiles over all of them."""
    requests = tuple(one for part in parts for one in part.requests)
    return Traffic(requests, min(one.due for one in requests), max(one.ended for one in requests))


def two_ms(traffic: Traffic) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    p50, p99 = (round(1000 * traffic.percentile(share), 1) for share in (0.5, 0.99))
    return p50, p99


def reasons(parts: Iterable[Traffic]) -> dict[str, int]:
    """Why requests failed, the most frequent first."""
    counted = Counter(one.error[:80] for part in parts for one in part.failures)
    return dict(counted.most_common())


def count(rounds: Sequence[Round]) -> Switches:
    """The figures of one way, over all its rounds."""
    pairs = [(one.traffic, move) for one in rounds for move in one.moves]
    quiet = [traffic.between(move.began - QUIET_SECONDS, move.began) for traffic, move in pairs]
    at = [traffic.between(move.began, move.over) for traffic, move in pairs]
    return Switches(
        way=rounds[0].way,
        switches=len(pairs),
        requests=sum(len(one.traffic.requests) for one in rounds),
        failed=sum(len(one.traffic.failures) for one in rounds),
        reasons=reasons(one.traffic for one in rounds),
        gone_back=sum(len(one.traffic.gone_back(DOOR)) for one in rounds),
        first_seconds=tuple(round(first_seconds(*pair), 4) for pair in pairs),
        last_seconds=tuple(round(last_seconds(*pair), 4) for pair in pairs),
        quiet_ms=two_ms(pooled(quiet)),
        switch_ms=two_ms(pooled(at)),
    )


def go_on(running: Load, seconds: float) -> None:
    """Let a load go on for so long; it must be answered meanwhile, well or not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        running.wait_for(1)


def ask(way: Way, switches: int) -> Round:
    """Switch so many times, each to a newer release, while shoppers ask."""
    shoppers = {f"shopper{number}": way.place.address for number in range(SHOPPERS)}
    pace = PER_SECOND / SHOPPERS
    plan = Plan(shoppers, pace, 600.0, ("anna", "bob"), new_connections=NEW_CONNECTIONS)
    moves = []
    with load(plan) as running:
        for version in range(2, switches + 2):
            way.prepare(version)
            go_on(running, QUIET_SECONDS + 0.2)
            began = time.monotonic()
            way.move()
            until(lambda wanted=version: release_at(way.place.address) == wanted, "The switch")
            go_on(running, AFTER_SECONDS)
            moves.append(Move(version, began, time.monotonic()))
    traffic = running.stop()
    # They all ask one door, and what one was answered counts for the others.
    requests = tuple(replace(one, host=DOOR) for one in traffic.requests)
    return Round(way.title, replace(traffic, requests=requests), tuple(moves))


def measure(
    folder: Path, bundle: Path, switches: int, rounds: int, tell: Callable[[str], None]
) -> list[Switches]:
    """Every way, in turns, so that what else the machine does meets all of them alike.

    Args:
        folder: For files, with a short path.
        bundle: What every release is made of.
        switches: Of a way, in a round.
        rounds: How often it is each way's turn.
        tell: Hears of the progress.
    """
    write_dataset(folder / "dataset")
    write_users(folder / "dataset", folder / "users.db")
    asked: dict[str, list[Round]] = {way.title: [] for way in WAYS}
    for number in range(1, rounds + 1):
        for way in WAYS:
            scratch = folder / f"{number}-{way.__name__}"
            scratch.mkdir()
            place = Place(scratch, bundle, folder / "users.db", free_ports())
            with serving(way(place), 1) as running:
                one = ask(running, switches)
            asked[way.title].append(one)
            tell(f"round {number} of {rounds}, {line(count([one]))}")
    return [count(one) for one in asked.values()]


def line(one: Switches) -> str:
    """What a round showed, as it is over."""
    return (
        f"{one.way}: {one.switches} switches in {median(one.first_seconds):.2f} s each, "
        f"{one.failed} of {one.requests} failed, {one.gone_back} gone back"
    )
