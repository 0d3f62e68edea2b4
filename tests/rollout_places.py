"""Places that releases go to, one a target, for tests that hold them all to the same behaviour."""

import contextlib
import os
import shlex
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
from ci.rehearsal.hosts import Rehearsal
from ci.rehearsal.shop import ENVIRONMENT
from ci.rollout.hosts import program
from ci.rollout.targets import Seen, Target, target_of
from ci.stages import image, render
from serving.host import containers, processes
from tests.rehearsal import rehearsed_shop
from tests.rollout_shop import Shop, open_shop, unused_port, write_dataset

PARTS = ("gateway", "model")
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
        stop: Ends both colours; a deploy brings back the live one.
        door: Where shoppers of the first host ask, where that is not what the target tells.
        options: Given to each command.
        deploying: Given to `deploy` too.
        hosts: Where they are machines of a rehearsal.
    """

    name: str
    shop: Shop
    pack: Callable[[Shop], object]
    kill: Callable[["Place"], object]
    stop: Callable[["Place"], object]
    door: str = ""
    options: tuple[str, ...] = ()
    deploying: tuple[str, ...] = ()
    hosts: Rehearsal | None = None

    @property
    def environment(self) -> str:
        return self.shop.config.options.environment

    @property
    def target(self) -> Target:
        return target_of(self.shop.config)

    def look(self) -> list[Seen]:
        return self.target.look(self.shop.config)

    @property
    def address(self) -> str:
        """Where shoppers of the first host ask."""
        if self.door:
            return self.door
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
        gate["baseline_environment"] = self.environment
        self.shop.workspace.write_json("gate.json", gate)
        self.shop.register(digest)
        if gate["decision"] == "PROMOTE":
            self.pack(self.shop)
        return digest

    def ci(self, *command: str) -> int:
        more = (*self.options, *(self.deploying if command[0] == "deploy" else ()))
        return main(["--config", str(self.shop.config.path), *command, *more])


def _serve_stop(place: Place) -> None:
    assert place.ci("serve", "--stop") == 0


def of_process(folder: Path, model: Path) -> Place:
    """This machine without Docker."""
    shop = open_shop(folder, model, unused_port())
    return Place("process", shop, lambda _: None, _kill_processes, _serve_stop)


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
            yield Place("compose", shop, pack_images, _kill_containers, _serve_stop)
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
    return [f"rollout-local-{colour}-{part}" for part in PARTS]


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


@contextmanager
def of_hosts(folder: Path, model: Path) -> Iterator[Place]:
    """Two hosts of a rehearsal, made ready for releases."""
    with rehearsed_shop(folder) as rehearsed:
        hosts = rehearsed.rehearsal
        options = Options(environment=ENVIRONMENT, single_machine=True)
        shop = Shop(folder, model, load_config(rehearsed.settings, options=options))
        write_dataset(shop.workspace.path("dataset"))
        place = Place(
            name="hosts",
            shop=shop,
            pack=pack_images,
            kill=_kill_on_hosts,
            stop=_stop_on_hosts,
            door=f"127.0.0.1:{hosts.hosts[0].shopper_port}",
            options=(f"--environment={ENVIRONMENT}",),
            deploying=("--single-machine",),
            hosts=hosts,
        )
        assert place.ci("hosts", "prepare") == 0
        yield place


def _kill_on_hosts(place: Place) -> None:
    for seen in place.look():
        names = " ".join(f"rehearsal-{ENVIRONMENT}-{seen.live.name}-{part}" for part in PARTS)
        pids = f"docker inspect --format '{{{{.State.Pid}}}}' {names}"
        place.hosts.run(seen.host, f"kill -KILL $({pids})")


def _stop_on_hosts(place: Place) -> None:
    for host in place.hosts.hosts:
        place.hosts.run(host.name, shlex.join([*program(place.shop.config), "stop"]))
