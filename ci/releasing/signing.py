"""Signs what a release is made of, in an envelope that hosts verify before they start anything."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope

# Public names, which the package does not list as such.
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

from ci.config import Config, read_variable
from ci.errors import UsageError
from ci.workspace import write_atomically
from serving.host.statement import (
    OVERRIDE_KEYS,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    RELEASE_KEYS,
    STATEMENT_TYPE,
    StatementError,
    trusted_keys,
)


@dataclass(frozen=True)
class Key:
    """A private key and the name that its public part has on hosts.

    Attributes:
        private: Never printed, never written.
        keyid: sha256, in hex, of the public part's DER form.
    """

    private: Ed25519PrivateKey
    keyid: str


def keys_folder(config: Config) -> Path:
    """Where `release/*.pub` and `override/*.pub` lie, which `hosts prepare` places."""
    return Path(config.source_path(config.signing.public_keys))


def read_signers(config: Config, *, override: bool) -> list[Key]:
    """The keys that sign: the release key, and for an override that of another person too.

    Args:
        config: Names the variables and the public keys.
        override: Whether the release goes out against the gate's word.

    Raises:
        UsageError: A key is missing, is none, or hosts do not trust it.
    """
    try:
        release, overriding = trusted_keys(keys_folder(config))
    except StatementError as error:
        raise UsageError(f"Nothing can be signed: {error}") from error
    wanted = [(config.signing.key_env, RELEASE_KEYS, release)]
    if override:
        wanted.append((config.signing.override_key_env, OVERRIDE_KEYS, overriding))
    signers = []
    for variable, kind, trusted in wanted:
        key = read_key(variable)
        if key.keyid not in trusted:
            raise UsageError(
                f"The key in {variable} is {key.keyid[:16]}…, whose public part is not among "
                f"{keys_folder(config) / kind}/*.pub, so hosts would refuse what it signs. Put it "
                "there (`bin/ci keys new` does) and run `bin/ci hosts prepare`."
            )
        signers.append(key)
    return signers


def read_key(variable: str) -> Key:
    """The private key that an environment variable holds, or whose file it names.

    Raises:
        UsageError: It is not set, or holds no Ed25519 key.
    """
    text = read_variable(variable)
    if text is None:
        raise UsageError(
            f"The environment variable {variable} is not set: export the private key or its path."
        )
    try:
        content = Path(text).read_bytes() if "\n" not in text.strip() else text.encode()
        private = serialization.load_pem_private_key(content, password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        private = None  # the library's own words may hold what was read
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(
            f"{variable} neither holds nor names a file with an unencrypted Ed25519 private key in "
            "PEM form. Make one with `bin/ci keys new`."
        ) from None
    return Key(private, keyid_of(private.public_key()))


def keyid_of(public: Ed25519PublicKey) -> str:
    """The name of a public key: sha256, in hex, of its DER form."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(public.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def sign(content: dict[str, Any], keys: list[Key]) -> dict[str, Any]:
    """A DSSE envelope around a statement.

    Args:
        content: What `statement_of` gives.
        keys: Who signs.
    """
    envelope = Envelope(json.dumps(content, sort_keys=True).encode(), PAYLOAD_TYPE, {})
    for key in keys:
        public = SSlibKey.from_crypto(key.private.public_key(), keyid=key.keyid)
        envelope.sign(CryptoSigner(key.private, public))
    return dict(envelope.to_dict())


def statement_of(
    release: dict[str, Any], shop: str, baseline_environment: str, sequence: int
) -> dict[str, Any]:
    """The in-toto statement of a release, as `serving/host/statement.py` reads it.

    Args:
        release: `release.json`.
        shop: Whose release it is.
        baseline_environment: Where the model was live that the gate compared with.
        sequence: When it is signed; what `next_sequence` gives.
    """
    digests = {f"bundle/{task}": one["digest"] for task, one in release["bundles"].items()}
    for name, image in release["images"].items():
        digests[f"image/{name}"] = image["reference"].rpartition("@")[2]
    baseline = release["baseline"]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
            for name, digest in digests.items()
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "shop": shop,
            "release": release["release"],
            "sequence": sequence,
            "commit": release["commit"],
            "data_digest": release["data_digest"],
            "decision": release["decision"],
            "override": release["override"],
            "baseline_digest": baseline["digest"] if baseline else None,
            "baseline_environment": baseline_environment,
            "sbom_digest": release["sbom"],
        },
    }


def next_sequence(config: Config, now: float) -> int:
    """Seconds UTC, strictly above every sequence that this shop was given here; remembered.

    Args:
        config: Names the shop, whose state remembers.
        now: Seconds since 1970.
    """
    place = config.state / "signed.json"
    known = json.loads(place.read_text("utf-8"))["sequence"] if place.exists() else 0
    sequence: int = max(int(now), known + 1)
    write_atomically(place, json.dumps({"sequence": sequence}) + "\n")
    return sequence
