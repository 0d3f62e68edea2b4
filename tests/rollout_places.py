"""Places that releases go to, one a target, for tests that hold them all to the same behaviour."""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import pytest

from ci.__main__ import main
from ci.config import Options, load_config
from ci.rollout.targets import Seen, Target, target_of
from ci.stages import image, render
from serving.host import containers, processes
from tests.rollout_shop import Shop, open_shop, unused_port

CONTAINERS = """
base_image = "embedded"
gateway_base_image = "debian"
proxy_image = "debian"
"""


@dataclass(frozen=True)
class Place:
    """A shop whose releases go to one target.

    Attributes:
        name: The target's.
        shop: Its configuration, build/ and var/.
        pack: Makes what a deploy needs beside the bundle and the gate's word.
        kill: Ends all that runs of the live release, as a crash does; it must come back by itself.
    """

    name: str
    shop: Shop
    pack: Callable[[Shop], object]
    kill: Callable[["Place"], object]

    @property
    def target(self) -> Target:
        return target_of(self.shop.config)

    def look(self) -> list[Seen]:
        return self.target.look(self.shop.config)

    @property
    def address(self) -> str:
        """Where shoppers of the first host ask."""
        (first, *_) = self.look()
        assert first.served is not None
        return first.served.url.removeprefix("http://")

    def versions(self) -> set[int]:
        """The releases that answer, over all hosts; 0 is none."""
        return {one.served.model_version if one.served else 0 for one in self.look()}

    def states(self) -> list[str]:
        """How each rollout ended, by the first host's record."""
        known = self.look()[0].record
        return [line.state for line in known.history] if known else []

    def export(self, version: int, **how: object) -> str:
        """All that comes before `deploy`: a registered bundle, judged, with what is made of it."""
        digest = self.shop.export(version, **how)
        gate = self.shop.workspace.read_json("gate.json", "gate")
        seen = {one.live.digest for one in self.look() if one.live}
        gate["baseline"] = {"digest": seen.pop()} if seen else None
        gate["baseline_environment"] = "local"
        self.shop.workspace.write_json("gate.json", gate)
        self.shop.register(digest)
        if gate["decision"] == "PROMOTE":
            self.pack(self.shop)
        return digest

    def ci(self, *command: str) -> int:
        return main(["--config", str(self.shop.config.path), *command])


def of_process(folder: Path, model: Path) -> Place:
    """This machine without Docker."""
    shop = open_shop(folder, model, unused_port())
    return Place("process", shop, lambda _: None, _kill_processes)


def _kill_processes(place: Place) -> None:
    live = place.shop.record.live_colour
    for one in (live.gateway, live.model):
        processes.end(one, 0)


@contextmanager
def of_compose(
    folder: Path, model: Path, engine: docker.DockerClient, more: str = ""
) -> Iterator[Place]:
    """This machine with a Docker engine; whatever runs there for the shop is ended."""
    shop = open_shop(folder, model, free_ports())
    text = shop.config.path.read_text().replace("[serving]", f"[serving]{CONTAINERS}")
    text = text.replace('clock = "now"', 'clock = "as_of"')  # the gateway is told of it
    shop.config.path.write_text(f'{text}target = "compose"\n{more}')
    shop = replace(shop, config=load_config(shop.config.path, options=Options()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{socket_of(engine)}")
        try:
            yield Place("compose", shop, pack_images, _kill_containers)
        finally:
            for container in engine.containers.list(all=True):
                container.remove(force=True)


def socket_of(engine: docker.DockerClient) -> Path:
    """Where an engine of the tests listens."""
    return Path(engine.info()["DockerRootDir"]).parent / "sock"


def pack_images(shop: Shop) -> dict:
    """The stages between `gate` and `deploy`; returns `release.json`."""
    render.run(shop.config, shop.workspace)
    image.run(shop.config, shop.workspace)
    return shop.workspace.read_json("../release.json", "image")


def names_of(place: Place, colour: str) -> list[str]:
    """The containers of a colour."""
    return [f"rollout-local-{colour}-{part}" for part in ("gateway", "model")]


def _kill_containers(place: Place) -> None:
    """As a crash does: an engine told to kill would not start them again."""
    for name in names_of(place, place.shop.record.live):
        known = containers.inspect(name)
        os.kill(known["State"]["Pid"], signal.SIGKILL)


def free_ports() -> int:
    """A port that nobody listens on, as on the six above it: those of the colours."""
    start = 21_000 + os.getpid() % 800 * 10  # two runs at a time do not meet
    for first in (*range(start, 30_000, 10), *range(21_000, start, 10)):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + 7):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise AssertionError("no seven ports in a row are free")
