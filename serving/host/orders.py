"""Takes an order for a release in: verified, its images pulled, placed; nothing is started."""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serving.host import containers
from serving.host.record import Record
from serving.host.releases import RELEASES_KEPT, Placed, folder_of
from serving.host.statement import Expected, StatementError, verify

STATEMENT: Final = "statement.json"
ALTERED: Final = re.compile(r"verification failed|unexpected digest|digest .* (mismatch|not match)")
# `0a1b2c3d4e5f: Pull complete`: a layer that was not here yet.
PULLED: Final = re.compile(r"^([0-9a-f]{12}): Pull complete$", re.MULTILINE)


@dataclass(frozen=True)
class Login:
    """Who may pull from the registry of images; lives as long as one pull."""

    registry: str
    username: str
    password: str


@dataclass(frozen=True)
class ReleaseOrder:
    """What a deploy brings to a host.

    Attributes:
        placed: The release.
        card: The bundle's card: golden requests and answers.
        statement: The signed statement; None where nobody signed.
        login: For the pull; None where the registry asks for none.
    """

    placed: Placed
    card: dict[str, Any]
    statement: dict[str, Any] | None
    login: Login | None


def parse(text: str) -> ReleaseOrder:
    """Read an order from its JSON text.

    Raises:
        ValueError: It is none.
    """
    try:
        value = json.loads(text)
        login = value.get("login")
        return ReleaseOrder(
            placed=Placed(**value["placed"]),
            card=value["card"],
            statement=value["statement"],
            login=Login(**login) if login else None,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the order is not of a release ({error!r})") from error


def accept(
    order: ReleaseOrder, home: Path, known: Record, keys: Path, *, builds_here: bool = False
) -> list[str]:
    """Verify an order, pull what is missing, and place the release.

    Args:
        order: What a deploy brought.
        home: Folder of the environment.
        known: Its record; notes the statement's sequence, and is to be saved.
        keys: Folder of the trusted public keys.
        builds_here: Whether this machine makes releases for itself.

    Returns:
        The layers that were pulled, by the first twelve digits of their digests.

    Raises:
        StatementError: The release may not be started here.
        DockerError: The registry or the engine does not give the images.
    """
    sequence = 0
    if not (builds_here and _was_built_here(order, known)):
        sequence = verify(order.statement, keys, _expected(order.placed, known)).sequence
    pulled = pull(order.placed.images.values(), order.login)
    _place(order, home)
    known.highest_sequence = max(known.highest_sequence, sequence)
    return pulled


def _was_built_here(order: ReleaseOrder, known: Record) -> bool:
    """Whether a release needs no signature where it was made: nothing of it was ever elsewhere.

    A statement that is there must hold, and after a first signed release all must be signed.
    """
    local = not any("@" in image for image in order.placed.images.values())
    return local and order.statement is None and known.highest_sequence == 0


def _expected(placed: Placed, known: Record) -> Expected:
    images = {f"image/{part}": name.rpartition("@")[2] for part, name in placed.images.items()}
    live = known.live_colour
    return Expected(
        shop=known.shop,
        environment=known.environment,
        subjects={f"bundle/{placed.task}": placed.digest, **images},
        live_digest=live.digest if live else None,
        highest_sequence=known.highest_sequence,
    )


def pull(images: Any, login: Login | None) -> list[str]:
    """Pull the images that are not here; the login is kept for the time of the pull alone."""
    missing = [image for image in images if not is_here(image)]
    if not missing:
        return []
    with tempfile.TemporaryDirectory(prefix="pushcart-login-", dir=_memory()) as folder:
        environment = {**os.environ, "DOCKER_CONFIG": folder}
        if login:
            words = ["login", f"--username={login.username}", "--password-stdin", login.registry]
            containers.docker(*words, stdin=login.password, environment=environment)
        said = [_pull_one(image, environment) for image in missing]
    return [layer for text in said for layer in PULLED.findall(text)]


def _pull_one(image: str, environment: Mapping[str, str]) -> str:
    if "@" not in image:
        raise containers.DockerError(
            f"the image {image} is not on this machine, and was pushed nowhere; run `bin/ci image`"
        )
    try:
        return containers.docker("pull", image, environment=environment)
    except containers.DockerError as error:
        if ALTERED.search(str(error)):
            raise StatementError(
                f"What the registry gives for {image} is not what was signed: {error}. Push the "
                "image again with `bin/ci image`, and find out who changed it."
            ) from error
        raise


def _memory() -> str | None:
    """A folder in memory, where there is one: a password should not reach a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  mkdtemp's own name in it


def is_here(image: str) -> bool:
    """Whether the engine has an image, named `name@sha256:…` or, where it was built here, by id."""
    if "@" in image:
        return bool(containers.docker("image", "ls", "--quiet", "--no-trunc", image).strip())
    return image in containers.docker("image", "ls", "--all", "--quiet", "--no-trunc").split()


def _place(order: ReleaseOrder, home: Path) -> None:
    """Write what a rollout reads, whole or not at all."""
    target = folder_of(home, order.placed.key)
    if target.exists():
        order.placed.write(target)  # the settings of this deploy hold, the content is the same
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".placing-", dir=target.parent))
    try:
        bundle = scratch / order.placed.task / str(order.placed.model_version)
        bundle.mkdir(parents=True)
        (bundle / "card.json").write_text(json.dumps(order.card), encoding="utf-8")
        (scratch / STATEMENT).write_text(json.dumps(order.statement), encoding="utf-8")
        order.placed.write(scratch)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def prune(home: Path, known: Record) -> list[int]:
    """Remove releases and images that no rollout will want: all but the newest verified ones.

    Returns:
        The model versions that were removed.
    """
    wanted = known.wanted(RELEASES_KEPT)
    lines = [line for line in known.history if line.key in wanted]
    kept = {image for line in lines for image in line.images.values()}
    removed = set()
    for line in known.history:
        folder = folder_of(home, line.key)
        if line.key in wanted or not folder.exists():
            continue
        for image in set(line.images.values()) - kept:
            with contextlib.suppress(containers.DockerError):  # another name or container needs it
                containers.docker("image", "rm", image)
        shutil.rmtree(folder)
        removed.add(line.model_version)
    return sorted(removed)


def as_json(
    placed: Mapping[str, Any],
    card: Mapping[str, Any],
    statement: Mapping[str, Any] | None,
    login: Mapping[str, str] | None,
) -> str:
    """The text of an order, as `parse` reads it."""
    return json.dumps({"placed": placed, "card": card, "statement": statement, "login": login})
