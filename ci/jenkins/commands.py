"""`bin/ci jenkins show` and `bin/ci jenkins rehearse`."""

from pathlib import Path
from typing import Final

from ci.config import PROJECT
from ci.console import say
from ci.errors import UsageError
from ci.jenkins.plan import describe
from ci.jenkins.recording import record
from ci.jenkins.rehearsing import rehearse as run_build
from ci.jenkins.rehearsing import tell
from ci.jenkins.scenarios import SCENARIOS, Scenario
from ci.jenkins.workspaces import Desk

FOLDER: Final = PROJECT / "build/jenkins"
EXIT_CODES: Final = {"SUCCESS": 0, "UNSTABLE": 10, "FAILURE": 1, "ABORTED": 1}


def show(scenario: str) -> None:
    """Print what a build does on an occasion.

    Raises:
        UsageError: There is no such scenario, or the Jenkinsfile cannot be run.
        UnavailableError: Groovy is not installed.
    """
    chosen = find_scenario(scenario)
    (tree,) = record(chosen.jenkinsfile, [chosen.situation])
    say(describe(tree, chosen).rstrip())


def rehearse(scenario: str, folder: Path | None, without: list[str], *, yes: bool) -> int:
    """Run what a build does on an occasion; the exit code tells its result.

    Raises:
        UsageError: There is no such scenario or stage, or a step cannot be rehearsed.
        UnavailableError: Groovy is not installed.
    """
    chosen = find_scenario(scenario)
    if chosen.is_superseded:
        raise UsageError(f"{chosen.summary}: nothing of it runs. See `bin/ci jenkins show`.")
    desk = Desk((folder or FOLDER).absolute())
    build = run_build(chosen, desk, frozenset(without), yes=yes)
    tell(build)
    return EXIT_CODES[build.result]


def find_scenario(name: str) -> Scenario:
    """A scenario by name.

    Raises:
        UsageError: There is none.
    """
    if name not in SCENARIOS:
        raise UsageError(f"There is no scenario {name!r}; there are {', '.join(SCENARIOS)}.")
    return SCENARIOS[name]
