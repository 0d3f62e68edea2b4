"""A vendored folder: what it holds, and whether that is enough for this machine.

One folder serves several kinds of machine: `DIR/linux-x86_64-py3.11/` holds the wheels for one of
them and `vendor.json`, which says by hash for which locks they were collected and which wheels each
needs. So an incomplete folder is told before anything is installed.
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
    """Return this machine's platform, such as `linux-x86_64` or `macos-arm64`."""
    system = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    return f"{system}-{platform.machine()}"


def this_python() -> str:
    """Return this interpreter's version as `3.11`."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def machine_folder(folder: Path, system: str, python: str) -> Path:
    """Return the part of a vendored folder that is for one kind of machine."""
    return folder / f"{system}-py{python}"


def read_locks(place: Path) -> dict[str, Any]:
    """Return what was collected for one kind of machine: by role, the lock's hash and wheels."""
    manifest = place / MANIFEST
    locks: dict[str, Any] = json.loads(manifest.read_text()) if manifest.is_file() else {}
    return locks


def write_locks(place: Path, locks: dict[str, Any]) -> None:
    """Write what was collected, in one step."""
    beside = place / f".{MANIFEST}.part"
    beside.write_text(json.dumps(locks, indent=1) + "\n")
    beside.replace(place / MANIFEST)


def lock_digest(role: str) -> str:
    """Return the sha256 of a role's lock."""
    return hashlib.sha256(lock_path(role).read_bytes()).hexdigest()


def complete_wheels(folder: Path, role: str, system: str = "", python: str = "") -> Path:
    """Return the folder of wheels that has all that a role needs on a kind of machine.

    Args:
        folder: What `bin/ci vendor` made.
        role: Name of a lock.
        system: Such as `linux-x86_64`; "" is this machine's.
        python: Such as `3.11`; "" is this interpreter's.

    Raises:
        UsageError: It is no vendored folder.
        UnavailableError: It is for other machines or another lock, or lacks wheels: which.
    """
    machines = sorted(place.parent.name for place in folder.glob(f"*/{MANIFEST}"))
    if not machines:
        raise UsageError(
            f"--offline {folder}: nothing vendored is there. Make it: bin/ci vendor DIR"
        )
    system, python = system or this_platform(), python or this_python()
    place = machine_folder(folder, system, python)
    problems = _problems(place, role)
    if place.name not in machines:
        problems = [f"it is for {', '.join(machines)}; this machine is {place.name}"]
    if problems:
        again = f"bin/ci vendor DIR --role {'ci' if role == 'uv' else role}"
        again += f" --platform {system} --python {python}"
        raise UnavailableError(
            f"{folder} does not have what the environment `{role}` needs:\n"
            + "".join(f"  {problem}\n" for problem in problems)
            + f"Collect it on a machine with a network: {again}"
        )
    return place


def _problems(place: Path, role: str) -> list[str]:
    collected = read_locks(place).get(role)
    if collected is None:
        return [f"it was collected without the role {role}"]
    if collected["sha256"] != lock_digest(role):
        return [f"it was collected for another requirements/{role}.lock than the present one"]
    absent = [wheel for wheel in collected["wheels"] if not (place / wheel).is_file()]
    return [f"missing: {place.name}/{wheel}" for wheel in absent]
