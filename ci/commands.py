"""The commands beside the stages, as a table: what `bin/ci` can do on a working day."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Argument:
    """One argument of a command, in argparse's words."""

    names: tuple[str, ...]
    help: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: As typed.
        group: Heading in `--help`.
        summary: One line for `--help`.
        function: `module:function`, imported when the command runs.
        takes: What the function is called with: `config` (settings and parsed arguments) or
            `rest` (the arguments as typed, without any configuration).
        arguments: Its own arguments.
        example: One line that teaches.
    """

    name: str
    group: str
    summary: str
    function: str
    takes: str = "config"
    arguments: tuple[Argument, ...] = ()
    example: str = ""


ENVIRONMENT = Argument(
    ("--environment",), "where to act (default: local)", {"default": "local", "metavar": "NAME"}
)
FIRST_RELEASE = Argument(
    ("--first-release",),
    "allow a release that has no live model to beat; recorded",
    {"action": "store_true"},
)
FORCE = Argument(("--force",), "run the stage also when nothing changed", {"action": "store_true"})
ONLY = Argument(
    ("--only",), "these checks alone", {"nargs": "+", "default": (), "metavar": "CHECK"}
)
WITHOUT = Argument(
    ("--without",),
    "all but these, e.g. tests",
    {"nargs": "+", "default": (), "metavar": "CHECK"},
)
STOP = Argument(
    ("--stop",), "end what serves in the background, after open requests", {"action": "store_true"}
)
TO_RELEASE = Argument(
    ("--to",), "the release to go to (default: the last good one)", {"type": int, "metavar": "N"}
)

COMMANDS = (
    Command(
        "run",
        "stages",
        "prepare … report in one go",
        "ci.runner:run_pipeline",
        arguments=(ENVIRONMENT, FIRST_RELEASE, FORCE),
        example="bin/ci --set simulator.shoppers=2000 run",
    ),
    Command(
        "serve",
        "operate",
        "serve the live release in the foreground, or end the one that serves",
        "ci.rollout.commands:serve",
        arguments=(ENVIRONMENT, STOP),
    ),
    Command(
        "status",
        "operate",
        "what runs where, since when, and whether the ledger agrees",
        "ci.rollout.commands:status",
        arguments=(ENVIRONMENT,),
    ),
    Command(
        "history",
        "operate",
        "every release of an environment and how it ended",
        "ci.rollout.commands:history",
        arguments=(ENVIRONMENT,),
    ),
    Command(
        "rollback",
        "operate",
        "back to the last good release, without retraining",
        "ci.rollout.commands:rollback",
        arguments=(ENVIRONMENT, TO_RELEASE),
        example="bin/ci rollback --to 3",
    ),
    Command(
        "test",
        "develop",
        "pytest; paths and options are handed on",
        "ci.testing:run",
        takes="rest",
        example="bin/ci test tests/ci -k gate",
    ),
    Command(
        "services",
        "develop",
        "install the real services that the tests start",
        "ci.services:run",
        takes="rest",
    ),
    Command(
        "simulate",
        "develop",
        "write a simulated shop's events to a database or file",
        "ci.simulating:run",
        arguments=(
            Argument(
                ("--to",),
                "where to write, e.g. sqlite:///shop.db or events.parquet",
                {"required": True, "metavar": "URL", "dest": "to_url"},
            ),
        ),
        example="bin/ci --set simulator.events=10000000 simulate --to sqlite:///big.db",
    ),
    Command(
        "vendor",
        "develop",
        "collect everything a machine without network needs",
        "ci.locks.vendoring:run",
        takes="rest",
        example="bin/ci vendor /media/usb && bin/ci --offline /media/usb run",
    ),
    Command(
        "lock",
        "develop",
        "resolve requirements.txt again into the hash locks",
        "ci.locks.locking:run",
        takes="rest",
    ),
)
COMMAND = {command.name: command for command in COMMANDS}
