"""The commands beside the stages, as a table: what `bin/ci` can do on a working day."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci.command_texts import KEYS, REHEARSE, SCORECARD, TRY_HOSTS, VERDICT


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
        takes: What the function is called with: `config` (settings and parsed arguments),
            `arguments` (those alone, without any configuration), `file` (where the
            configuration is, unread, and parsed arguments) or `rest` (the words as typed).
        arguments: Its own arguments.
        example: One line that teaches.
        about: What a person must know besides, in paragraphs; part of its own help.
        actions: What it can do, each typed after its name; then it has no function of its own.
    """

    name: str
    group: str
    summary: str
    function: str = ""
    takes: str = "config"
    arguments: tuple[Argument, ...] = ()
    example: str = ""
    about: str = ""
    actions: tuple["Command", ...] = ()

    def action(self, name: str | None) -> "Command":
        """The action of that name; the command itself where there is none."""
        return next((action for action in self.actions if action.name == name), self)


AS_JSON = Argument(("--json",), "print JSON", {"action": "store_true", "dest": "as_json"})
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
SCENARIO = Argument(
    ("--scenario",),
    "pull-request, fork, branch, main, nightly, superseded, queued, rollback",
    {"required": True, "metavar": "NAME"},
)
OVERRIDE = Argument(
    ("--override",),
    "release although the gate holds it or cannot decide; needs the override key, and is recorded",
    {"default": "", "metavar": "REASON", "dest": "override_reason"},
)
OVERRIDE_FREEZE = Argument(
    ("--override-freeze",),
    "deploy although [freeze] holds the environment; recorded",
    {"default": "", "metavar": "REASON"},
)
STOP = Argument(
    ("--stop",), "end what serves in the background, after open requests", {"action": "store_true"}
)
SINGLE_MACHINE = Argument(
    ("--single-machine",),
    "allow hosts whose registry and ledger are files of this machine alone",
    {"action": "store_true"},
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
        arguments=(ENVIRONMENT, FIRST_RELEASE, FORCE, OVERRIDE_FREEZE, SINGLE_MACHINE),
        example="bin/ci --set simulator.shoppers=2000 run",
    ),
    Command(
        "verdict",
        "stages",
        "prepare … gate in one go",
        "ci.runner:run_verdict",
        arguments=(FIRST_RELEASE, FORCE),
        example="bin/ci --reference verdict",
        about=VERDICT,
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
        "hosts",
        "operate",
        "make an environment's hosts ready for releases, or try hosts on this machine",
        actions=(
            Command(
                "prepare",
                "hosts",
                "install what releases need, place the public keys",
                "ci.rollout.preparing:prepare",
                arguments=(
                    ENVIRONMENT,
                    Argument(("--check",), "only tell what would change", {"action": "store_true"}),
                ),
                example="bin/ci hosts prepare --environment production --check",
            ),
            Command(
                "try",
                "hosts",
                "run hosts on this machine, to rehearse releases on and to break",
                "ci.rehearsal.trying:run",
                arguments=(
                    Argument(
                        ("--count",),
                        "how many hosts (default: 2)",
                        {"type": int, "default": 2, "metavar": "N"},
                    ),
                ),
                example="bin/ci hosts try --count 3",
                about=TRY_HOSTS,
            ),
        ),
    ),
    Command(
        "manifests",
        "operate",
        "print a release's Kubernetes manifests, images by digest",
        "ci.kubernetes.release:show",
        arguments=(ENVIRONMENT,),
        example="bin/ci manifests --environment production | kubectl apply --filename=-",
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
        "jenkins",
        "develop",
        "show what the Jenkinsfile does on an occasion, or run it on this machine",
        actions=(
            Command(
                "show",
                "jenkins",
                "print the stages, agents, locks, lines and credentials of an occasion",
                "ci.jenkins.commands:show",
                arguments=(SCENARIO,),
                example="bin/ci jenkins show --scenario pull-request",
                takes="arguments",
            ),
            Command(
                "rehearse",
                "jenkins",
                "run the stages' lines here, each agent with an empty workspace",
                "ci.jenkins.commands:rehearse",
                arguments=(
                    SCENARIO,
                    Argument(
                        ("--without",),
                        "all stages but these, e.g. Check",
                        {"nargs": "+", "default": [], "metavar": "STAGE"},
                    ),
                    Argument(("--yes",), "answer every question yes", {"action": "store_true"}),
                    Argument(
                        ("--folder",),
                        "what outlives builds (default: build/jenkins)",
                        {"type": Path, "metavar": "DIR"},
                    ),
                ),
                example="bin/ci jenkins rehearse --scenario main --without Check --yes",
                about=REHEARSE,
                takes="arguments",
            ),
        ),
    ),
    Command(
        "scorecard",
        "develop",
        "score the repository by what its tests and stages prove",
        "ci.scoring.scorecard:run",
        arguments=(AS_JSON,),
        about=SCORECARD,
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
        "notebook",
        "develop",
        "a tour of data, training and gate with plots, in JupyterLab",
        "ci.notebook:run",
        takes="arguments",
        arguments=(
            Argument(
                ("--run",),
                "execute it here instead, and leave build/notebooks/tour.html",
                {"action": "store_true", "dest": "headless"},
            ),
            Argument(
                ("--port",),
                "where JupyterLab listens on this machine (default: 8888)",
                {"type": int, "default": 8888, "metavar": "N"},
            ),
            Argument(
                ("--no-browser",),
                "print the link alone",
                {"action": "store_false", "dest": "browser"},
            ),
        ),
        example="bin/ci notebook --run",
    ),
    Command(
        "keys",
        "develop",
        "make a key pair that signs releases; --help tells how keys are changed",
        "ci.releasing.keys:run",
        arguments=(
            Argument(("action",), "new", {"choices": ("new",)}),
            Argument(
                ("--private",),
                "where the private key is written, readable by you alone; never in the repository",
                {"required": True, "metavar": "FILE", "type": Path},
            ),
            Argument(
                ("--override",),
                "a key that releases against the gate's word; for another person than the first",
                {"action": "store_true"},
            ),
        ),
        example="bin/ci keys new --private ~/pushcart-release.pem",
        about=KEYS,
    ),
    Command(
        "doctor",
        "develop",
        "look at this machine and say how to mend what it lacks",
        "ci.doctor.examining:run",
        takes="file",
        arguments=(AS_JSON,),
    ),
    Command(
        "new",
        "develop",
        "make a shop's own repository of this template",
        "ci.template.creating:run",
        takes="arguments",
        arguments=(
            Argument(("target",), "folder that does not exist yet, or is empty", {"type": Path}),
            Argument(("--name",), "the shop's name (default: the folder's)", {"default": ""}),
            Argument(
                ("--subfolder",),
                "make it a folder of the larger repository that lies around it",
                {"action": "store_true"},
            ),
        ),
        example="bin/ci new ../myshop",
    ),
    Command(
        "upgrade",
        "develop",
        "merge a newer template into a shop's repository",
        "ci.template.upgrading:run",
        takes="arguments",
        arguments=(
            Argument(
                ("--from",),
                "the template's URL or path (default: the remote `pushcart`)",
                {"default": "", "metavar": "URL", "dest": "source"},
            ),
            Argument(
                ("--to",),
                "a branch, tag or commit of it (default: its newest)",
                {"default": "", "metavar": "REVISION"},
            ),
        ),
        example="bin/ci upgrade --to v1.2.0",
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
