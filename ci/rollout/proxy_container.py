"""The HAProxy of target `compose`: a container on this machine's network that owns the public port.

What it reads and its runtime API lie in one folder that it shares with this machine. The colours
stand behind ports of the loopback address, as on target hosts, so both have one configuration.
"""

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ci.errors import UnavailableError
from serving.host import containers
from serving.host.containers import HARDENED
from serving.host.proxy import Proxy, ProxyError

# As the proxy sees its folder.
INSIDE: Final = "/run/pushcart"
CONFIGURATION, SOCKET, MAP = "haproxy.cfg", "proxy.sock", "live.map"
LABEL: Final = "shop.pushcart.proxy"
ANSWER_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.05
UNPRIVILEGED: Final = 1024


@dataclass(frozen=True)
class ProxyContainer:
    """The proxy of one environment of this machine.

    Attributes:
        name: Of the container.
        folder: Shared with it: configuration, map of the live colour, socket.
        port: The public port.
    """

    name: str
    folder: Path
    port: int

    @property
    def proxy(self) -> Proxy:
        """Its runtime API, from this machine."""
        return Proxy(self.folder / SOCKET, self.folder / MAP, f"{INSIDE}/{MAP}")

    def configure(self, text: str) -> None:
        """Write down how it shall work from its next start on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)  # who can reach its socket can move the traffic
        draft = self.folder / f".{CONFIGURATION}"
        draft.write_text(text, encoding="utf-8")
        draft.replace(self.folder / CONFIGURATION)

    def is_current(self, image: str) -> bool:
        """Whether it runs, from this image and with what is configured now."""
        known = containers.inspect(self.name)
        labels = known["Config"]["Labels"] if known else {}
        return containers.is_running(self.name) and labels.get(LABEL) == self._mark(image)

    def start(self, image: str) -> None:
        """Start it in the place of any that runs, and wait until it answers.

        Raises:
            UnavailableError: It does not run; the message holds its words.
            DockerError: The engine does not answer.
        """
        containers.remove(self.name)
        words = ["run", "--detach", f"--name={self.name}", *HARDENED, "--network=host"]
        words += [f"--mount=type=bind,src={self.folder},dst={INSIDE}", "--entrypoint=haproxy"]
        words += [f"--user={os.getuid()}:{os.getgid()}", f"--label={LABEL}={self._mark(image)}"]
        if self.port < UNPRIVILEGED:
            words.append("--cap-add=NET_BIND_SERVICE")
        containers.docker(*words, image, "-W", "-db", "-f", f"{INSIDE}/{CONFIGURATION}")
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or not containers.is_running(self.name):
                lines = containers.last_words(self.name)
                containers.remove(self.name)
                raise UnavailableError(
                    "\n  ".join([f"The proxy {self.name} does not run; its log:", *lines])
                    + f"\nFree port {self.port}, or give the environment another one."
                )
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End it; its map goes on to name the live colour."""
        containers.remove(self.name)

    def _answers(self) -> bool:
        try:
            return bool(self.proxy.command("show info"))
        except ProxyError:
            return False

    def _mark(self, image: str) -> str:
        configuration = (self.folder / CONFIGURATION).read_bytes()
        return hashlib.sha256(image.encode() + b"\n" + configuration).hexdigest()
