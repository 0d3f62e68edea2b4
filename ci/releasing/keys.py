"""Command `keys`: make a key pair that signs releases; the private part is the caller's alone."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ci.config import PROJECT, Config
from ci.console import say
from ci.errors import UsageError
from ci.releasing.signing import keyid_of, keys_folder
from ci.workspace import write_atomically
from serving.host.statement import OVERRIDE_KEYS, RELEASE_KEYS


def run(config: Config, action: str, private: Path, override: bool = False) -> None:
    """Write a new private key to `private` and its public part beside the others.

    Args:
        config: Names the folder of the public keys.
        action: `new`.
        private: A file that does not exist yet, and that git does not see.
        override: Make a key that signs overrides.

    Raises:
        UsageError: The file exists, would be committed, or cannot be written.
    """
    del action  # there is one
    place = private.expanduser().absolute()
    keyid, public = new_pair(config, place, override=override)
    kind = OVERRIDE_KEYS if override else RELEASE_KEYS
    variable = config.signing.override_key_env if override else config.signing.key_env
    say(f"key       {keyid[:16]}…, for {kind} statements")
    say(f"private   {place}: `export {variable}={place}`, or a secret file of the build server")
    say(f"public    {public}: commit it, then run `bin/ci hosts prepare`")


def new_pair(config: Config, place: Path, *, override: bool = False) -> tuple[str, Path]:
    """Write a new private key and its public part; returns the key's id and the public file.

    Raises:
        UsageError: The private file exists, would be committed, or cannot be written.
    """
    refuse_committed(place)
    key = Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    _write_secret(place, key.private_bytes(serialization.Encoding.PEM, *form))
    keyid = keyid_of(key.public_key())
    kind = OVERRIDE_KEYS if override else RELEASE_KEYS
    day = datetime.now(UTC).date().isoformat()
    public = keys_folder(config) / kind / f"{day}-{keyid[:16]}.pub"
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_atomically(public, pem.decode())
    return keyid, public


def refuse_committed(place: Path) -> None:
    """A private key never lies where `git add` finds it.

    Raises:
        UsageError: The place is in this repository and not ignored.
    """
    if not place.resolve().is_relative_to(PROJECT):
        return
    command = ["git", "check-ignore", "--quiet", str(place.resolve())]
    if subprocess.run(command, cwd=PROJECT, capture_output=True, check=False).returncode != 0:
        raise UsageError(
            f"{place} is in the repository, where the next commit would publish the key. Name a "
            "file outside it, or one that .gitignore covers."
        )


def _write_secret(place: Path, content: bytes) -> None:
    """Write a new file that only its owner can read, from the first moment on."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(
            f"{place} exists already, and a private key is never written over. Name another file."
        ) from None
    except OSError as error:
        raise UsageError(f"{place} cannot be written: {error}. Name another file.") from None
    with os.fdopen(handle, "wb") as file:
        file.write(content)
