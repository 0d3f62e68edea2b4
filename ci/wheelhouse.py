"""A vendored folder: what it says it holds, and whether that is enough for this machine.

`DIR/wheels/` holds the wheels, `DIR/vendor.json` which lock (by hash) needs which of them on which
platform; so an incomplete folder is told before anything is installed.
"""

import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

from ci.environment import lock_path
from ci.errors import UnavailableError, UsageError

MANIFEST = "vendor.json"


def this_platform() -> str:
    """Return this machine's name in `PLATFORMS`, such as `linux-x86_64`."""
    system = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    return f"{system}-{platform.machine()}"


def this_python() -> str:
    """Return this interpreter's version as `3.11`."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def lock_digest(role: str) -> str:
    """Return the sha256 of a role's lock."""
    return hashlib.sha256(lock_path(role).read_bytes()).hexdigest()


def complete_wheels(folder: Path, role: str) -> Path:
    """Return the wheels' folder of a vendored folder that has all that a role needs here.

    Raises:
        UsageError: It is no vendored folder.
        UnavailableError: It is for another platform, Python or lock, or lacks wheels: which.
    """
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"--offline {folder}: there is no {MANIFEST}. Make it: bin/ci vendor DIR")
    manifest = json.loads((folder / MANIFEST).read_text())
    problems = _problems(folder, role, manifest)
    if problems:
        again = f"bin/ci vendor DIR --role {'ci' if role == 'uv' else role}"
        again += f" --platform {this_platform()} --python {this_python()}"
        raise UnavailableError(
            f"{folder} does not have what the environment `{role}` needs:\n"
            + "".join(f"  {problem}\n" for problem in problems)
            + f"Collect it again on a machine with a network: {again}"
        )
    return folder / "wheels"


def _problems(folder: Path, role: str, manifest: dict[str, Any]) -> list[str]:
    here = {"platform": this_platform(), "python": this_python()}
    wrong = [
        f"it is for {key} {manifest.get(key)}, this machine has {value}"
        for key, value in here.items()
        if manifest.get(key) != value
    ]
    locks = manifest["locks"]
    if role not in locks:
        return [*wrong, f"it was collected without the role {role}"]
    if locks[role]["sha256"] != lock_digest(role):
        wrong.append(f"it was collected for another requirements/{role}.lock than the present one")
    absent = [wheel for wheel in locks[role]["wheels"] if not (folder / "wheels" / wheel).is_file()]
    return [*wrong, *(f"missing: wheels/{wheel}" for wheel in absent)]
