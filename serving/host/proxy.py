"""HAProxy as the door of a host: which colour gets the traffic, and what it counts.

The proxy looks the live colour up in a map at each request, so that one runtime command moves all
requests at once, and the map's file, written first, holds after a restart or a reboot.
"""

import csv
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KEY: Final = "live"
NOBODY: Final = "none"
SILENCE_SECONDS: Final = 10.0
FRONTEND: Final = "shoppers"


class ProxyError(OSError):
    """The proxy does not answer or refuses a command."""


@dataclass(frozen=True)
class Proxy:
    """A running HAProxy.

    Attributes:
        socket: Its runtime API on this machine.
        map_file: Names the live colour; this machine's path.
        map_name: The same file as the proxy calls it, e.g. inside its container.
    """

    socket: Path
    map_file: Path
    map_name: str = ""

    def point_at(self, colour: str) -> None:
        """Give every request that begins from now on to a colour; `none` answers 503.

        Raises:
            ProxyError: The proxy does not answer; its file names the colour all the same.
        """
        self.write(colour)
        name = self.map_name or self.map_file
        if said := self.command(f"set map {name} {KEY} {colour}").strip():
            raise ProxyError(f"the proxy does not move the traffic to {colour}: {said}")

    def write(self, colour: str) -> None:
        """Write down the live colour, whole or not at all; a proxy that starts reads it."""
        draft = self.map_file.with_suffix(".draft")
        with draft.open("w", encoding="ascii") as file:
            file.write(f"{KEY} {colour}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        draft.replace(self.map_file)

    def sessions(self, colour: str) -> int:
        """Requests that a colour is answering now."""
        return sum(int(row["scur"]) for row in self._of(colour))

    def failed(self) -> int:
        """Requests answered with 5xx since the proxy started, by a release or by itself."""
        return sum(int(row["hrsp_5xx"] or 0) for row in self._of(FRONTEND, "FRONTEND"))

    def _of(self, section: str, part: str = "gateway") -> list[dict[str, str]]:
        """The lines of the statistics about one part of a section of the configuration."""
        lines = self.command("show stat").removeprefix("# ").strip().splitlines()
        return [
            row
            for row in csv.DictReader(lines)
            if (row["pxname"], row["svname"]) == (section, part)
        ]

    def command(self, words: str) -> str:
        """Give a command to the runtime API and return its answer.

        Raises:
            ProxyError: The proxy does not answer.
        """
        try:
            # By its folder: the whole path may be longer than a socket's address can be.
            folder = os.open(self.socket.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                return self._told(f"/proc/self/fd/{folder}/{self.socket.name}", words)
            finally:
                os.close(folder)
        except OSError as error:
            raise ProxyError(f"the proxy does not answer at {self.socket}: {error}") from error

    @staticmethod
    def _told(address: str, words: str) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(SILENCE_SECONDS)
            link.connect(address)
            link.sendall(words.encode() + b"\n")
            answer = b"".join(iter(lambda: link.recv(65536), b""))
        return answer.decode()
