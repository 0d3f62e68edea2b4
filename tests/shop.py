"""A small shop of its own in a temporary folder, driven through the command line as a user does."""

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.config import PROJECT

# Simulated: enough shoppers that the gate can tell a good model from a bad one.
SMALL = """
[simulator]
shoppers = 600
items = 80
events = 40_000
bots = 5
[data]
test_days = 28
[model]
name = "linear"
history_length = 20
frequent_length = 10
top_k = 20
[gate]
margin = 0.10
min_users = 100
min_slice_users = 100
[serving]
engine = "litert"
"""


@dataclass(frozen=True)
class Shop:
    """One configuration with its own build and state folders."""

    folder: Path
    name: str
    python_path: str = str(PROJECT)

    @property
    def config(self) -> Path:
        return self.folder / f"{self.name}.toml"

    @property
    def build(self) -> Path:
        return self.folder / "build" / self.name

    @property
    def state(self) -> Path:
        return self.folder / "var" / self.name

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ci", "--config", str(self.config), *arguments]

    def ci(
        self, *arguments: str, expect: int = 0, environment: dict[str, str] | None = None
    ) -> str:
        """Run one command; its output, after its exit code was what is expected."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=surroundings({"PYTHONPATH": self.python_path, **(environment or {})}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=900,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one command to be killed."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=surroundings(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def artifact(self, name: str) -> dict[str, Any]:
        path = self.build / name[3:] if name.startswith("../") else self.build / "next_item" / name
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return content

    def recommend(self, user: str = "1") -> dict[str, Any]:
        """Ask the public endpoint, as a shop does."""
        url = f"{self.artifact('../deployment.json')['url']}/v1/users/{user}/recommendations"
        with urllib.request.urlopen(url, timeout=10) as answer:
            content: dict[str, Any] = json.load(answer)
        return content

    def stop(self) -> None:
        """End what serves in the background."""
        if (self.state / "environments/local/record.json").exists():
            self.ci("serve", "--stop")


def surroundings(extra: dict[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), **(extra or {})}


def open_shop(folder: Path, name: str, settings: str = SMALL) -> Shop:
    """Write the configuration of a shop; nothing runs yet."""
    shop = Shop(folder, name)
    head = f'[shop]\nname = "{name}"\n[storage]\nbuild = "{folder}/build"\nstate = "{folder}/var"\n'
    shop.config.write_text(head + settings, encoding="utf-8")
    return shop
