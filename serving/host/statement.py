"""What a signed release statement says, and whether this host may start that release."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serving.host.signature import PAYLOAD_TYPE, PublicKey, StatementError, open_envelope, read_keys

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:pushcart:release:1"
RELEASE_KEYS: Final = "release"
OVERRIDE_KEYS: Final = "override"
PROMOTE: Final = "PROMOTE"


@dataclass(frozen=True)
class Expected:
    """What is about to be started, and where.

    Attributes:
        shop: The shop that this host serves.
        environment: The environment that this host belongs to.
        subjects: Digest (`sha256:…`) of everything that would be started, by its name in the
            statement: `bundle/<task>`, `image/model`, `image/gateway`.
        live_digest: Digest of the bundle that serves here now; None on a host where none does.
        highest_sequence: The highest sequence number that this host ever accepted; 0 for none.
    """

    shop: str
    environment: str
    subjects: Mapping[str, str]
    live_digest: str | None
    highest_sequence: int


@dataclass(frozen=True)
class Verified:
    """What a statement says whose signatures hold.

    Attributes:
        shop: Whose release it is.
        release: Its model version.
        sequence: When it was signed, in seconds UTC; releases only go up.
        commit: The source that made it.
        data_digest: The data that trained it.
        decision: The gate's word.
        subjects: Digests by name.
        baseline_digest: The bundle that it was judged against; None for a first release.
        baseline_environment: Where that bundle was live.
        override_reason: Why it goes out against the gate's word; empty where the gate promoted.
        override_who: Who decided so.
        keyids: The keys of this host that signed it.
    """

    shop: str
    release: int
    sequence: int
    commit: str
    data_digest: str
    decision: str
    subjects: Mapping[str, str]
    baseline_digest: str | None
    baseline_environment: str
    override_reason: str
    override_who: str
    keyids: tuple[str, ...]


def verify(envelope: Mapping[str, Any] | None, keys_folder: Path, expected: Expected) -> Verified:
    """Check a release statement before anything of the release is started.

    Args:
        envelope: The parsed DSSE envelope, or None when the order carries none.
        keys_folder: Holds `release/*.pub` and `override/*.pub`.
        expected: What is about to be started.

    Returns:
        What the statement says; its sequence is to be remembered as the highest.

    Raises:
        StatementError: The release may not be started; the message names what is wrong.
    """
    if envelope is None:
        raise StatementError(
            "The order carries no release statement, and this host starts nothing unsigned. Run "
            "`bin/ci image` with a signing key and deploy what it wrote."
        )
    release, override = trusted_keys(keys_folder)
    opened = open_envelope(envelope, {**release, **override})
    said = parse(opened.payload, opened.keyids)
    if not set(said.keyids) & set(release):
        raise StatementError(
            "The statement is signed by an override key alone, and needs a release key's "
            "signature too. Sign it with the key that `[signing] key_env` names."
        )
    _require_shop(said, expected)
    _require_decision(said, override)
    _require_subjects(said, expected)
    _require_order(said, expected)
    _require_baseline(said, expected)
    return said


def trusted_keys(folder: Path) -> tuple[dict[str, PublicKey], dict[str, PublicKey]]:
    """The release keys and the override keys of a keys folder.

    Raises:
        StatementError: There is no release key, or one key has both powers.
    """
    release, override = (read_keys(folder / kind) for kind in (RELEASE_KEYS, OVERRIDE_KEYS))
    if not release:
        raise StatementError(
            f"{folder / RELEASE_KEYS} holds no public key, so nothing can be trusted. Make one "
            "with `bin/ci keys new` and place it with `bin/ci hosts prepare`."
        )
    if both := set(release) & set(override):
        raise StatementError(
            f"The key {min(both)[:16]}… lies in {RELEASE_KEYS}/ and in {OVERRIDE_KEYS}/, so that "
            "one person could release against the gate alone. Remove it from one of them."
        )
    return release, override


def parse(payload: bytes, keyids: tuple[str, ...] = ()) -> Verified:
    """Read a statement's payload; says nothing about who signed it.

    Raises:
        StatementError: It is no statement of a Pushcart release.
    """
    try:
        return _read(json.loads(payload), keyids)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise StatementError(
            f"The signed statement is not of a release that this host understands ({error!r}). "
            "Sign it with the Pushcart that prepared this host, or prepare the host again."
        ) from error


def _read(content: dict[str, Any], keyids: tuple[str, ...]) -> Verified:
    if (content["_type"], content["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise ValueError(f"its predicate is {content['predicateType']!r}")
    subject, predicate = content["subject"], content["predicate"]
    override = predicate["override"]
    reason, who = ("", "") if override is None else (override["reason"], override["who"])
    if override is not None and not _text(reason).strip():
        raise ValueError("an override without a reason")
    subjects = {_text(one["name"]): f"sha256:{_text(one['digest']['sha256'])}" for one in subject}
    if len(subjects) != len(subject):
        raise ValueError("two subjects of one name")
    baseline = predicate["baseline_digest"]
    return Verified(
        shop=_text(predicate["shop"]),
        release=_integer(predicate["release"]),
        sequence=_integer(predicate["sequence"]),
        commit=_text(predicate["commit"]),
        data_digest=_text(predicate["data_digest"]),
        decision=_text(predicate["decision"]),
        subjects=subjects,
        baseline_digest=None if baseline is None else _text(baseline),
        baseline_environment=_text(predicate["baseline_environment"]),
        override_reason=reason,
        override_who=_text(who),
        keyids=keyids,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no whole number")
    return value


def _require_shop(said: Verified, expected: Expected) -> None:
    if said.shop != expected.shop:
        raise StatementError(
            f"The statement is of the shop {said.shop!r}, but this host serves {expected.shop!r}. "
            "Check `[shop] name` and the inventory."
        )


def _require_decision(said: Verified, override: Mapping[str, PublicKey]) -> None:
    """PROMOTE goes out; anything else only with an override that an override key signed."""
    if said.override_reason and not set(said.keyids) & set(override):
        raise StatementError(
            f"The statement overrides the gate's {said.decision} ({said.override_reason!r}), but "
            "no override key that is trusted here signed it. Sign it with the key that "
            "`[signing] override_key_env` names, or place that key's public part with "
            "`bin/ci hosts prepare`."
        )
    if said.decision != PROMOTE and not said.override_reason:
        raise StatementError(
            f"The gate said {said.decision} of this release, and the statement carries no "
            "override. Improve the model, or sign an override: `bin/ci image --override REASON`."
        )


def _require_subjects(said: Verified, expected: Expected) -> None:
    """Everything that would be started is named in the statement with its very digest."""
    if not expected.subjects:
        raise StatementError(
            "The order names nothing to start. Deploy a release of `bin/ci image`."
        )
    for name, digest in expected.subjects.items():
        signed = said.subjects.get(name, "nothing of that name")
        if signed != digest:
            raise StatementError(
                f"The order would start {name} {digest}, but the statement signs {signed}. Deploy "
                "what was signed, or run `bin/ci image` again."
            )


def _require_order(said: Verified, expected: Expected) -> None:
    """The sequence never goes back: an older statement replayed is refused."""
    if said.sequence < expected.highest_sequence:
        raise StatementError(
            f"The statement's sequence {said.sequence} is older than {expected.highest_sequence}, "
            "which this host has accepted already: an older release is not deployed again. Use "
            "`bin/ci rollback --to N` to go back."
        )


def _require_baseline(said: Verified, expected: Expected) -> None:
    """What the gate compared with is what serves here, where the gate compared with this place.

    A host on which nothing serves (a new one of the fleet) contradicts no comparison, and one
    that serves the release already (a deploy run again) has moved on because of it.
    """
    if said.baseline_environment != expected.environment or expected.live_digest is None:
        return
    signed = [digest for name, digest in said.subjects.items() if name.startswith("bundle/")]
    if expected.live_digest in (said.baseline_digest, *signed):
        return
    raise StatementError(
        f"The gate compared the release with {said.baseline_digest or 'no live model'}, but "
        f"{expected.live_digest} serves here now: the baseline changed meanwhile. Run "
        "`bin/ci evaluate`, `bin/ci gate` and `bin/ci image` again."
    )


__all__ = [
    "PAYLOAD_TYPE",
    "PREDICATE_TYPE",
    "STATEMENT_TYPE",
    "Expected",
    "StatementError",
    "Verified",
    "parse",
    "trusted_keys",
    "verify",
]
