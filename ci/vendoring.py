"""Command `vendor`: collect in a folder all that a machine without network needs."""

import argparse
import json
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci import package_index
from ci.console import duration, say
from ci.environment import LOCKS, lock_path
from ci.installing import checked, install_uv, run_uv
from ci.wheelhouse import MANIFEST, lock_digest, this_platform, this_python


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
    for role in roles:
        lock_path(role)
    uv, start = install_uv(), time.monotonic()
    wheels = chosen.folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    locks = {role: _collect(uv, role, wheels, chosen.platform, chosen.python) for role in roles}
    manifest = {"platform": chosen.platform, "python": chosen.python, "locks": locks}
    _write_atomically(chosen.folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    needed = {wheel for lock in locks.values() for wheel in lock["wheels"]}
    size = sum((wheels / wheel).stat().st_size for wheel in needed) / 1e6
    say(f"{len(needed)} wheels, {size:,.0f} MB, {duration(time.monotonic() - start)}: {wheels}")
    say(f"On the other machine (its Python: {chosen.python}): bin/ci --offline {chosen.folder} run")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bin/ci vendor", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    roles = ", ".join(sorted(lock.stem for lock in LOCKS.glob("*.lock")))
    parser.add_argument("--role", action="append", help=f"again for more; of {roles}")
    parser.add_argument("--platform", choices=PLATFORMS, default=this_platform())
    parser.add_argument("--python", default=this_python(), help="its version there, such as 3.12")
    return parser


def _collect(uv: Path, role: str, wheels: Path, target: str, python: str) -> dict[str, Any]:
    """Download the wheels of one lock; return its entry in the manifest."""
    with tempfile.TemporaryDirectory() as scratch:
        # pip evaluates markers for its own machine, so uv writes out the target's part first.
        pinned = Path(scratch) / f"{role}.txt"
        options = ["--quiet", "--no-deps", "--generate-hashes", "--no-annotate", "--no-header"]
        options += [f"--python-platform={PLATFORMS[target].uv}", f"--python-version={python}"]
        options += ["--only-binary=:all:", f"--output-file={pinned}", str(lock_path(role))]
        run_uv(uv, ["pip", "compile", *options], f"read requirements/{role}.lock")
        names = re.findall(r"^([\w.-]+)==([^\s\\;]+)", pinned.read_text(), re.MULTILINE)
        say(f"{role}: {len(names)} packages for {target}, Python {python}")
        pip = [str(uv.with_name("python")), "-m", "pip", "download", "--no-deps", "--quiet"]
        pip += ["--require-hashes", "--only-binary=:all:", f"--dest={wheels}", "-r", str(pinned)]
        pip += [f"--python-version={python}", "--implementation=cp", f"--abi=cp{_joined(python)}"]
        pip += ["--abi=abi3", "--abi=none", *(f"--platform={tag}" for tag in _tags(target))]
        checked(pip, package_index.for_pip(os.environ), f"download the wheels of {role}")
    files = {_identity(wheel.name): wheel.name for wheel in sorted(wheels.glob("*.whl"))}
    return {
        "sha256": lock_digest(role),
        "wheels": [files[_normal(name), version] for name, version in names],
    }


def _tags(target: str) -> tuple[str, ...]:
    return (*PLATFORMS[target].tags, "any")


def _joined(version: str) -> str:
    return version.replace(".", "")


def _identity(wheel: str) -> tuple[str, str]:
    name, version = wheel.split("-")[:2]
    return _normal(name), version


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _write_atomically(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text)
    beside.replace(path)
