"""Command `scorecard`: the ML Test Score and the MLOps level that this repository can prove."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from ci.config import PROJECT, Config
from ci.console import say
from ci.runner import workspace_of
from ci.scoring.evidence import NOT_RUN, Evidence
from ci.scoring.ml_test_score import SECTIONS, TESTS, band_of
from ci.scoring.mlops_levels import LEVELS
from ci.scoring.point import Point
from ci.testing import RUNS

LOG_WIDTH = 140  # where no terminal tells its own


@dataclass(frozen=True)
class Scored:
    """A point with what it got.

    Attributes:
        point: The point.
        score: Its worth, or 0.
        why: What to do or which work is missing; "" where nothing is.
    """

    point: Point
    score: float
    why: str

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "id": self.point.name,
            "title": self.point.title,
            "score": self.score,
            "proof": list(self.point.proof),
            "missing": self.why,
        }


@dataclass(frozen=True)
class Scorecard:
    """All points with what they got.

    Attributes:
        tests: Section → its seven tests.
        levels: MLOps level → what it asks for.
    """

    tests: Mapping[str, list[Scored]]
    levels: Mapping[int, list[Scored]]

    @property
    def sections(self) -> dict[str, float]:
        """Section → sum of its points."""
        return {name: sum(one.score for one in ones) for name, ones in self.tests.items()}

    @property
    def score(self) -> float:
        """The ML Test Score: that of the weakest section."""
        return min(self.sections.values())

    @property
    def level(self) -> int:
        """The highest MLOps level of which, and below which, every point is proved."""
        reached = 0
        for number, points in sorted(self.levels.items()):
            if any(one.score < 1 for one in points):
                return reached
            reached = number
        return reached

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "sections": self.sections,
            "score": self.score,
            "means": band_of(self.score),
            "level": self.level,
            "tests": [one.as_json() for ones in self.tests.values() for one in ones],
            "levels": {
                str(number): [one.as_json() for one in ones] for number, ones in self.levels.items()
            },
        }


def run(config: Config, as_json: bool) -> None:
    """Print the score, as a table or as JSON."""
    reports = (*RUNS.glob("*.xml"), config.build.parent / "reports" / "tests.xml")
    card = scorecard(Evidence(PROJECT, workspace_of(config), reports))
    if as_json:
        say(json.dumps(card.as_json(), indent=2, ensure_ascii=False))
    else:
        show(card)


def scorecard(evidence: Evidence) -> Scorecard:
    """Score every point of the tables by what can be proved."""
    return Scorecard(
        {name: [score(point, evidence) for point in points] for name, points in TESTS.items()},
        {level: [score(point, evidence) for point in points] for level, points in LEVELS.items()},
    )


def score(point: Point, evidence: Evidence) -> Scored:
    """A point's worth when all of its proof exists and passed, else 0 and what is wrong."""
    if not point.proof:
        return Scored(point, 0.0, f"missing: {point.missing}")
    for proof in point.proof:
        seen = evidence.of(proof)
        if not seen.passed:
            return Scored(point, 0.0, f"{proof}: {seen.why}")
    return Scored(point, point.worth, f"missing: {point.missing}" if point.missing else "")


def show(card: Scorecard) -> None:
    """Print the table of points and what they come to."""
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = LOG_WIDTH
    for name, title in SECTIONS.items():
        heading = f"{title} ({name}): {card.sections[name]:g} of 7"
        _print(console, heading, card.tests[name])
    for number, points in card.levels.items():
        proved = sum(one.score == 1 for one in points)
        _print(console, f"MLOps level {number}: {proved} of {len(points)}", points)
    sections = ", ".join(f"{name} {value:g}" for name, value in card.sections.items())
    say(f"ML Test Score {card.score:g}, that of the weakest section ({sections}):")
    say(f"{band_of(card.score)}.")
    say(f"MLOps level {card.level} of {max(card.levels)}.")
    everyone = [one for ones in (*card.tests.values(), *card.levels.values()) for one in ones]
    if any(NOT_RUN in one.why for one in everyone):
        say("What has not run here: `bin/ci run` runs the stages, `bin/ci check` the checks and")
        say("tests, `bin/ci test TEST` one of them.")


def _print(console: Console, title: str, points: list[Scored]) -> None:
    table = Table(title=title, title_justify="left", expand=True, show_edge=False, box=SIMPLE)
    table.add_column("point", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("asked for", ratio=2)
    table.add_column("proved by, or what is missing", ratio=3, overflow="fold")
    for one in points:
        told = one.why or _proofs(one.point)
        table.add_row(one.point.name, f"{one.score:g}", one.point.title, told)
    console.print(table)
    say()


def _proofs(point: Point) -> str:
    return ", ".join(proof.rpartition("::")[2] for proof in point.proof)  # files: --json
