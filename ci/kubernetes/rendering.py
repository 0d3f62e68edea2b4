"""What the Kubernetes manifests of an environment are made of."""

import re
from typing import Any

from ci.config import TASK, Config
from ci.errors import UsageError

BASE = ("kustomization", "service-account", "network", "model", "gateway", "scaling")
OVERLAY = ("kustomization", "namespace", "scaling")
# What Kubernetes takes as a name: no underscore, no dash at the end, 63 characters.
NAMESPACE = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def files(environment: str) -> dict[str, str]:
    """Path in the environment's folder → template of every file, kustomize's layout.

    Args:
        environment: Name of the environment.
    """
    base = {f"base/{name}.yaml": f"kubernetes/base/{name}.yaml" for name in BASE}
    overlay = {
        f"{overlay_of(environment)}/{name}.yaml": f"kubernetes/overlay/{name}.yaml"
        for name in OVERLAY
    }
    return base | overlay


def overlay_of(environment: str) -> str:
    """The folder that is applied."""
    return f"overlays/{environment}"


def values(config: Config, environment: str, model_version: int) -> dict[str, Any]:
    """What these templates name.

    Args:
        config: All settings.
        environment: Name of an environment with target kubernetes.
        model_version: Number of the bundle.

    Raises:
        UsageError: Shop and environment make no name for a namespace.
    """
    namespace = f"{config.shop.name}-{environment}"
    if not NAMESPACE.fullmatch(namespace):
        raise UsageError(
            f"[environments.{environment}] has target kubernetes, where {namespace!r} would be its "
            "namespace: that must be letters, digits and dashes, end without a dash, and be 63 "
            "characters at most. Rename [shop] name or the environment."
        )
    settings = config.settings.environments[environment]
    registry = config.images.registry
    return {
        "environment": environment,
        "namespace": namespace,
        "task": TASK,
        "model_version": model_version,
        "images": {
            part: f"{registry}/{config.shop.name}-{part}".removeprefix("/")
            for part in ("model", "gateway")
        },
        "replicas": settings.replicas,
        "max_replicas": settings.max_replicas,
        "max_memory_megabytes": config.gate.max_memory_megabytes,
        "start_timeout_seconds": config.serving.start_timeout_seconds,
        "drain_seconds": config.serving.drain_seconds,
        "batch_threads": config.serving.batch_threads,
    }
