"""Builds environments: uv from its own hash lock, then with uv the packages of a role's lock.

Standard library only. Two runs at once take turns by a file lock; a half-made environment has no
`complete` mark and is made anew.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ci.console import duration, say
from ci.environment import folder_of, is_ready, lock_path
from ci.errors import UnavailableError, UsageError
from ci.locks import package_index
from ci.locks.wheelhouse import complete_wheels

# 430 MB of C++ headers, for people who compile their own TensorFlow ops.
UNUSED = ("tensorflow/include",)
# A line or more a package, from uv and pip.
CHATTER = ("+ ", "Downloaded ", "Collecting ", "Saved ", "Using cached ", "Looking in ", "━")


def install_role(role: str, offline: Path | None = None) -> str:
    """Make a role's environment if it is not there yet; return its interpreter.

    Args:
        role: Name of a lock.
        offline: Folder of `bin/ci vendor`; then the network is not touched.

    Raises:
        UsageError: There is no such role, or Python lacks `venv`.
        UnavailableError: The index does not answer, or the folder lacks something.
    """
    folder = folder_of(role)

    def build(folder: Path) -> None:
        if offline:
            complete_wheels(offline, role)  # before any work: all that is missing, at once
        uv = install_uv(offline)
        say(f"Making the environment `{role}`, once: {folder}")
        _build_role(uv, role, folder, offline)

    make(folder, build)
    return str(folder / "bin" / "python")


def _build_role(uv: Path, role: str, folder: Path, offline: Path | None) -> None:
    start = time.monotonic()
    source: list[str] = []
    if offline:
        wheels = complete_wheels(offline, role)
        source = ["--offline", "--no-index", f"--find-links={wheels}"]
    run_uv(uv, ["venv", "--quiet", f"--python={sys.executable}", str(folder)], "make a folder")
    sync = ["pip", "sync", "--require-hashes", "--only-binary=:all:", *source]
    sync += [f"--python={folder}/bin/python", str(lock_path(role))]
    run_uv(uv, sync, f"install requirements/{role}.lock")
    for part in UNUSED:
        for place in folder.glob(f"lib/python3.*/site-packages/{part}"):
            shutil.rmtree(place)
    say(f"The environment is ready after {duration(time.monotonic() - start)}.\n")


def install_uv(offline: Path | None = None) -> Path:
    """Make uv's own small environment with pip if it is not there yet; return uv."""
    folder = folder_of("uv")

    def build(folder: Path) -> None:
        say(f"Fetching uv, which makes the environments: {folder}")
        _venv(folder)
        source: list[str] = []
        if offline:
            wheels = complete_wheels(offline, "uv")
            source = ["--no-index", f"--find-links={wheels}"]
        pip = [str(folder / "bin" / "python"), "-I", "-m", "pip", "install", "--quiet", "--no-deps"]
        pip += ["--require-hashes", "--only-binary=:all:", *source]
        checked([*pip, "-r", str(lock_path("uv"))], package_index.for_pip(os.environ), "fetch uv")

    make(folder, build)
    return folder / "bin" / "uv"


def _venv(folder: Path) -> None:
    command = [sys.executable, "-I", "-m", "venv", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise UsageError(
            f"{sys.executable} cannot make a virtual environment:\n"
            f"  {(done.stdout + done.stderr).strip().splitlines()[0]}\n"
            f"On Debian or Ubuntu run: apt-get install python3-venv   (or python{version}-venv)"
        )


def run_uv(uv: Path, arguments: Sequence[str], purpose: str) -> None:
    """Run uv with the index, proxies and certificates that pip is configured with.

    Raises:
        UnavailableError: uv failed; its own words stand above the message.
    """
    listed = subprocess.run(
        [str(uv.with_name("python")), "-I", "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
        env=package_index.for_pip(os.environ),
    )
    settings = package_index.pip_settings(listed.stdout)
    checked([str(uv), *arguments], package_index.for_uv(os.environ, settings), purpose)


def checked(command: list[str], environment: Mapping[str, str], purpose: str) -> None:
    """Run a command of uv or pip that installs or downloads.

    Raises:
        UnavailableError: It failed; its own words stand above the message.
    """
    if _tell(command, environment) != 0:
        raise UnavailableError(
            f"Could not {purpose}: the reason stands above.\n"
            "Check the network, the proxy (HTTPS_PROXY) and the index (PIP_INDEX_URL).\n"
            "Without a network: `bin/ci vendor DIR` on a machine that has one, then\n"
            "`bin/ci --offline DIR …` here."
        )


def _tell(command: list[str], environment: Mapping[str, str]) -> int:
    """Run a command; to a terminal it draws its own bars, a log gets the lines worth reading."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        return subprocess.run(command, env=dict(environment), check=False).returncode
    with subprocess.Popen(
        command,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            if not line.strip().startswith(CHATTER):
                say(f"  {line.strip()}")
    return process.returncode


def make(folder: Path, build: Callable[[Path], None]) -> None:
    """Make a folder once, however many runs ask for it; a half-made one is made anew.

    Args:
        folder: What to make.
        build: Makes it; whatever stood there before is gone by then.

    Raises:
        UnavailableError: The place cannot be written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _turn(folder.with_name(f".{folder.name}.lock")):
            if not is_ready(folder):
                shutil.rmtree(folder, ignore_errors=True)
                build(folder)
                (folder / "complete").touch()
    except OSError as error:
        raise UnavailableError(
            f"The environment cannot be made: {error}.\n"
            "Free the place, or set PUSHCART_VENV_DIR to a folder that you may write to."
        ) from error


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another run is making this environment; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield  # the system lets go of the lock with the file, also when this process is killed
