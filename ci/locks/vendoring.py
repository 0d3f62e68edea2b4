"""Command `vendor`: collect in a folder all that a machine without network needs."""

import argparse
import os
import re
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.console import duration, say
from ci.environment import LOCKS, lock_path
from ci.locks import package_index
from ci.locks.installing import checked, install_uv, run_uv
from ci.locks.wheelhouse import (
    lock_digest,
    machine_folder,
    read_locks,
    this_platform,
    this_python,
    write_locks,
)


@dataclass(frozen=True)
class Platform:
    """A kind of machine, in uv's and in pip's words."""

    uv: str
    tags: tuple[str, ...]


def _linux(machine: str) -> Platform:
    # glibc 2.36 is Debian 12's; a wheel for an older glibc runs on a newer one.
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 16, -1)]
    older = ("2010", "1") if machine == "x86_64" else ()
    tags += [f"manylinux{year}_{machine}" for year in ("2014", *older)]
    return Platform(f"{machine}-manylinux_2_36", (*tags, f"linux_{machine}"))


PLATFORMS = {
    "linux-x86_64": _linux("x86_64"),
    "linux-aarch64": _linux("aarch64"),
    "macos-arm64": Platform("aarch64-apple-darwin", ("macosx_14_0_arm64",)),
}


def run(arguments: list[str]) -> int:
    """Download the wheels of the roles named (default: ci) and of uv into a folder."""
    chosen = _parser().parse_args(arguments)
    roles = ["uv", *dict.fromkeys(chosen.role or ["ci"])]
    uv, start = install_uv(), time.monotonic()
    place = machine_folder(chosen.folder, chosen.platform, chosen.python)
    place.mkdir(parents=True, exist_ok=True)
    locks = read_locks(place)
    for role in roles:
        locks[role] = _collect(uv, role, place, chosen.platform, chosen.python)
        write_locks(place, locks)
    needed = {wheel for role in roles for wheel in locks[role]["wheels"]}
    size = sum((place / wheel).stat().st_size for wheel in needed) / 1e6
    say(f"{len(needed)} wheels, {size:,.0f} MB, {duration(time.monotonic() - start)}: {place}")
    folder = shlex.quote(str(chosen.folder))
    say(f"On the other machine (its Python: {chosen.python}): bin/ci --offline {folder} run")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bin/ci vendor", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    roles = ", ".join(sorted(lock.stem for lock in LOCKS.glob("*.lock")))
    parser.add_argument("--role", action="append", help=f"again for more; of {roles}")
    parser.add_argument("--platform", choices=PLATFORMS, default=this_platform())
    parser.add_argument("--python", default=this_python(), help="its version there, such as 3.12")
    return parser


def _collect(uv: Path, role: str, place: Path, system: str, python: str) -> dict[str, Any]:
    """Download the wheels of one lock; return its entry in `vendor.json`."""
    with tempfile.TemporaryDirectory() as scratch:
        needed = _needed(uv, role, Path(scratch), system, python)
        say(f"{role}: {len(needed)} packages for {system}, Python {python}")
        pinned = Path(scratch) / "pinned.txt"
        pinned.write_text("\n".join(needed.values()))
        pip = [str(uv.with_name("python")), "-I", "-m", "pip", "download", "--no-deps"]
        pip += ["--require-hashes", "--only-binary=:all:", f"--dest={place}", "-r", str(pinned)]
        pip += [f"--python-version={python}", "--implementation=cp"]
        pip += [f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")]
        pip += [f"--platform={tag}" for tag in (*PLATFORMS[system].tags, "any")]
        checked(pip, package_index.for_pip(os.environ), f"download the wheels of {role}")
    files = {_identity(wheel.name): wheel.name for wheel in place.glob("*.whl")}
    return {"sha256": lock_digest(role), "wheels": [files[package] for package in needed]}


def _needed(
    uv: Path, role: str, scratch: Path, system: str, python: str
) -> dict[tuple[str, str], str]:
    """Return what a platform needs of a lock: by name and version, the line with its hashes.

    uv picks, for pip evaluates markers for its own machine only; the hashes are the lock's own.
    """
    picked = scratch / "picked.txt"
    options = ["--quiet", "--no-deps", "--no-annotate", "--no-header", "--only-binary=:all:"]
    options += [f"--python-platform={PLATFORMS[system].uv}", f"--python-version={python}"]
    options += [f"--output-file={picked}", str(lock_path(role))]
    run_uv(uv, ["pip", "compile", *options], f"read requirements/{role}.lock")
    pinned = pins(role)
    packages = re.findall(r"^([\w.-]+)==(\S+)", picked.read_text(), re.MULTILINE)
    return {
        (name, version): " ".join(
            [
                f"{name}=={version}",
                *(f"--hash={one}" for one in pinned[name, version]),
            ]
        )
        for name, version in packages
    }


def pins(role: str) -> dict[tuple[str, str], list[str]]:
    """Return the hashes (`sha256:…`) that a lock allows, by name and version of the package."""
    pinned = {}
    for entry in lock_path(role).read_text().replace("\\\n", " ").splitlines():
        found = re.match(r"([\w.-]+)==([^\s;]+)", entry)
        if found:
            pinned[_normal(found[1]), found[2]] = re.findall(r"--hash=(\S+)", entry)
    return pinned


def _identity(wheel: str) -> tuple[str, str]:
    name, version = wheel.split("-")[:2]
    return _normal(name), version


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
