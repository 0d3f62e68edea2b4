"""Four ways to give a shop's traffic to its next release, with the real servers of both behind."""

import abc
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from benchmarks.rollout_colours import Colour, Place, Programs, release_at, until
from ci.services import find_program
from ci.stages.render import TEMPLATES
from ci.templating import fill
from serving.host.proxy import Proxy
from serving.host.record import COLOURS

RUNTIME_MAP = "use_backend %[str(live),map("  # how the line begins that a reload does without
NGINX = """\
daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log notice;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_timeout 60s;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  upstream gateway {{
    server 127.0.0.1:{gateway};
    keepalive 32;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://gateway; }}
  }}
}}
"""


class Way(abc.ABC):
    """One way to give traffic to the next release.

    Args:
        place: Where it is tried.
    """

    title: ClassVar[str]
    program: ClassVar[str] = ""

    def __init__(self, place: Place) -> None:
        self.place = place

    @abc.abstractmethod
    def begin(self, version: int) -> None:
        """Serve a first release."""

    @abc.abstractmethod
    def prepare(self, version: int) -> None:
        """All that can be done for a release before the traffic moves."""

    @abc.abstractmethod
    def move(self) -> None:
        """The command that moves the traffic to the release that was prepared."""

    @abc.abstractmethod
    def end(self) -> None:
        """End everything."""


class NaiveRestart(Way):
    """One server: stopped, and started anew at the same port with the next release."""

    title = "naive restart"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._only = Colour(place, COLOURS[0], place.port)

    def begin(self, version: int) -> None:
        """Start it."""
        self._only.start(version)
        self._only.wait(version)

    def prepare(self, version: int) -> None:
        """Only know it: there is one place, and it is in use."""
        self._next = version

    def move(self) -> None:
        """Stop the server and start it anew."""
        self._only.start(self._next)

    def end(self) -> None:
        """End the server."""
        self._only.end()


class Door(Way):
    """Two colours behind a proxy: the next release is ready before the traffic moves."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._live, self._other = (
            Colour(place, name, place.gateway_port(name)) for name in COLOURS
        )
        self.programs = Programs(place.folder / self.program)

    def begin(self, version: int) -> None:
        """Start one colour and open the door to it."""
        self._live.start(version)
        self._live.wait(version)
        self.open(self._live.name)

        def is_open() -> bool:
            self.programs.require()
            return release_at(self.place.address) == version

        until(is_open, f"The start of {self.program}")

    def prepare(self, version: int) -> None:
        """Start the release in the place of the one before the live one."""
        self._other.start(version)
        self._other.wait(version)

    def move(self) -> None:
        """Point the door at the other colour."""
        self.point_at(self._other.name)
        self._live, self._other = self._other, self._live

    def end(self) -> None:
        """End the proxy, then both colours."""
        self.programs.end()
        self._live.end()
        self._other.end()

    @abc.abstractmethod
    def open(self, colour: str) -> None:
        """Start the proxy with a colour behind it."""

    @abc.abstractmethod
    def point_at(self, colour: str) -> None:
        """Give the traffic to another colour."""


class RuntimeMap(Door):
    """Pushcart's: HAProxy as rendered, told by its runtime API."""

    title = "Pushcart (HAProxy's runtime map)"
    program = "haproxy"

    def open(self, colour: str) -> None:
        """Start HAProxy as it is rendered for a host."""
        folder = self.place.folder
        (folder / "haproxy.cfg").write_text(rendered(self.place))
        self._proxy = Proxy(folder / "proxy.sock", folder / "live.map")
        self._proxy.write(colour)
        self.programs.start(self.program, haproxy(folder))

    def point_at(self, colour: str) -> None:
        """As a host does at a rollout."""
        self._proxy.point_at(colour)


class HAProxyReload(Door):
    """The same configuration with the colour's name in it, and a reload of the workers."""

    title = "HAProxy reload"
    program = "haproxy"

    def open(self, colour: str) -> None:
        """Start HAProxy with a colour's name in its configuration."""
        self._write(colour)
        self._master = self.programs.start(self.program, haproxy(self.place.folder))

    def point_at(self, colour: str) -> None:
        """As `systemctl reload haproxy` does: the master starts new workers on the same sockets."""
        self._write(colour)
        os.kill(self._master.pid, signal.SIGUSR2)

    def _write(self, colour: str) -> None:
        text = without_map(rendered(self.place), colour)
        (self.place.folder / "haproxy.cfg").write_text(text)


class NginxReload(Door):
    """nginx with kept-alive connections to the gateway, whose upstream is swapped by a reload."""

    title = "nginx reload"
    program = "nginx"

    def open(self, colour: str) -> None:
        """Start nginx with a colour as its upstream."""
        self.programs.start(self.program, self._command(colour))

    def point_at(self, colour: str) -> None:
        """Swap the upstream and reload."""
        subprocess.run([*self._command(colour), "-s", "reload"], check=True, capture_output=True)

    def _command(self, colour: str) -> list[str]:
        folder, gateway = self.place.folder, self.place.gateway_port(colour)
        text = NGINX.format(folder=folder, gateway=gateway, port=self.place.port)
        (folder / "nginx.conf").write_text(text)
        return [str(find_program("nginx")), "-p", str(folder), "-c", str(folder / "nginx.conf")]


WAYS: tuple[type[Way], ...] = (RuntimeMap, HAProxyReload, NginxReload, NaiveRestart)


def haproxy(folder: Path) -> list[str]:
    """HAProxy with a master that stays in the foreground, as a service does."""
    return [str(find_program("haproxy")), "-W", "-db", "-f", str(folder / "haproxy.cfg")]


def rendered(place: Place) -> str:
    """HAProxy's configuration as `bin/ci render` makes it."""
    values = {
        "environment": "benchmark",
        "bind": place.address,
        "proxy_socket": place.folder / "proxy.sock",
        "proxy_map": place.folder / "live.map",
        "colours": {name: f"127.0.0.1:{place.gateway_port(name)}" for name in COLOURS},
    }
    return fill(TEMPLATES, {"haproxy.cfg": "haproxy.cfg"}, values)["haproxy.cfg"]


def without_map(text: str, colour: str) -> str:
    """The rendered configuration with one colour's name in the place of the map.

    Raises:
        ValueError: The line that reads the map is not there once.
    """
    lines = text.splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if line.strip().startswith(RUNTIME_MAP)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} lines of haproxy.cfg begin with {RUNTIME_MAP!r}, not one")
    lines[found[0]] = f"  default_backend {colour}\n"
    return "".join(lines)


@contextmanager
def serving(way: Way, version: int) -> Iterator[Way]:
    """A way that serves a first release; all of it has ended after the block."""
    try:
        way.begin(version)
        yield way
    finally:
        way.end()
        shutil.rmtree(way.place.folder, ignore_errors=True)
