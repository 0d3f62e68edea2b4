"""Places for releases on this machine: the real model server and gateway of one at a time."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ci.config import PROJECT, TASK
from ci.errors import UnavailableError
from serving.gateway_server import DESCRIPTION, USERS
from serving.host.calls import CallError, call
from serving.host.process_host import MODELS_CONFIG
from serving.host.record import COLOURS

START_SECONDS = 120.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Place:
    """Where a way is tried.

    Attributes:
        folder: Empty; everything of the way lies below it.
        bundle: What every release is made of; only its number differs.
        users: The gateway's `users.db`.
        port: The public one; the six above it are those of the colours.
    """

    folder: Path
    bundle: Path
    users: Path
    port: int

    @property
    def address(self) -> str:
        """Where shoppers ask."""
        return f"127.0.0.1:{self.port}"

    def gateway_port(self, colour: str) -> int:
        """Where a colour's gateway answers, as the rendered proxy knows it."""
        return self.port + 1 + COLOURS.index(colour)


def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises:
        UnavailableError: It was not so in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise UnavailableError(f"{what} did not happen within {START_SECONDS:g} s.")
        time.sleep(0.02)


def release_at(address: str) -> int:
    """The release that is ready to answer at an address; 0 where none is."""
    with suppress(CallError):
        answer = call(address, "/readyz", timeout=3.0)
        if answer.status == 200:
            return int(answer.body["model_version"])
    return 0


class Programs:
    """Programs that run for a way, each with its log in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True)

    def start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a program under a name that no running one has."""
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log)
        return self._running[name]

    def end(self, *names: str) -> None:
        """End programs, each asked first; no name: all of them."""
        ending = [self._running.pop(name) for name in (names or list(self._running))]
        for one in ending:
            one.terminate()
        for one in ending:
            try:
                one.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()

    def require(self) -> None:
        """See that none has ended by itself.

        Raises:
            UnavailableError: One has; the message holds its last words.
        """
        for name, one in self._running.items():
            if one.poll() is not None:
                said = (self._folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise UnavailableError(f"{name} ended (exit {one.returncode}):\n{said}")


class Colour:
    """The model server and the gateway of one release at a time, at ports of their own.

    Args:
        place: Where.
        name: `blue` or `green`.
        gateway_port: Where its gateway answers.
    """

    def __init__(self, place: Place, name: str, gateway_port: int) -> None:
        self.name = name
        self._place = place
        self._folder = place.folder / name
        self._address = f"127.0.0.1:{gateway_port}"
        self._programs = Programs(self._folder)
        self._rest, self._grpc = (place.gateway_port(name) + 2 * part for part in (1, 2))

    def start(self, version: int) -> None:
        """End what runs here and start a release in its place, which takes seconds to answer."""
        self.end()
        model, gateway = self._write(version)
        self._programs.start("model", model)
        self._programs.start("gateway", gateway)

    def wait(self, version: int) -> None:
        """Wait until that release is ready to answer here.

        Raises:
            UnavailableError: It is not in time, or a program ended.
        """

        def is_ready() -> bool:
            self._programs.require()
            return release_at(self._address) == version

        until(is_ready, f"The start of release {version}")

    def end(self) -> None:
        """End what runs here; requests that have begun are finished."""
        self._programs.end()

    def _write(self, version: int) -> tuple[list[str], list[str]]:
        """Lay a release out; returns the commands of its model server and its gateway."""
        release = self._folder / str(version)
        models = release / TASK
        models.mkdir(parents=True)
        (models / str(version)).symlink_to(self._place.bundle)
        (release / USERS).symlink_to(self._place.users)
        card = json.loads((self._place.bundle / "card.json").read_text("utf-8"))
        served = {"task": TASK, "model_version": version, "digest": f"sha256:{version}"}
        served |= {name: card[name] for name in ("top_k", "history_length", "frequent_length")}
        (release / DESCRIPTION).write_text(json.dumps(served))
        config = release / "models.config"
        config.write_text(MODELS_CONFIG.format(task=TASK, base_path=models, model_version=version))
        model = [sys.executable, "-m", "serving.server", "--engine=litert", "--host=127.0.0.1"]
        model += [f"--port={self._grpc}", f"--rest_api_port={self._rest}"]
        model += [f"--model_config_file={config}", "--max_num_load_retries=0"]
        gateway = [sys.executable, "-m", "serving.gateway_server", f"--release={release}"]
        gateway += [f"--model_address=127.0.0.1:{self._rest}"]
        return model, [*gateway, f"--port={self._address.rpartition(':')[2]}"]
