"""Command `lock`: resolve requirements.txt into one hash lock a role, for all platforms at once.

A block of requirements.txt is a list of choices; a lock takes some blocks. `dev` is resolved first
and constrains the others, so that a package has one version everywhere.
"""

import argparse
import hashlib
import re
import tempfile
import time
from pathlib import Path

from ci.console import duration, say
from ci.environment import LOCKS as FOLDER
from ci.environment import ROOT
from ci.locks.installing import install_uv, run_uv

TRAINING = ("gateway", "server", "control", "deploy", "model")
BLOCKS = {
    "dev": (*TRAINING, "tensorflow", "dev", "notebook"),
    "ci": (*TRAINING, "tensorflow"),
    "gpu": (*TRAINING, "gpu"),
    "deploy": ("gateway", "control", "deploy"),
    "gateway": ("gateway",),
    "server": ("gateway", "server"),
    "serving-base": ("serving_base",),
    "mlflow": ("mlflow",),
    "uv": ("uv",),
}
ONE_TENSORFLOW = ("dev", "ci")  # the locks that name tensorflow-cpu
# The lock that constrains the others, and those that never share an environment with them: another
# TensorFlow, MLflow's server (which wants an older pyarrow), uv.
OWN_VERSIONS = ("dev", "serving-base", "mlflow", "uv")
PYTHON = "3.11"  # the oldest; a universal lock holds for the newer ones too


def choices(text: str) -> dict[str, list[str]]:
    """Return the requirements of each block, without comments and blanks."""
    blocks: dict[str, list[str]] = {}
    for line in text.splitlines():
        opened = re.match(r"# \[(\w+)\]", line)
        if opened:
            blocks[opened[1]] = []
        requirement = line.partition("#")[0].strip()
        if requirement:
            blocks[list(blocks)[-1]].append(" ".join(requirement.split()))
    return blocks


def requirements_of(role: str, root: Path = ROOT) -> str:
    """Return what a person chose for a role: the requirements of its blocks, one a line."""
    blocks = choices((root / "requirements.txt").read_text())
    return "".join(f"{line}\n" for block in BLOCKS[role] for line in blocks[block])


def overrides_of(role: str, root: Path = ROOT) -> str:
    """Return what replaces the wishes of packages in a role's lock, one a line."""
    blocks = choices((root / "requirements" / "overrides.txt").read_text())
    taken = ["unneeded", *(["one_tensorflow"] if role in ONE_TENSORFLOW else [])]
    return "".join(f"{line}\n" for block in taken for line in blocks[block])


def inputs_digest(role: str, root: Path = ROOT) -> str:
    """Return the digest of all that a lock is made from; comments do not count."""
    text = requirements_of(role, root) + overrides_of(role, root)
    return hashlib.sha256(text.encode()).hexdigest()


def recorded_digest(lock: Path) -> str:
    """Return the digest of the inputs that a lock was made from, from its first line."""
    first, _, _ = lock.read_text().partition("\n")
    return first.removeprefix("# inputs sha256:")


def stale(root: Path = ROOT) -> list[str]:
    """Return the roles whose lock was made from other requirements than the present ones."""
    folder = root / "requirements"
    return [
        role
        for role in BLOCKS
        if not (folder / f"{role}.lock").is_file()
        or recorded_digest(folder / f"{role}.lock") != inputs_digest(role, root)
    ]


def run(arguments: list[str]) -> int:
    """Resolve every role again and write its lock."""
    parser = argparse.ArgumentParser(prog="bin/ci lock", description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    upgrade = parser.parse_args(arguments).upgrade
    uv = install_uv()
    for role in BLOCKS:
        start = time.monotonic()
        _resolve(uv, role, upgrade=upgrade)
        count = len(re.findall(r"^[a-z0-9].*==", (FOLDER / f"{role}.lock").read_text(), re.M))
        say(f"{role:<8} {count:>4} packages   {duration(time.monotonic() - start)}")
    return 0


def _resolve(uv: Path, role: str, *, upgrade: bool) -> None:
    """Run uv; versions that the present lock holds are kept unless `upgrade`."""
    lock = FOLDER / f"{role}.lock"
    options = ["--quiet", "--universal", f"--python-version={PYTHON}", "--generate-hashes"]
    options += ["--fork-strategy=fewest", "--only-binary=:all:", "--no-annotate", "--no-header"]
    options += ["--upgrade"] if upgrade else []
    options += [f"--constraints={FOLDER / 'dev.lock'}"] if role not in OWN_VERSIONS else []
    with tempfile.TemporaryDirectory() as scratch:
        chosen, overrides = Path(scratch) / "chosen.in", Path(scratch) / "overrides.txt"
        chosen.write_text(requirements_of(role))
        overrides.write_text(overrides_of(role))
        files = [f"--overrides={overrides}", f"--output-file={lock}", str(chosen)]
        run_uv(uv, ["pip", "compile", *options, *files], f"resolve the lock {role}")
    head = f"# inputs sha256:{inputs_digest(role)}\n# Made by `bin/ci lock`; do not edit.\n"
    lock.write_text(head + lock.read_text())
