"""Command `manifests`: a release's manifests with its digests, as `kubectl apply` takes them."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ci.config import TASK, Config
from ci.errors import RefusedError, UsageError
from ci.kubernetes import kustomize
from ci.kubernetes.kustomize import Object
from ci.kubernetes.objects import Cluster
from ci.kubernetes.rendering import overlay_of
from ci.kubernetes.validation import faults
from ci.workspace import Workspace

NAMES = {"pushcart-model": "model", "pushcart-gateway": "gateway"}


def show(config: Config) -> None:
    """Print the objects of the chosen environment for the release at hand.

    Raises:
        UsageError: The environment has another target, or a stage before has not run.
        RefusedError: The manifests are of another release, its images were not pushed, or a rule
            does not hold.
    """
    environment = config.options.environment
    if config.environment.target != "kubernetes":
        raise UsageError(
            f"[environments.{environment}] target = {config.environment.target!r}: only those with "
            "target 'kubernetes' have manifests to apply."
        )
    workspace = Workspace(config.build, config.build / TASK)
    folder = workspace.require(f"../manifests/{environment}", "render")
    release = workspace.read_json("../release.json", "image")
    sys.stdout.write(kustomize.as_text(released(read(folder), environment, release)))


def read(folder: Path) -> dict[str, str]:
    """The rendered YAML files of an environment by their path."""
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in folder.rglob("*.yaml")
    }


def released(
    files: Mapping[str, str], environment: str, release: Mapping[str, Any]
) -> list[Object]:
    """The objects of an environment with the digests of a release.

    Args:
        files: What `render` wrote for the environment.
        environment: Its name.
        release: `release.json`.

    Raises:
        RefusedError: They do not belong together, or a rule does not hold.
    """
    overlay = overlay_of(environment)
    names = kustomize.image_names(files, overlay)
    images = {name: release["images"].get(part, {}) for name, part in NAMES.items()}
    for name, image in images.items():
        if not image.get("digest") or image.get("name") != names[name]:
            raise RefusedError(
                f"release.json has no pushed image {names[name]}, the manifests ask for it. Run "
                f"`bin/ci render` and `bin/ci image --environment {environment}` where a Docker "
                "engine and the registry of [images] answer."
            )
    objects = kustomize.build(files, overlay, {name: images[name]["digest"] for name in names})
    if Cluster(objects).find("Deployment", f"model-{release['release']}") is None:
        raise RefusedError(
            f"The manifests are not of release {release['release']}. Run `bin/ci render`."
        )
    if wrong := faults(objects):
        lines = [f"{one.subject} {one.why} ({one.rule})" for one in wrong]
        raise RefusedError("\n  ".join(["The manifests were altered:", *lines]))
    return objects
