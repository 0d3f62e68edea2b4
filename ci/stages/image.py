"""Stage `image`: the release by digests, and its images where an environment needs them."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.config import PROJECT, TASK, Config
from ci.errors import HeldError, InconclusiveError, RefusedError, UnavailableError
from ci.workspace import Workspace, digest_of

if TYPE_CHECKING:
    from ci.images import Source

DECIDED_OTHERWISE = {"HOLD": HeldError, "INCONCLUSIVE": InconclusiveError}
# The gateway is these files and the packages of its lock.
GATEWAY_CODE = ("serving/**/*.py", "model/__init__.py", "model/schema.py", "model/history.py")
GATEWAY_LOCK = "requirements/gateway.lock"


def run(config: Config, workspace: Workspace) -> str:
    """Write `release.json`; build the images when an environment needs them.

    Raises:
        HeldError: The gate holds the bundle.
        InconclusiveError: The gate could not decide.
        RefusedError: The bundle was altered, or the gate judged another one.
        UnavailableError: The chosen environment needs images and no engine answers or builds.
    """
    exported = workspace.read_json("bundle.json", "export")
    bundle = workspace.require(exported["path"], "export")
    decision = check_decision(workspace.read_json("gate.json", "gate"), exported)
    if (seen := digest_of(bundle)) != exported["digest"]:
        raise RefusedError(
            f"{bundle} was altered after it was made: its digest is {seen}, not "
            f"{exported['digest']}. Run `bin/ci export --force`."
        )
    card = json.loads((bundle / "card.json").read_text("utf-8"))
    release = describe(config, exported, card, decision)
    images, said = _images(config, workspace, release, card)
    workspace.write_json("../release.json", {**release, "images": images})
    return f"release {release['release']} ({decision}), gateway {gateway_version()[:19]}…; {said}"


def check_decision(gate: dict[str, Any], exported: dict[str, Any]) -> str:
    """The gate's word on this very bundle: PROMOTE, or an error.

    Args:
        gate: `gate.json`.
        exported: `bundle.json`.

    Raises:
        HeldError: HOLD.
        InconclusiveError: INCONCLUSIVE.
        RefusedError: Another bundle was judged, or the word is unknown.
    """
    decision = str(gate["decision"])
    if decision in DECIDED_OTHERWISE:
        raise DECIDED_OTHERWISE[decision](f"No release is made: {gate['reason']}")
    judged = gate["challenger"]["digest"]
    if decision != "PROMOTE" or judged != exported["digest"]:
        raise RefusedError(
            f"The gate said {decision} of {judged}, but the bundle at hand is "
            f"{exported['digest']}. Run `bin/ci evaluate` and `bin/ci gate` again."
        )
    return decision


def describe(
    config: Config, exported: dict[str, Any], card: dict[str, Any], decision: str
) -> dict[str, Any]:
    """The release as it is deployed: every part by its digest.

    Args:
        config: All settings.
        exported: `bundle.json`.
        card: The bundle's card.
        decision: The gate's word.
    """
    version, digest = exported["model_version"], exported["digest"]
    return {
        "release": version,
        "bundles": {TASK: {"model_version": version, "digest": digest}},
        # What the gateway knows of shoppers is packed from this dataset and nothing else.
        "gateway": {"version": gateway_version(), "data_digest": card["data_digest"]},
        "decision": decision,
        "data_digest": card["data_digest"],
        "commit": card["commit"],
        "engine": config.serving.engine,
        "base_image": config.serving.base_image,
    }


def gateway_version() -> str:
    """Digest of the gateway's code and of the packages it runs with."""
    whole = hashlib.sha256()
    for name, path in sorted(_gateway_files().items()):
        whole.update(f"{name} {digest_of(path)}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def _gateway_files() -> dict[str, Path]:
    found = [path for glob in (*GATEWAY_CODE, GATEWAY_LOCK) for path in PROJECT.glob(glob)]
    return {path.relative_to(PROJECT).as_posix(): path for path in found}


def _images(
    config: Config, workspace: Workspace, release: dict[str, Any], card: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Build what is needed; returns the images and what to tell of them."""
    environments = config.settings.environments
    needing = [name for name, one in environments.items() if one.target != "process"]
    if not needing:
        return {}, "no image: every environment has target process, which needs none"
    from ci.images import find_engine  # noqa: PLC0415  most runs build nothing

    engine = find_engine()
    if engine is not None:
        return _build(engine, config, workspace, release, card)
    reason = f"no Docker engine answers, so {', '.join(needing)} cannot take this release"
    if config.environment.target != "process":
        raise UnavailableError(
            f"No image can be built: {reason}. Start Docker, or set DOCKER_HOST to one that runs."
        )
    return {}, f"no image: {reason}"


def _build(
    engine: Any,
    config: Config,
    workspace: Workspace,
    release: dict[str, Any],
    card: dict[str, Any],
) -> tuple[dict[str, Any], str]:
    from ci.images import build  # noqa: PLC0415

    version = release["release"]
    arguments = {
        "SERVING_BASE": config.serving.base_image,
        "GATEWAY_BASE": config.serving.gateway_base_image,
        "MODEL_VERSION": str(version),
        "BUNDLE_DIGEST": release["bundles"][TASK]["digest"],
        "COMMIT": release["commit"],
    }
    built = {}
    with tempfile.TemporaryDirectory() as scratch:
        contexts = {
            "model": model_context(config, workspace, release),
            "gateway": gateway_context(workspace, release, card, Path(scratch)),
        }
        for name, context in contexts.items():
            tag = f"pushcart-{config.shop.name}-{name}:{version}"
            wanted = {key: arguments[key] for key in _declared(context["Dockerfile"], arguments)}
            built[name] = {"tag": tag, "id": build(engine, tag, context, wanted)}
    return built, ", ".join(image["tag"] for image in built.values())


def _declared(dockerfile: "Source", arguments: dict[str, str]) -> list[str]:
    """The arguments that a Dockerfile declares; an engine complains of any other."""
    text = dockerfile.decode() if isinstance(dockerfile, bytes) else dockerfile.read_text("utf-8")
    return [name for name in arguments if f"ARG {name}" in text]


def model_context(
    config: Config, workspace: Workspace, release: dict[str, Any]
) -> "dict[str, Source]":
    """What the model server's image is built from.

    Args:
        config: Names the environment; its rendered configuration equals that of all others.
        workspace: Holds the bundle and the manifests.
        release: What `describe` gives.
    """
    from ci.images import files_below, tar_bytes  # noqa: PLC0415

    version = release["release"]
    rendered = workspace.require(f"../manifests/{config.options.environment}/tfs", "render")
    bundle = workspace.require(f"bundle/{version}", "export")
    return {
        "Dockerfile": PROJECT / "serving" / "Dockerfile",
        **files_below(rendered, "config"),
        "bundle.tar": tar_bytes(files_below(bundle, f"models/{TASK}/{version}")),
    }


def gateway_context(
    workspace: Workspace, release: dict[str, Any], card: dict[str, Any], scratch: Path
) -> "dict[str, Source]":
    """What the gateway's image is built from.

    Args:
        workspace: Holds the dataset.
        release: What `describe` gives.
        card: The bundle's card.
        scratch: A folder that outlives the build, for `users.db`.
    """
    from ci.images import json_bytes, tar_bytes  # noqa: PLC0415
    from ci.rollout.users import write_users  # noqa: PLC0415
    from serving.gateway_server import DESCRIPTION, USERS  # noqa: PLC0415

    write_users(workspace.require("dataset", "prepare"), scratch / USERS)
    lengths = {name: card[name] for name in ("top_k", "history_length", "frequent_length")}
    served = {"task": TASK, **release["bundles"][TASK], **lengths}
    files = _gateway_files()
    return {
        "Dockerfile": PROJECT / "serving" / "gateway.Dockerfile",
        "gateway.lock": files.pop(GATEWAY_LOCK),
        **{f"app/{name}": path for name, path in files.items()},
        "release.tar": tar_bytes(
            {f"release/{DESCRIPTION}": json_bytes(served), f"release/{USERS}": scratch / USERS}
        ),
    }
