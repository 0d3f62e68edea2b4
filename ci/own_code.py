"""Finds a team's own models and metrics on disk, to tell when they change, without running them."""

import hashlib
import importlib
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path


def own_digests(names: Iterable[str]) -> dict[str, str]:
    """The digest of the source behind each `package.module:attribute`, by `module <package>`.

    A module in a package stands for the whole package: it may use its neighbours.

    Args:
        names: Such names, or names of the ladder's rungs, which are left out.
    """
    importlib.invalidate_caches()  # a module may have been written a moment ago
    packages = sorted({name.partition(":")[0].split(".")[0] for name in names if ":" in name})
    return {f"module {package}": _digest(_sources(package)) for package in packages}


def _sources(package: str) -> list[Path]:
    """The files of a top-level module or package; none where it is not found."""
    spec = PathFinder.find_spec(package)
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if folders:
        return [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return [Path(spec.origin)] if spec.origin else []


def _digest(files: list[Path]) -> str:
    """One digest of names and contents; "" of nothing."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest() if files else ""
