"""Whether a DSSE envelope is signed by a key of this host: standard library and `openssl` only."""

import base64
import binascii
import hashlib
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
PEM_BEGIN: Final = "-----BEGIN PUBLIC KEY-----"
PEM_END: Final = "-----END PUBLIC KEY-----"
# SubjectPublicKeyInfo of Ed25519 (RFC 8410): this head, then the 32 bytes of the key.
ED25519_HEAD: Final = bytes.fromhex("302a300506032b6570032100")
ED25519_LENGTH: Final = len(ED25519_HEAD) + 32


class StatementError(ValueError):
    """A release statement cannot be trusted; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class PublicKey:
    """One Ed25519 key that this host was given.

    Attributes:
        keyid: sha256, in hex, of the DER form.
        pem: Its text.
        path: The file it came from.
    """

    keyid: str
    pem: str
    path: Path


@dataclass(frozen=True)
class Opened:
    """A payload whose signatures hold.

    Attributes:
        payload: The signed bytes.
        keyids: The known keys that signed them, at least one.
    """

    payload: bytes
    keyids: tuple[str, ...]


def read_keys(folder: Path) -> dict[str, PublicKey]:
    """The keys of a folder's `*.pub` files by keyid; an absent folder holds none.

    Raises:
        StatementError: A file is no Ed25519 public key.
    """
    keys = [read_key(path) for path in sorted(folder.glob("*.pub"))]
    return {key.keyid: key for key in keys}


def read_key(path: Path) -> PublicKey:
    """Read one PEM file.

    Raises:
        StatementError: It is no Ed25519 public key.
    """
    try:
        pem = path.read_text(encoding="ascii").strip()
        body = "".join(pem.removeprefix(PEM_BEGIN).removesuffix(PEM_END).split())
        der = base64.b64decode(body, validate=True)
    except (OSError, ValueError) as error:
        raise StatementError(f"The public key {path} cannot be read: {error}.") from error
    framed = pem.startswith(PEM_BEGIN) and pem.endswith(PEM_END)
    if not framed or not der.startswith(ED25519_HEAD) or len(der) != ED25519_LENGTH:
        raise StatementError(
            f"{path} is no Ed25519 public key in PEM form. Replace it by one that "
            "`bin/ci keys new` made and run `bin/ci hosts prepare`."
        )
    return PublicKey(hashlib.sha256(der).hexdigest(), pem + "\n", path)


def open_envelope(envelope: Mapping[str, Any], keys: Mapping[str, PublicKey]) -> Opened:
    """The payload of an envelope that at least one of the keys signed.

    A signature by a key that is not known here counts for nothing; one that claims a known key
    and does not hold is refused, whoever else signed.

    Args:
        envelope: The parsed JSON of a DSSE envelope.
        keys: What `read_keys` gives.

    Raises:
        StatementError: The envelope is malformed, forged, altered, or signed by strangers only.
    """
    payload, signatures = _parts(envelope)
    message = encode(PAYLOAD_TYPE, payload)
    for keyid, signature in signatures.items():
        if keyid in keys and not holds(keys[keyid], message, signature):
            raise StatementError(
                f"The signature by key {keyid[:16]}… does not hold: the statement or its signature "
                "was altered after signing. Take the statement that `bin/ci image` wrote, "
                "unchanged."
            )
    trusted = tuple(sorted(keyid for keyid in signatures if keyid in keys))
    if not trusted:
        raise StatementError(_strangers(list(signatures), list(keys)))
    return Opened(payload, trusted)


def encode(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def holds(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether the key signed these very bytes, in the word of the `openssl` program.

    Raises:
        StatementError: `openssl` is missing or does not do its work.
    """
    with tempfile.TemporaryDirectory(prefix="pushcart-statement-") as scratch:
        folder = Path(scratch)
        (folder / "key.pub").write_text(key.pem, encoding="ascii")
        (folder / "message").write_bytes(message)
        (folder / "signature").write_bytes(signature)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-rawin"]
        command += ["-in", "message", "-sigfile", "signature"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        except OSError as error:
            raise StatementError(
                f"The program openssl cannot be started on this host ({error}), so no signature "
                "can be verified. Install it, or run `bin/ci hosts prepare`."
            ) from error
    if done.returncode == 0 and "Signature Verified Successfully" in done.stdout:
        return True
    if "Signature Verification Failure" in done.stdout:
        return False
    raise StatementError(
        "openssl cannot verify Ed25519 signatures on this host: it needs version 3.0 or newer. "
        f"It said: {(done.stderr or done.stdout).strip()}"
    )


def _parts(envelope: Mapping[str, Any]) -> tuple[bytes, dict[str, bytes]]:
    """Payload and signatures by keyid of an envelope that has exactly DSSE's form."""
    if not isinstance(envelope, Mapping) or set(envelope) != {
        "payload",
        "payloadType",
        "signatures",
    }:
        raise _malformed("it has not exactly the keys payload, payloadType and signatures")
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise _malformed(f"payloadType is {envelope['payloadType']!r}, not {PAYLOAD_TYPE!r}")
    if not isinstance(envelope["signatures"], list) or not envelope["signatures"]:
        raise StatementError(
            "The release statement carries no signature. Sign it: give `bin/ci image` the private "
            "key that `[signing] key_env` names."
        )
    signatures: dict[str, bytes] = {}
    for entry in envelope["signatures"]:
        if not isinstance(entry, Mapping) or set(entry) != {"keyid", "sig"}:
            raise _malformed("a signature has not exactly the keys keyid and sig")
        if not isinstance(entry["keyid"], str) or entry["keyid"] in signatures:
            raise _malformed(f"the keyid {entry['keyid']!r} is no text, or signs twice")
        signatures[entry["keyid"]] = _decode("sig", entry["sig"])
    return _decode("payload", envelope["payload"]), signatures


def _decode(name: str, text: Any) -> bytes:
    """The bytes of base64 in its one canonical spelling; any other spelling is refused."""
    try:
        content = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise _malformed(f"{name} is no base64 ({error})") from error
    if base64.b64encode(content).decode() != text:
        raise _malformed(f"{name} is not in the canonical spelling of base64")
    return content


def _malformed(why: str) -> StatementError:
    return StatementError(
        f"The release statement is no DSSE envelope: {why}. Take the file that `bin/ci image` "
        "wrote, unchanged."
    )


def _strangers(signers: list[str], known: list[str]) -> str:
    names = ", ".join(f"{keyid[:16]}…" for keyid in signers)
    mine = ", ".join(f"{keyid[:16]}…" for keyid in known) or "none"
    return (
        f"The release statement is signed by {names}, but the keys trusted here are: {mine}. Sign "
        "with a trusted key, or place the new public key with `bin/ci hosts prepare`."
    )
