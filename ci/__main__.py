"""The command line, made from the tables of stages and commands; standard library only."""

import argparse
import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from ci.commands import (
    COMMAND,
    COMMANDS,
    ENVIRONMENT,
    FIRST_RELEASE,
    FORCE,
    ONLY,
    OVERRIDE,
    OVERRIDE_FREEZE,
    SINGLE_MACHINE,
    WITHOUT,
    Command,
)
from ci.console import complain
from ci.errors import PushcartError, UsageError
from ci.pipeline import STAGE, STAGES

VERSION = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent
GROUPS = {
    "stages": "stages (each alone, in this order; `run` does prepare … report)",
    "operate": "operate",
    "develop": "develop",
}
EPILOG = """\
examples
  bin/ci run                                   the whole loop on this machine
  bin/ci --set model.name=linear run           another model, one setting changed
  bin/ci --config docs/examples/online_retail.toml run
  bin/ci status                                what is live, and since when

exit codes
  0 done · 1 a bug · 2 wrong usage or configuration · 3 bad data · 4 a service is unreachable
  5 the rollout was undone · 6 refused · 10 HOLD · 11 INCONCLUSIVE

`bin/ci COMMAND --help` tells more about one command."""


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are UsageErrors."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and where help is."""
        raise UsageError(f"{message}\nSee `{self.prog} --help`.")


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit code of `ci/errors.py`."""
    try:
        return _dispatch(sys.argv[1:] if arguments is None else arguments)
    except PushcartError as error:
        complain(f"\n{error}")
        return error.exit_code
    except KeyboardInterrupt:
        complain("\nStopped. What was finished is kept; run the same command to go on.")
        return 130


def _dispatch(arguments: list[str]) -> int:
    known, rest = _parser().parse_known_args(arguments)
    if known.command is None:
        sys.stdout.write(_help())
        return 0
    if known.command == "help" or known.help:
        sys.stdout.write(_help_of(known.command, rest))
        return 0
    command = COMMAND.get(known.command)
    if command and command.takes == "rest":
        return _call(command.function, _after(arguments, known.command)) or 0
    chosen = vars(_command_parser(_described(known.command)).parse_args(rest))
    if command and command.actions:
        command = command.action(chosen.pop("action"))
    if command and command.takes == "arguments":
        return _call(command.function, **chosen) or 0
    if command and command.takes == "file":
        return _call(command.function, known.config, **chosen) or 0
    return _run(known, command, chosen) or 0


def check_usage(arguments: list[str]) -> None:
    """Check a command line without running it; `bin/ci` does so before it makes an environment.

    Raises:
        UsageError: The command, an option or an argument is wrong.
    """
    known, rest = _parser().parse_known_args(arguments)
    command = COMMAND.get(known.command)
    if known.command and not (command and command.takes == "rest"):
        _overrides(known)
        _command_parser(_described(known.command)).parse_args(rest)


def _run(known: argparse.Namespace, command: Command | None, chosen: dict[str, Any]) -> int | None:
    """Run a stage (no command) or a command that takes the configuration."""
    from ci.config import Options, load_config  # noqa: PLC0415  pydantic is not needed for help

    options = Options(
        environment=chosen.pop("environment", "local"),
        first_release=chosen.pop("first_release", False),
        force=chosen.pop("force", False),
        only=tuple(chosen.pop("only", ())),
        without=tuple(chosen.pop("without", ())),
        override=chosen.pop("override_reason", ""),
        single_machine=chosen.pop("single_machine", False),
        override_freeze=chosen.pop("override_freeze", ""),
        offline=Path(known.offline).absolute() if known.offline else None,
    )
    config = load_config(known.config, _overrides(known), options)
    if known.reference:
        config = importlib.import_module("ci.reference").judged_on_reference(config)
    if command is None:
        return _call("ci.runner:run_named_stage", config, known.command)
    return _call(command.function, config, **chosen)


def _overrides(known: argparse.Namespace) -> dict[str, str]:
    pairs = [text.partition("=") for text in known.set]
    wrong = [key for key, equals, _ in pairs if not equals or not key]
    if wrong:
        raise UsageError(f"--set {wrong[0]}: write it as --set section.key=value.")
    overrides = {key: value for key, _, value in pairs}
    if known.profile:
        overrides["profile"] = known.profile
    return overrides


def _call(function: str, *arguments: Any, **keywords: Any) -> int | None:
    module, _, name = function.partition(":")
    result: int | None = getattr(importlib.import_module(module), name)(*arguments, **keywords)
    return result


def _after(arguments: list[str], command: str) -> list[str]:
    return arguments[arguments.index(command) + 1 :]


def _parser() -> Parser:
    """The options before the command, and after it: they mean the same in both places."""
    parser = Parser(prog="bin/ci", add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path, default=ROOT / "pipeline.toml")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--profile", choices=("quick", "full"))
    parser.add_argument("--offline")
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--version", action="version", version=f"pushcart {VERSION}")
    parser.add_argument("command", nargs="?", type=_known_command)
    return parser


def _known_command(name: str) -> str:
    import difflib  # noqa: PLC0415  only a mistake needs it

    names = [*STAGE, *COMMAND]
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    raise UsageError(
        f"There is no command {name!r}."
        + (f" Did you mean `bin/ci {near[0]}`?" if near else "")
        + " See `bin/ci --help`."
    )


def _described(name: str) -> Command:
    if name in COMMAND:
        return COMMAND[name]
    stage = STAGE[name]
    arguments = (
        *([FORCE] if stage.reusable else []),
        *([FIRST_RELEASE] if name == "gate" else []),
        *([ENVIRONMENT] if name in {"image", "deploy"} else []),
        *([OVERRIDE] if name == "image" else []),
        *((OVERRIDE_FREEZE, SINGLE_MACHINE) if name == "deploy" else []),
        *((ONLY, WITHOUT) if name == "check" else []),
    )
    return Command(name, "stages", stage.summary, "", arguments=arguments)


def _command_parser(command: Command, front: str = "bin/ci") -> Parser:
    parser = Parser(prog=f"{front} {command.name}", **_texts(command))
    _fill(parser, command)
    return parser


def _fill(parser: argparse.ArgumentParser, command: Command) -> None:
    for argument in command.arguments:
        parser.add_argument(*argument.names, help=argument.help, **argument.settings)
    if command.actions:
        group = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        for action in command.actions:
            _fill(group.add_parser(action.name, help=action.summary, **_texts(action)), action)


def _texts(command: Command) -> dict[str, Any]:
    return {
        "description": "\n\n".join(filter(None, [command.summary, command.about])),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "epilog": f"example: {command.example}" if command.example else None,
        "allow_abbrev": False,
        "add_help": False,
    }


def _help_of(name: str, rest: list[str]) -> str:
    command = _described(name)
    action = command.action(rest[0] if rest else None)
    if action is not command:
        return _command_parser(action, f"bin/ci {name}").format_help()
    text = _command_parser(command).format_help()
    if name not in STAGE:
        return text
    stage = STAGE[name]
    facts = {
        "reads": stage.reads,
        "writes": stage.writes,
        "settings": stage.settings,
        "credentials": stage.credentials,
    }
    lines = [f"  {key:<12} {', '.join(value)}" for key, value in facts.items() if value]
    return "\n".join([text.rstrip(), "", "the stage", *lines, ""])


def _help() -> str:
    lines = [
        "Pushcart: from git push to live search and recommendations.",
        "",
        "usage: bin/ci [--config FILE] [--set KEY=VALUE]… [--profile quick|full] COMMAND …",
    ]
    stages = [replace(_described(stage.name), group="stages") for stage in STAGES]
    for group, title in GROUPS.items():
        lines += ["", title]
        lines += [
            f"  {command.name:<10} {command.summary}"
            for command in (*stages, *COMMANDS)
            if command.group == group
        ]
    options = {
        "--config FILE": "another configuration than pipeline.toml",
        "--set KEY=VALUE": "one setting for this run, e.g. --set data.test_days=7",
        "--profile NAME": "quick (minutes) or full (the real training budget)",
        "--reference": "as a pull request: on the rows that main published, nothing else",
        "--offline DIR": "install from what `bin/ci vendor DIR` collected, without network",
        "--version": "the version of Pushcart",
    }
    lines += ["", "options", *(f"  {name:<17} {text}" for name, text in options.items())]
    return "\n".join([*lines, "", EPILOG, ""])


if __name__ == "__main__":
    sys.exit(main())
