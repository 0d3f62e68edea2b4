"""What the two images of a release are built from; the same content gives the same bytes."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.config import PROJECT, TASK, Config
from ci.workspace import Workspace, digest_of

if TYPE_CHECKING:
    from ci.images import Source

# The gateway is these files and the packages of its lock.
GATEWAY_CODE = ("serving/**/*.py", "model/__init__.py", "model/schema.py", "model/history.py")
GATEWAY_LOCK = "requirements/gateway.lock"


def gateway_version() -> str:
    """Digest of the gateway's code and of the packages it runs with."""
    whole = hashlib.sha256()
    files = {**project_files(GATEWAY_CODE), GATEWAY_LOCK: PROJECT / GATEWAY_LOCK}
    for name, path in sorted(files.items()):
        whole.update(f"{name} {digest_of(path)}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def project_files(globs: tuple[str, ...]) -> dict[str, Path]:
    """Files of this project by their path in it."""
    found = [path for glob in globs for path in PROJECT.glob(glob) if path.is_file()]
    return {path.relative_to(PROJECT).as_posix(): path for path in found}


def model_context(
    config: Config, workspace: Workspace, release: dict[str, Any]
) -> "dict[str, Source]":
    """What the model server's image is built from.

    Args:
        config: Names the environment; its rendered configuration equals that of all others.
        workspace: Holds the bundle and the manifests.
        release: `release.json` as far as it is known before the images.
    """
    from ci.images import files_below, tar_bytes  # noqa: PLC0415  most runs build nothing

    version = release["release"]
    rendered = workspace.require(f"../manifests/{config.options.environment}/tfs", "render")
    bundle = workspace.require(f"bundle/{version}", "export")
    settings = files_below(rendered, "config")
    # It names the version, so it moves with the bundle and nothing else does.
    served = {"etc/tfs/models.config": settings.pop("config/models.config")}
    return {
        "Dockerfile": PROJECT / "serving" / "Dockerfile",
        **settings,
        "bundle.tar": tar_bytes({**served, **files_below(bundle, f"models/{TASK}/{version}")}),
    }


def gateway_context(
    workspace: Workspace,
    release: dict[str, Any],
    card: dict[str, Any],
    packages: Path,
    scratch: Path,
) -> "dict[str, Source]":
    """What the gateway's image is built from.

    Args:
        workspace: Holds the dataset.
        release: `release.json` as far as it is known before the images.
        card: The bundle's card.
        packages: The layer of requirements/gateway.lock.
        scratch: A folder that outlives the build; `users.db` is written there.
    """
    from ci.images import json_bytes, tar_bytes  # noqa: PLC0415
    from ci.rollout.users import write_users  # noqa: PLC0415
    from serving.gateway_server import DESCRIPTION, USERS  # noqa: PLC0415

    write_users(workspace.require("dataset", "prepare"), scratch / USERS)
    lengths = {name: card[name] for name in ("top_k", "history_length", "frequent_length")}
    served = {"task": TASK, **release["bundles"][TASK], **lengths}
    return {
        "Dockerfile": PROJECT / "serving" / "gateway.Dockerfile",
        "packages.tar": packages,
        **{f"app/{name}": path for name, path in project_files(GATEWAY_CODE).items()},
        "release.tar": tar_bytes(
            {
                f"release/{DESCRIPTION}": json_bytes(served),
                f"release/{USERS}": scratch / USERS,
            }
        ),
    }
