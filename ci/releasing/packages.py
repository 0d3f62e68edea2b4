"""The packages of a lock as one layer of an image: installed here by hash, so a build needs no net.

The tar depends on the lock, the engine's architecture and this file alone; it is made once a
machine and kept in the cache.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from ci.config import machine_cache
from ci.console import say
from ci.environment import lock_path
from ci.images import files_below, write_tar
from ci.locks.installing import install_uv, run_uv
from ci.locks.vendoring import PLATFORMS
from ci.locks.wheelhouse import complete_wheels, this_python
from ci.workspace import make_once

# Where the layer puts them; the Dockerfiles name this folder in PYTHONPATH.
INSIDE = "app/packages"
# The Python of python:3.11-slim and of Debian 12.
PYTHON = "3.11"
SYSTEMS = {"amd64": "linux-x86_64", "arm64": "linux-aarch64"}
# Never imported by a server, and half of the size.
UNNEEDED = (
    ".lock",
    "bin",  # scripts with the path of this machine's Python
    "**/tests",
    "**/*.pyi",
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
    "ai_edge_litert/tools",
    "ai_edge_litert/vendors",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/distutils",
    "numpy/f2py",
    "uvloop/**/*.p[xy][xdi]",
)


def packages_tar(role: str, architecture: str, offline: Path | None = None) -> Path:
    """The layer of a lock's packages, compiled where this Python is the image's.

    Args:
        role: Name of the lock.
        architecture: The engine's, in Docker's words: `amd64` or `arm64`.
        offline: Folder of `bin/ci vendor`; then the network is not touched.

    Raises:
        UnavailableError: The index does not answer, or the folder lacks something.
    """
    system = SYSTEMS[architecture]
    compiled = this_python() == PYTHON
    whole = hashlib.sha256(lock_path(role).read_bytes() + Path(__file__).read_bytes())
    whole.update(f"{system} {compiled}".encode())
    place = machine_cache() / f"packages-{role}-{whole.hexdigest()[:16]}.tar"
    return make_once(place, lambda part: _make(role, system, offline, part))


def installed(layer: Path) -> dict[str, str]:
    """Versions by name of the packages in a layer, as their own metadata has them."""
    found = {}
    with tarfile.open(layer) as archive:
        for path in archive.getnames():
            if named := re.search(r"/([^/]+)-([^/-]+)\.dist-info/METADATA$", path):
                found[re.sub(r"[-_.]+", "-", named[1]).lower()] = named[2]
    return found


def _make(role: str, system: str, offline: Path | None, place: Path) -> None:
    say(f"Packing requirements/{role}.lock for images ({system}), once on this machine")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "packages"
        _install(role, system, offline, folder)
        for pattern in UNNEEDED:
            for path in list(folder.glob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if this_python() == PYTHON:
            _compile(folder)
        with place.open("wb") as file:
            write_tar(file, files_below(folder, INSIDE))


def _install(role: str, system: str, offline: Path | None, folder: Path) -> None:
    source: list[str] = []
    if offline:
        wheels = complete_wheels(offline, role, system, PYTHON)
        source = ["--offline", "--no-index", f"--find-links={wheels}"]
    sync = [
        "pip",
        "sync",
        "--quiet",
        "--require-hashes",
        "--only-binary=:all:",
        "--link-mode=copy",
        *source,
    ]
    sync += [f"--python-platform={PLATFORMS[system].uv}", f"--python-version={PYTHON}"]
    sync += [f"--target={folder}", str(lock_path(role))]
    run_uv(install_uv(offline), sync, f"install requirements/{role}.lock for an image")


def _compile(folder: Path) -> None:
    """Compile to files that are never checked against their sources: those have no dates there.

    One process in sorted order, for what shares a string with what shows in the bytes.
    """
    command = [sys.executable, "-I", "-m", "compileall", "-qq", "--invalidation-mode"]
    command += ["unchecked-hash", "-s", str(folder), "-p", f"/{INSIDE}", str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    # A file that does not compile (a template, another Python's) is left as it is.
    subprocess.run(command, env=environment, check=False)
