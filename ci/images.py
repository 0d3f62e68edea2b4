"""Builds container images with a Docker engine, from contexts of equal bytes for equal content."""

import io
import json
import socket
import tarfile
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import docker
from docker.errors import APIError, DockerException

from ci.errors import UnavailableError

Source = Path | bytes
UNIX = "unix://"
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"


def find_engine() -> docker.DockerClient | None:
    """The Docker engine that DOCKER_HOST or the default socket names, or None when none answers."""
    address = docker.utils.kwargs_from_env().get("base_url") or DEFAULT_ADDRESS
    if address.startswith(UNIX) and not listens(Path(address.removeprefix(UNIX))):
        return None
    try:
        return docker.from_env()  # asks the engine for its version
    except DockerException:
        return None


def listens(place: Path) -> bool:
    """Whether somebody listens at a Unix socket: a Docker client that finds nobody stays open."""
    with socket.socket(socket.AF_UNIX) as knock:
        return knock.connect_ex(str(place)) == 0


def build(
    engine: docker.DockerClient,
    tag: str,
    context: Mapping[str, Source],
    arguments: Mapping[str, str],
) -> str:
    """Build an image; its Dockerfile lies in the context under that name.

    Args:
        engine: Who builds.
        tag: `name:version` of the image.
        context: Path in the context → file on disk or content.
        arguments: Values of the Dockerfile's ARGs.

    Returns:
        The image's id, `sha256:…`.

    Raises:
        UnavailableError: The engine cannot build it: a base image is missing, a step failed.
    """
    with normalised_tar(context) as archive:
        try:
            events = list(
                engine.api.build(
                    fileobj=archive,
                    custom_context=True,
                    tag=tag,
                    buildargs=dict(arguments),
                    rm=True,
                    forcerm=True,
                    decode=True,
                )
            )
        except APIError as error:
            raise UnavailableError(_failed(tag, str(error.explanation))) from error
    # The engine reports a failed step as an event, not as an error.
    for event in events:
        if "error" in event:
            raise UnavailableError(_failed(tag, str(event["error"])))
    identity: str = engine.images.get(tag).id
    return identity


@contextmanager
def normalised_tar(files: Mapping[str, Source]) -> Iterator[IO[bytes]]:
    """A tar that depends on paths and contents alone: sorted, owned by root, dated 1970."""
    with tempfile.TemporaryFile() as file:
        write_tar(file, files)
        file.seek(0)
        yield file


def write_tar(file: IO[bytes], files: Mapping[str, Source], programs: Container[str] = ()) -> None:
    """Write a normalised tar.

    Folders come before what they hold, so that a layer made of it has no times of its own.

    Args:
        file: Where to.
        files: Path in the tar → file on disk or content.
        programs: Paths of those that can be executed.
    """
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in _folders(files):
            archive.addfile(_entry(folder, tarfile.DIRTYPE, 0o755))
        for path in sorted(files):
            _add(archive, path, files[path], 0o755 if path in programs else 0o644)


def tar_bytes(files: Mapping[str, Source], programs: Container[str] = ()) -> bytes:
    """The bytes of a normalised tar."""
    file = io.BytesIO()
    write_tar(file, files, programs)
    return file.getvalue()


def files_below(folder: Path, prefix: str) -> dict[str, Source]:
    """All files of a folder as context entries below `prefix`."""
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}": path
        for path in folder.rglob("*")
        if path.is_file()
    }


def _add(archive: tarfile.TarFile, path: str, source: Source, mode: int) -> None:
    entry = _entry(path, tarfile.REGTYPE, mode)
    if isinstance(source, bytes):
        entry.size = len(source)
        archive.addfile(entry, io.BytesIO(source))
        return
    entry.size = source.stat().st_size
    with source.open("rb") as content:
        archive.addfile(entry, content)


def _entry(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = kind, mode
    entry.mtime = entry.uid = entry.gid = 0
    return entry


def _folders(paths: Iterable[str]) -> list[str]:
    found = {parent.as_posix() for path in paths for parent in Path(path).parents if parent.name}
    return sorted(found)


def _failed(tag: str, reason: str) -> str:
    return (
        f"The image {tag} cannot be built: {reason.strip()}\n"
        "Pull or load the base image that [serving] names, or name another one there."
    )


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Canonical JSON of a small description."""
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
