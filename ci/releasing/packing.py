"""Builds a release's images where an environment needs them, and pushes them where it can."""

import contextlib
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.config import TASK, Config
from ci.errors import UnavailableError, UsageError
from ci.releasing.contexts import gateway_context, model_context
from ci.workspace import Workspace

if TYPE_CHECKING:
    import docker

    from ci.images import Source

# Their machines pull from a registry; `compose` runs what its own engine built.
PULLS = ("hosts", "kubernetes")


@dataclass(frozen=True)
class Image:
    """One image of a release, as `release.json` has it.

    Attributes:
        name: With a registry `<registry>/<shop>-model`, else `pushcart-<shop>-model`.
        tag: The release, for people; machines use `reference`.
        digest: Of the manifest as pushed; None where it was not pushed.
        id: Of the image in the engine that built it.
        layers: Digests of its layers, from the base up.
        pushed_bytes: Bytes of the layers that the registry lacked, before compression.
        reference: What is pulled and run: `<name>@<digest>`, or the id where it was not pushed.
    """

    name: str
    tag: str
    digest: str | None
    id: str
    layers: tuple[str, ...]
    pushed_bytes: int
    reference: str


@dataclass(frozen=True)
class Packed:
    """What was built.

    Attributes:
        images: By name, `model` and `gateway`; empty where nothing was built.
        bases: Name, and digest or id, of each base image, by the image made of it.
        packages: Role of the lock → version by name, of what the images hold.
        said: What to tell of it.
        example_user: A shopper whom every check may ask for.
    """

    images: dict[str, Image]
    bases: dict[str, tuple[str, str]]
    packages: dict[str, dict[str, str]]
    said: str
    example_user: str = ""

    def as_json(self) -> dict[str, Any]:
        """The part `images` of `release.json`."""
        return {name: asdict(image) for name, image in self.images.items()}


def needing_images(config: Config) -> list[str]:
    """The environments that run containers.

    Raises:
        UsageError: One pulls from a registry, and none is named.
    """
    environments = config.settings.environments
    pulling = [name for name, one in environments.items() if one.target in PULLS]
    if pulling and not config.images.registry:
        raise UsageError(
            f"The environment {pulling[0]} has target {environments[pulling[0]].target!r}, whose "
            'machines pull images, but [images] registry is "". Set it to where images are '
            'pushed, e.g. "registry.example.com/shop".'
        )
    return [name for name, one in environments.items() if one.target != "process"]


def pack(
    config: Config, workspace: Workspace, release: dict[str, Any], card: dict[str, Any]
) -> Packed:
    """Build and push what is needed.

    Args:
        config: All settings.
        workspace: Holds the bundle, the manifests and the dataset.
        release: `release.json` as far as it is known before the images.
        card: The bundle's card.

    Raises:
        UsageError: An environment pulls from a registry, and none is named.
        UnavailableError: The chosen environment needs images and no engine answers; an engine or
            a registry that is there fails.
    """
    needing = needing_images(config)
    if not needing:
        said = "no image: every environment has target process, which needs none"
        return Packed({}, {}, {}, said)
    from ci.images import find_engine  # noqa: PLC0415  most runs build nothing

    engine = find_engine()
    if engine is not None:
        with contextlib.closing(engine):
            return _build(engine, config, workspace, release, card)
    reason = f"no Docker engine answers, so {', '.join(needing)} cannot take this release"
    if config.environment.target != "process":
        raise UnavailableError(
            f"No image can be built: {reason}. Start Docker, or set DOCKER_HOST to one that runs."
        )
    return Packed({}, {}, {}, f"no image: {reason}")


def _build(
    engine: "docker.DockerClient",
    config: Config,
    workspace: Workspace,
    release: dict[str, Any],
    card: dict[str, Any],
) -> Packed:
    from ci.releasing.bases import EMBEDDED, base_of  # noqa: PLC0415
    from ci.releasing.packages import installed, packages_tar  # noqa: PLC0415
    from serving.gateway.shoppers import example_user  # noqa: PLC0415
    from serving.gateway_server import USERS  # noqa: PLC0415

    offline, serving = config.options.offline, config.serving
    architecture = engine.version()["Arch"]
    layers = {"gateway": packages_tar("gateway", architecture, offline)}
    if serving.base_image == EMBEDDED:
        layers["server"] = packages_tar("server", architecture, offline)
    bases = {
        "model": base_of(engine, serving.base_image, offline),
        "gateway": base_of(engine, serving.gateway_base_image, offline),
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        contexts = {
            "model": model_context(config, workspace, release),
            "gateway": gateway_context(workspace, release, card, layers["gateway"], folder),
        }
        arguments = _arguments(release, bases)
        images = {
            name: _image(engine, config, f"{config.shop.name}-{name}", context, arguments)
            for name, context in contexts.items()
        }
        example = example_user(folder / USERS)
    packages = {role: installed(layer) for role, layer in layers.items()}
    return Packed(images, _identities(engine, bases), packages, _told(config, images), example)


def _arguments(release: dict[str, Any], bases: dict[str, str]) -> dict[str, str]:
    return {
        "SERVING_BASE": bases["model"],
        "GATEWAY_BASE": bases["gateway"],
        "MODEL_VERSION": str(release["release"]),
        "BUNDLE_DIGEST": release["bundles"][TASK]["digest"],
        "DATA_DIGEST": release["data_digest"],
        "DECISION": release["decision"],
        "COMMIT": release["commit"],
    }


def _image(
    engine: "docker.DockerClient",
    config: Config,
    part: str,
    context: "dict[str, Source]",
    arguments: dict[str, str],
) -> Image:
    """Build one image, and push it where there is a registry to push to."""
    from ci.images import build  # noqa: PLC0415
    from ci.releasing.pushing import push, read_login  # noqa: PLC0415

    registry, version = config.images.registry, arguments["MODEL_VERSION"]
    name = f"{registry}/{part}" if registry else f"pushcart-{part}"
    wanted = {key: arguments[key] for key in _declared(context["Dockerfile"], arguments)}
    identity = build(engine, f"{name}:{version}", context, wanted)
    layers = tuple(engine.images.get(identity).attrs["RootFS"]["Layers"])
    if not pushes(config):
        return Image(name, version, None, identity, layers, 0, identity)
    done = push(engine, name, version, read_login(config))
    reference = f"{name}@{done.digest}"
    return Image(name, version, done.digest, identity, layers, done.sent, reference)


def pushes(config: Config) -> bool:
    """Whether images are pushed: for a machine that pulls them, and wherever there is a login.

    A laptop whose configuration names the company's registry builds without asking it.

    Raises:
        UsageError: Half of a login is given.
    """
    from ci.releasing.pushing import read_login  # noqa: PLC0415

    if not config.images.registry:
        return False
    return read_login(config) is not None or config.environment.target in PULLS


def _declared(dockerfile: "Source", arguments: dict[str, str]) -> list[str]:
    """The arguments that a Dockerfile declares; an engine complains of any other."""
    text = dockerfile.decode() if isinstance(dockerfile, bytes) else dockerfile.read_text("utf-8")
    return [name for name in arguments if f"ARG {name}" in text]


def _identities(engine: "docker.DockerClient", bases: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Each base by its name and by the digest that it was pulled by, or its id where it was not."""
    found = {}
    for part, name in bases.items():
        base = engine.images.get(name)
        pulled = [one.rpartition("@")[2] for one in base.attrs.get("RepoDigests") or []]
        found[part] = (name, pulled[0] if pulled else base.id)
    return found


def _told(config: Config, images: dict[str, Image]) -> str:
    names = ", ".join(f"{image.name}:{image.tag}" for image in images.values())
    if any(image.digest for image in images.values()):
        return f"{names}, pushed {sum(one.pushed_bytes for one in images.values()) / 1e6:,.1f} MB"
    if config.images.registry:
        return f"{names}, not pushed: {config.images.username_env} is not set"
    return names
