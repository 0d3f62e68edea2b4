"""One thing that was looked at, and what the configuration wants of the machine."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ci.errors import UsageError

FINE, OPTIONAL, NEEDED = "fine", "optional", "needed"
# As ci/settings.py has them; this runs also where pydantic is not installed yet.
PORTS = {"local": 8500, "staging": 8510, "production": 8520}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is about.
        state: `fine`, `optional` (something can not be done, or less well) or `needed`.
        seen: What was found.
        mend: What to do; "" where it is fine.
    """

    name: str
    state: str
    seen: str
    mend: str = ""


@dataclass(frozen=True)
class Wants:
    """What the configuration wants of the machine, before anything of it is validated.

    Attributes:
        folder: Of the configuration file.
        root: The project's.
        environments: Name → what is written about it.
        state: Folder of the shop's state.
        pushes: Whether images are pushed to a registry.
    """

    folder: Path
    root: Path
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    state: Path = Path()
    pushes: bool = False

    @classmethod
    def read(cls, path: Path, root: Path) -> Self:
        """Read a configuration file.

        Raises:
            UsageError: It is not there, or no TOML of sections.
        """
        try:
            raw = tomllib.loads(path.read_text("utf-8"))
            environments = raw.get("environments", {name: {} for name in PORTS})
            shop = raw.get("shop", {}).get("name", "demo")
            state = root / raw.get("storage", {}).get("state", "var") / shop
            pushes = bool(raw.get("images", {}).get("registry"))
            environments = {name: _ported(name, one) for name, one in environments.items()}
            return cls(path.parent, root, environments, state, pushes)
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from None

    def with_target(self, *targets: str) -> dict[str, dict[str, Any]]:
        """The environments of some targets."""
        return {
            name: one
            for name, one in self.environments.items()
            if one.get("target", "process") in targets
        }


def _ported(name: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """What is written about an environment, with the port that it has otherwise."""
    port = one.get("port", PORTS.get(name, PORTS["local"]))
    if not isinstance(port, int):
        raise TypeError(f"[environments.{name}] port = {port!r} is no number")
    return {**one, "port": port}
