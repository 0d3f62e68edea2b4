"""Base images that are made on this machine, for shops without a public registry in reach."""

import hashlib
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from ci.config import PROJECT
from ci.images import Source, build, normalised_tar, tar_bytes
from ci.rehearsal.debian import debian_base
from ci.releasing.contexts import project_files
from ci.releasing.packages import packages_tar

REPOSITORY = "pushcart-embedded"
# Names in `[serving]` that stand for an image made here.
EMBEDDED = "embedded"
DEBIAN = "debian"
# NumPy, gRPC and LiteRT are C++; the gateway takes the same, so that a host has it once.
PROXY_PACKAGES = ("haproxy",)
DEBIAN_PACKAGES = ("python3", "libstdc++6")
SERVER_CODE = (
    "serving/__init__.py",
    "serving/edge_server.py",
    "serving/server.py",
    "serving/stop_signals.py",
    "serving/embedded/**/*.py",
    "serving/embedded/protos/*",
    "model/__init__.py",
    "model/schema.py",
)
PROGRAM = "usr/bin/tensorflow_model_server"
LAUNCHER = b'#!/bin/sh\nexec python3 -m serving.edge_server "$@"\n'


def base_of(engine: docker.DockerClient, name: str, offline: Path | None = None) -> str:
    """The image that `base_image` or `gateway_base_image` names; made here where the name says so.

    Raises:
        UnavailableError: It cannot be made.
    """
    if name == EMBEDDED:
        return embedded_base(engine, offline)
    return gateway_base(engine) if name == DEBIAN else name


def gateway_base(engine: docker.DockerClient) -> str:
    """A minimal Debian with the Python that the gateway runs in.

    Raises:
        UnavailableError: mmdebstrap is not installed or failed.
    """
    return debian_base(engine, DEBIAN_PACKAGES)


def proxy_image(engine: docker.DockerClient, name: str) -> str:
    """The image that `proxy_image` names; "debian" is Debian's HAProxy on that minimal Debian.

    Raises:
        UnavailableError: It cannot be made.
    """
    return debian_base(engine, PROXY_PACKAGES) if name == DEBIAN else name


def embedded_base(engine: docker.DockerClient, offline: Path | None = None) -> str:
    """The tag of the embedded server's image; equal content is built once an engine.

    Args:
        engine: Who shall have the image.
        offline: Folder of `bin/ci vendor`; then the packages come from there.

    Raises:
        UnavailableError: A package, the Debian base or the engine is missing.
    """
    debian = debian_base(engine, DEBIAN_PACKAGES)
    context = embedded_context(packages_tar("server", engine.version()["Arch"], offline))
    with normalised_tar(context) as file:
        whole = hashlib.sha256(debian.encode())
        while part := file.read(1 << 20):
            whole.update(part)
    key = whole.hexdigest()[:16]
    tag = f"{REPOSITORY}:{key}"
    try:
        engine.images.get(tag)
    except ImageNotFound:
        build(engine, tag, context, {"DEBIAN_BASE": debian})
    return tag


def embedded_context(packages: Path) -> dict[str, Source]:
    """What the embedded server's image is built from.

    Args:
        packages: The layer of requirements/server.lock.
    """
    code = {f"app/{name}": path for name, path in project_files(SERVER_CODE).items()}
    return {
        "Dockerfile": PROJECT / "serving" / "embedded.Dockerfile",
        "packages.tar": packages,
        "app.tar": tar_bytes({**code, PROGRAM: LAUNCHER}, programs=(PROGRAM,)),
    }
