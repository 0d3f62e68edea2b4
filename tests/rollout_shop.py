"""A small shop whose releases really start: used by every test of a rollout."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ci import registry
from ci.config import Config, Options, load_config
from ci.rollout import client, placing
from ci.workspace import Workspace, digest_of, remove
from serving.host import processes, record
from serving.host.record import Record

ITEMS = 20  # of the bundle in tests/serving/bundles.py
NOW = 1_700_000_000
CONFIG = """
[shop]
name = "rollout"
[serving]
engine = "{engine}"
start_timeout_seconds = 60
drain_seconds = 2
clock = "now"
[storage]
build = "{folder}/build"
state = "{folder}/var"
[environments.local]
port = {port}
"""
# (user, item, event type as in EVENT_TYPES from 1, seconds before NOW)
EVENTS = [
    ("anna", 1, 2, 900),
    ("anna", 2, 5, 800),
    ("bob", 3, 2, 700),
    ("bob", 0, 2, 650),  # an item outside the vocabulary
    ("bob", 3, 5, 600),
    ("徐/1", 4, 3, 500),
]


def write_dataset(folder: Path) -> None:
    """The three tables of a prepared dataset that a release needs."""
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text('{"as_of": "2026-01-01T00:00:00Z"}')
    users = sorted({event[0] for event in EVENTS})
    rows = sorted(EVENTS, key=lambda event: (users.index(event[0]), -event[3]))
    columns = {
        "user_index": pa.array([users.index(row[0]) for row in rows], pa.int32()),
        "item_index": pa.array([row[1] for row in rows], pa.int32()),
        "event_type": pa.array([row[2] for row in rows], pa.int8()),
        "timestamp": pa.array([NOW - row[3] for row in rows], pa.int64()),
    }
    pq.write_table(pa.table(columns), folder / "events.parquet")
    pq.write_table(pa.table({"user_id": users}), folder / "users.parquet")
    ids = [f"item{index}" for index in range(1, ITEMS + 1)]
    titles = [f"Item {index}" if index % 2 else None for index in range(1, ITEMS + 1)]
    pq.write_table(pa.table({"item_id": ids, "title": titles}), folder / "items.parquet")


@dataclass(frozen=True)
class Shop:
    """One shop in a folder of its own.

    Attributes:
        folder: Holds configuration, build/ and var/.
        model: A bundle's content without `card.json`'s version.
        config: Its settings.
    """

    folder: Path
    model: Path
    config: Config

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.config.build, self.config.build / "next_item")

    @property
    def home(self) -> Path:
        return self.config.environment_state()

    @property
    def record(self) -> Record:
        known = record.load(self.home)
        assert known is not None
        return known

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.record.port}"

    def export(self, version: int, *, is_broken: bool = False, decision: str = "PROMOTE") -> str:
        """What the stages before `deploy` leave behind for a model version."""
        workspace = self.workspace
        remove(workspace.path("bundle"))
        bundle = workspace.path(f"bundle/{version}")
        shutil.copytree(self.model, bundle)
        card = json.loads((bundle / "card.json").read_text())
        if is_broken:
            for answer in card["golden"]["answers"]:
                answer["scores"] = [score + 0.5 for score in answer["scores"]]
        card["settings"] = {"trained": version}  # two versions never share a digest
        (bundle / "card.json").write_text(json.dumps(card))
        digest = digest_of(bundle)
        workspace.write_json(
            "bundle.json",
            {"model_version": version, "digest": digest, "bytes": 1, "path": str(bundle)},
        )
        known = record.load(self.home)
        live = known.live_colour if known else None
        self.decide(digest, decision, live.digest if live else None)
        return digest

    def register(self, digest: str) -> int:
        """Register the exported bundle as `export` does."""
        path = self.workspace.path("bundle")
        return registry.register(self.config, digest, path, {"model": "popularity"})

    def deploy(self, version: int, *, is_broken: bool = False) -> dict[str, Any]:
        """Export a version and roll it out, without any ledger; returns the outcome."""
        self.export(version, is_broken=is_broken)
        placed = placing.place(self.config, self.workspace)
        return client.deploy(self.config, placed.digest, "c0ffee", lambda _: None)

    def decide(self, digest: str, decision: str, baseline: str | None) -> None:
        """Write the gate's decision."""
        self.workspace.write_json(
            "gate.json",
            {
                "decision": decision,
                "reason": f"the test says {decision}",
                "challenger": {"model_version": 0, "digest": digest},
                "baseline": {"digest": baseline} if baseline else None,
            },
        )

    def end(self) -> None:
        """End whatever runs for this shop."""
        known = record.load(self.home)
        if known is None:
            return
        if client.find_supervisor(known):
            client.leave(known, "stop")
        processes.end(known.supervisor)
        for colour in known.colours.values():
            processes.end(colour.gateway)
            processes.end(colour.model)


def open_shop(folder: Path, model: Path, port: int, engine: str = "litert") -> Shop:
    """A shop whose preferred public port is `port`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pipeline.toml"
    path.write_text(CONFIG.format(folder=folder, port=port, engine=engine))
    shop = Shop(folder, model, load_config(path, options=Options()))
    if not shop.workspace.path("dataset").exists():
        write_dataset(shop.workspace.path("dataset"))
    return shop


def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def running(home: Path) -> dict[str, list[int]]:
    """Process numbers by program of everything that runs for an environment."""
    found: dict[str, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if any(str(home) in word for word in words) and processes.identify(int(folder.name)):
            program = next((word for word in words if word.startswith("serving.")), words[0])
            found.setdefault(program.removeprefix("serving."), []).append(int(folder.name))
    return found


def eventually(is_so: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It was not so in time.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.02)
