"""Which versions of a model lie on disk and which of them its policy wants."""

from collections.abc import Mapping
from pathlib import Path

from serving.embedded.config_files import ModelSettings, VersionPolicy


def versions_on_disk(base_path: Path) -> dict[int, Path]:
    """Returns the folders with a number for a name; a missing base path has none."""
    try:
        children = [child for child in base_path.iterdir() if child.is_dir()]
    except OSError:
        return {}
    return {
        int(child.name): child
        for child in sorted(children)
        if child.name.isascii() and child.name.isdigit()
    }


def wanted(policy: VersionPolicy, versions: Mapping[int, Path]) -> dict[int, Path]:
    """Returns those versions that a policy serves."""
    if policy.latest is not None:
        chosen = sorted(versions, reverse=True)[: policy.latest]
    elif policy.specific is not None:
        chosen = [number for number in versions if number in policy.specific]
    else:
        chosen = list(versions)
    return {number: versions[number] for number in chosen}


def aspired(settings: ModelSettings) -> dict[int, Path]:
    """Returns the versions to serve now.

    Empty also when the base path is away for a moment: the caller keeps what it has loaded.
    """
    return wanted(settings.policy, versions_on_disk(settings.base_path))
