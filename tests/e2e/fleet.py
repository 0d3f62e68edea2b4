"""A shop with two real hosts: what the tests of rollouts over SSH do with them."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ci import registry as ledger_registry
from ci.config import PROJECT, Config, Options, load_config
from ci.rehearsal.hosts import Rehearsal
from ci.rehearsal.plan import Plan
from ci.rehearsal.registry import ContainerRegistry
from ci.rehearsal.shop import ENVIRONMENT
from ci.stages import image, render
from ci.workspace import Workspace, digest_of
from serving.host import record
from serving.host.record import Record
from tests.rehearsal import rehearsed_shop
from tests.rollout_shop import write_dataset
from tests.tiny import copy_bundle

PROGRAM = f"/opt/pushcart/pushcart-host --shop rehearsal --environment {ENVIRONMENT}"
PROXY = f"pushcart-proxy-rehearsal-{ENVIRONMENT}"


@dataclass
class Fleet:
    """Two hosts, a registry of images, and a shop that releases to them.

    Attributes:
        rehearsal: The hosts.
        images: The registry of images.
        settings: The shop's `pipeline.toml`.
        bundle: A good model's bundle.
        broken: One whose model refuses what its own card promises.
        variables: Credentials, as an agent of the build server has them.
        close_images: Ends the registry of images.
        said: All that commands printed.
        command_lines: Of processes that ran while it was watched.
    """

    rehearsal: Rehearsal
    images: ContainerRegistry
    settings: Path
    bundle: Path
    broken: Path
    variables: dict[str, str]
    close_images: Callable[[], None]
    said: list[str] = field(default_factory=list)
    command_lines: set[str] = field(default_factory=set)

    @property
    def config(self) -> Config:
        return load_config(
            self.settings, options=Options(environment=ENVIRONMENT, single_machine=True)
        )

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.config.build, self.config.build / "next_item")

    @property
    def hosts(self) -> list[str]:
        return [host.name for host in self.rehearsal.hosts]

    def make(self, *, is_broken: bool = False) -> int:
        """What the stages before `deploy` leave behind for a new model; returns its version."""
        workspace = self.workspace
        shutil.rmtree(workspace.path("bundle"), ignore_errors=True)
        draft = copy_bundle(self.broken if is_broken else self.bundle, workspace.path("bundle/0"))
        card = json.loads((draft / "card.json").read_text())
        card["settings"] = {"made_at": time.time()}  # two releases never share a digest
        (draft / "card.json").write_text(json.dumps(card))
        digest = digest_of(draft)
        version = ledger_registry.register(self.config, digest, draft.parent, {"model": "tiny"})
        draft.rename(workspace.path(f"bundle/{version}"))
        path = f"bundle/{version}"
        exported = {"model_version": version, "digest": digest, "bytes": 1, "path": path}
        workspace.write_json("bundle.json", exported)
        live = self.record("host1").live_colour if self.is_prepared else None
        gate = {
            "decision": "PROMOTE",
            "reason": "because",
            "challenger": {"model_version": version, "digest": digest},
            "baseline": {"model_version": live.model_version, "digest": live.digest}
            if live
            else None,
            "baseline_environment": ENVIRONMENT,
        }
        workspace.write_json("gate.json", gate)
        render.run(self.config, workspace)
        image.run(self.config, workspace)
        return version

    @property
    def is_prepared(self) -> bool:
        return self.rehearsal.run("host1", "ls /opt/pushcart 2>/dev/null || true") != ""

    def record(self, host: str) -> Record:
        """What a host knows of itself."""
        told = self.rehearsal.run(host, f"{PROGRAM} status").strip().splitlines()[-1]
        return record.parse(json.dumps(json.loads(told)["record"]))

    def live(self) -> list[int]:
        """The release that each host's record names as live."""
        return [_version(self.record(host)) for host in self.hosts]

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start a command of `bin/ci` for the fleet."""
        command = [sys.executable, "-m", "ci", "--config", str(self.settings), *words]
        return subprocess.Popen(
            [*command, f"--environment={ENVIRONMENT}"],
            cwd=PROJECT,
            env={**os.environ, **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        """A command's exit code and what it printed."""
        running = self.begin(*words)
        said, _ = running.communicate(timeout=300)
        self.said.append(said)
        return running.returncode, said

    def deploy(self, *more: str) -> tuple[int, str]:
        return self.run(*more, "deploy", "--single-machine")

    def plan(self, per_second: float, seconds: float = 300.0) -> Plan:
        """A load on all hosts."""
        hosts = {host.name: f"127.0.0.1:{host.shopper_port}" for host in self.rehearsal.hosts}
        return Plan(hosts, per_second=per_second, seconds=seconds, users=("anna", "bob"))

    def containers(self, host: str) -> str:
        return self.rehearsal.run(host, "docker ps --all --format '{{.Names}} {{.Image}}'")


def _version(known: Record) -> int:
    return known.live_colour.model_version if known.live_colour else 0


@contextmanager
def open_fleet(folder: Path, bundle: Path, broken: Path) -> Iterator[Fleet]:
    """Two hosts, not prepared yet; all is gone after the block."""
    with rehearsed_shop(folder) as shop:
        fleet = Fleet(
            shop.rehearsal,
            shop.images,
            shop.settings,
            bundle,
            broken,
            shop.variables,
            shop.close_images,
        )
        write_dataset(fleet.workspace.path("dataset"))
        yield fleet
