"""The systemd unit that keeps an environment of target `process` running, also after a reboot."""

from pathlib import PurePosixPath
from typing import Any

from ci.config import Config
from serving.host.control import LONGEST_PATH
from serving.supervisor import SOCKET

# Where a host without Docker has the sources and, in `venv`, their packages.
INSTALLED = PurePosixPath("/opt/pushcart")


def unit_of(config: Config, environment: str) -> str:
    """Name of an environment's unit."""
    return f"pushcart-{config.shop.name}-{environment}.service"


def values(config: Config, environment: str) -> dict[str, Any]:
    """What the unit's template names beside shop, environment and port."""
    state = INSTALLED / config.storage.state / config.shop.name
    home = state / "environments" / environment
    return {
        "installed": INSTALLED,
        "state": state,
        "home": home,
        "has_short_path": len(str(home / SOCKET)) <= LONGEST_PATH,
    }
