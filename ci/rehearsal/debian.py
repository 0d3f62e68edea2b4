"""A minimal Debian as a base image, made on this machine where no public registry is in reach.

mmdebstrap makes it with apt's own resolver. The tar is made once a machine and kept in the cache;
an engine that lacks the image imports it from there in seconds.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from ci.config import machine_cache
from ci.console import say
from ci.errors import UnavailableError
from ci.workspace import make_once

SUITE = "bookworm"
REPOSITORY = "pushcart-debian"
# Essential packages alone: 100 MB, without apt. Whoever wants to install more names apt.
RECIPE = (
    "--variant=essential",
    # Already merged, or the package that merges brings 47 MB of Perl.
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "info", "locale", "doc")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    # mmdebstrap copies this machine's; an engine writes its own at each start.
    '--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"',
)
NEEDED = ("usr-is-merged",)


def debian_base(engine: docker.DockerClient, packages: Sequence[str]) -> str:
    """The tag of a minimal Debian with some packages; made and imported where it is missing.

    Args:
        engine: Who shall have the image.
        packages: Debian packages besides the essential ones; `apt` must be named to have it.

    Raises:
        UnavailableError: mmdebstrap is not installed or failed.
    """
    command = _command(packages)
    key = hashlib.sha256("\n".join(command).encode()).hexdigest()[:16]
    tag = f"{REPOSITORY}:{key}"
    try:
        engine.images.get(tag)
    except ImageNotFound:
        place = machine_cache() / f"debian-{key}.tar"
        archive = make_once(place, lambda part: _make(command, part))
        # Without a command `docker create` refuses an image.
        engine.api.import_image(
            src=str(archive), repository=REPOSITORY, tag=key, changes=['CMD ["/bin/bash"]']
        )
        engine.images.get(tag)  # an import that failed is told as an event, not as an error
    return tag


def _command(packages: Sequence[str]) -> list[str]:
    include = ",".join(sorted({*NEEDED, *packages}))
    # The epoch keeps the day of making out of the image: equal packages, equal bytes.
    return ["env", "SOURCE_DATE_EPOCH=0", "mmdebstrap", *RECIPE, f"--include={include}", SUITE]


def _make(command: Sequence[str], place: Path) -> None:
    if shutil.which("mmdebstrap") is None:
        raise UnavailableError(
            "The Debian base image is made by mmdebstrap, which is not installed.\n"
            "Install it: bin/ci services debian"
        )
    say(f"Making a minimal Debian ({SUITE}), once on this machine; about a minute: {place.parent}")
    with place.open("wb") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        place.unlink()
        raise UnavailableError(
            f"mmdebstrap could not make the Debian base image (exit {done.returncode}):\n"
            f"{done.stderr.decode(errors='replace')[-1500:].strip()}\n"
            "Check the network and the names of the packages, then run the same command again."
        )
