"""Salted pseudonyms of shoppers: stable within a shop, meaningless outside it."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from ci.errors import BadDataError


def read_salt(path: Path) -> bytes:
    """The shop's secret salt, made on first use and readable by its owner only.

    Raises:
        BadDataError: The file exists but holds no salt.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # O_EXCL: of two processes that start together only one writes the salt.
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        salt = path.read_text("ascii").strip()
    else:
        salt = secrets.token_hex(32)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(salt + "\n")
    if len(salt) != 64:
        raise BadDataError(
            f"{path} holds {len(salt)} characters, not the 64 of a salt. Remove it to begin with "
            "new pseudonyms."
        )
    return bytes.fromhex(salt)


def pseudonyms(user_ids: Iterable[str], salt: bytes) -> list[str]:
    """HMAC-SHA256 of each id under the salt, as 32 hexadecimal digits (128 bits)."""
    return [hmac.new(salt, name.encode(), hashlib.sha256).hexdigest()[:32] for name in user_ids]
