"""What the machine itself has: system, Python, room, memory, git, GPU, Java."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ci.doctor.finding import FINE, NEEDED, OPTIONAL, Finding
from ci.services import SERVICES, missing_programs

SYSTEMS = ("Linux x86_64", "Linux aarch64", "Darwin arm64")  # what the locks have wheels for
GIGABYTE = 1e9
ENVIRONMENT_GIGABYTES, WORK_GIGABYTES = 3.0, 2.0  # the environment `dev`; data, models, releases
MEMORY_GIGABYTES = 3.0  # the default shop's training takes 1.2


def system(name: str, machine: str) -> Finding:
    """Whether there are packages for this system."""
    seen = f"{name} {machine}"
    if seen in SYSTEMS:
        return Finding("system", FINE, seen)
    mend = f"use one of {', '.join(SYSTEMS)}: for others there is no TensorFlow in the locks"
    return Finding("system", NEEDED, seen, mend)


def python(version: tuple[int, ...], has_venv: bool, python_ready: str | None) -> Finding:
    """Whether an environment is made, or can be."""
    seen = f"Python {'.'.join(map(str, version[:3]))}"
    if python_ready:
        return Finding("python", FINE, f"{seen}, environment {Path(python_ready).parents[1].name}")
    if not has_venv:
        mend = f"apt-get install python{version[0]}.{version[1]}-venv"
        return Finding("python", NEEDED, f"{seen} without venv", mend)
    mend = "the first command makes it; without network: --offline DIR, made by `bin/ci vendor DIR`"
    return Finding("python", OPTIONAL, f"{seen}, no environment yet", mend)


def disk(free_bytes: int, has_environment: bool) -> Finding:
    """Whether there is room for an environment, data and releases."""
    wanted = WORK_GIGABYTES + (0 if has_environment else ENVIRONMENT_GIGABYTES)
    seen = f"{free_bytes / GIGABYTE:.1f} GB free"
    if free_bytes >= wanted * GIGABYTE:
        return Finding("disk", FINE, seen)
    mend = f"free {wanted:.0f} GB: `du -sh .venv* build var`; build/ can always be made again"
    return Finding("disk", NEEDED, seen, mend)


def memory(available_bytes: int | None) -> Finding:
    """Whether the default shop can be trained."""
    if available_bytes is None:
        return Finding("memory", FINE, "not known on this system")
    seen = f"{available_bytes / GIGABYTE:.1f} GB available"
    if available_bytes >= MEMORY_GIGABYTES * GIGABYTE:
        return Finding("memory", FINE, seen)
    mend = "end other programs, or train less: `--set model.name=linear`, `data.window_days`"
    return Finding("memory", OPTIONAL, seen, mend)


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that programs can take without swapping; None where the system does not tell."""
    if not meminfo.exists():
        return None
    for line in meminfo.read_text("utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def git(folder: Path, program: str | None) -> Finding:
    """Whether the project lies in a git repository with a committer."""
    if program is None:
        return Finding("git", NEEDED, "not installed", "apt-get install git")

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        command = [program, *words]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    version = ask("--version").stdout.strip().removeprefix("git version ")
    if ask("rev-parse", "HEAD").returncode:
        mend = "get the template by `git clone`: bundles and releases tell their commit"
        return Finding("git", OPTIONAL, f"{version}; {folder} has no commit", mend)
    if ask("var", "GIT_COMMITTER_IDENT").returncode:
        mend = 'git config --global user.name "Your Name"; git config --global user.email YOU'
        return Finding("git", OPTIONAL, f"{version}; it does not know who commits", mend)
    return Finding("git", FINE, version)


def gpu(variables: Mapping[str, str], program: str | None) -> Finding:
    """Whether a GPU is there, and whether the environment that uses it is asked for."""
    if program is None:
        return Finding("gpu", FINE, "none; training takes the CPU")
    command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.strip():
        said = (done.stdout or done.stderr).strip().partition("\n")[0]
        mend = "`nvidia-smi` must list the GPU: install its driver, or reboot after an update"
        return Finding("gpu", OPTIONAL, f"nvidia-smi: {said or 'no GPU'}", mend)
    seen = "; ".join(done.stdout.strip().splitlines())
    if variables.get("PUSHCART_ROLE") == "gpu":
        return Finding("gpu", FINE, seen)
    mend = "export PUSHCART_ROLE=gpu, as the build agent labelled `gpu` does"
    return Finding("gpu", OPTIONAL, f"{seen}; not used", mend)


def java() -> Finding:
    """Whether Jenkinsfiles can be parsed."""
    lacking = missing_programs("groovy")
    if not lacking:
        return Finding("java", FINE, "Java and the Groovy that Jenkins embeds")
    seen = f"no {', '.join(lacking)}: Jenkinsfiles are not checked here"
    return Finding("java", OPTIONAL, seen, "bin/ci services groovy")


def services() -> Finding:
    """Which real services the tests can start."""
    lacking = [service.name for service in SERVICES if service.missing()]
    there = f"{len(SERVICES) - len(lacking)} of {len(SERVICES)}"
    if not lacking:
        return Finding("test services", FINE, f"{there} installed")
    seen = f"{there} installed; tests that need {', '.join(lacking)} are skipped"
    return Finding("test services", OPTIONAL, seen, f"bin/ci services {' '.join(lacking)}")


def findings(root: Path, python_ready: str | None, variables: Mapping[str, str]) -> list[Finding]:
    """Everything about the machine itself."""
    has_venv = importlib.util.find_spec("ensurepip") is not None
    return [
        system(platform.system(), platform.machine()),
        python(sys.version_info[:3], has_venv, python_ready),
        disk(shutil.disk_usage(root).free, python_ready is not None),
        memory(available_memory()),
        writable(root),
        git(root, shutil.which("git")),
        gpu(variables, shutil.which("nvidia-smi")),
        java(),
        services(),
    ]


def writable(folder: Path) -> Finding:
    """Whether build/ and var/ can be made."""
    if os.access(folder, os.W_OK):
        return Finding("folder", FINE, f"{folder} can be written")
    mend = f"chown it to who runs bin/ci, or set [storage] build and state elsewhere: {folder}"
    return Finding("folder", NEEDED, f"{folder} cannot be written", mend)
