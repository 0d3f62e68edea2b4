"""What a host accepts and refuses, with real keys: signed by one program, verified by another."""

import ast
import base64
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from serving.host import signature, statement
from serving.host.statement import Expected, StatementError, Verified, verify
from tests.services import require_service

BUNDLE, MODEL, GATEWAY = (f"sha256:{digit * 64}" for digit in "abc")
LIVE = f"sha256:{'d' * 64}"
SIGNED_AT = 1_700_000_000
EXPECTED = Expected(
    shop="corner",
    environment="production",
    subjects={"bundle/next_item": BUNDLE, "image/model": MODEL, "image/gateway": GATEWAY},
    live_digest=LIVE,
    highest_sequence=SIGNED_AT - 60,
)
SAID = Verified(
    shop="corner",
    release=7,
    sequence=SIGNED_AT,
    commit="0" * 40,
    data_digest="sha256:0",
    decision="PROMOTE",
    subjects=EXPECTED.subjects,
    baseline_digest=LIVE,
    baseline_environment="production",
    override_reason="",
    override_who="",
    keyids=(),
)


class Signer:
    """A key pair of the library's; the public part lies where a host has it."""

    def __init__(self, folder, name):
        self.private = Ed25519PrivateKey.generate()
        public = self.private.public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        der = public.public_bytes(serialization.Encoding.DER, form)
        self.keyid = hashlib.sha256(der).hexdigest()
        self.key = SSlibKey.from_crypto(public, keyid=self.keyid)
        self.signer = CryptoSigner(self.private, self.key)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.pub"
        self.path.write_bytes(public.public_bytes(serialization.Encoding.PEM, form))


def content(**changed):
    """A statement as it stands in the file, with some values of its predicate changed."""
    predicate = {
        "shop": "corner",
        "release": 7,
        "sequence": SIGNED_AT,
        "commit": "0" * 40,
        "data_digest": "sha256:0",
        "decision": "PROMOTE",
        "baseline_digest": LIVE,
        "baseline_environment": "production",
        "override": None,
    }
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
            for name, digest in EXPECTED.subjects.items()
        ],
        "predicateType": "urn:pushcart:release:1",
        "predicate": {**predicate, **changed},
    }


def sign(payload, *signers):
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    envelope = Envelope(data, "application/vnd.in-toto+json", {})
    for one in signers:
        envelope.sign(one.signer)
    return envelope.to_dict()


@pytest.fixture(scope="module", autouse=True)
def openssl():
    require_service("openssl")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("host") / "keys"


@pytest.fixture(scope="module")
def release(keys):
    return Signer(keys / "release", "current")


@pytest.fixture(scope="module")
def upcoming(keys, release):
    return Signer(keys / "release", "next")


@pytest.fixture(scope="module")
def boss(keys):
    return Signer(keys / "override", "boss")


@pytest.fixture
def stranger(tmp_path):
    return Signer(tmp_path / "elsewhere", "stranger")


def test_a_signed_release_is_verified_and_told(keys, release):
    said = verify(sign(content(), release), keys, EXPECTED)
    assert said == replace(SAID, keyids=(release.keyid,))


def test_the_next_key_is_as_good_as_the_current_one(keys, release, upcoming):
    assert verify(sign(content(), upcoming), keys, EXPECTED).keyids == (upcoming.keyid,)
    both = verify(sign(content(), release, upcoming), keys, EXPECTED)
    assert both.keyids == tuple(sorted([release.keyid, upcoming.keyid]))


def test_a_strangers_signature_beside_a_good_one_counts_for_nothing(keys, release, stranger):
    assert verify(sign(content(), release, stranger), keys, EXPECTED).keyids == (release.keyid,)


@pytest.mark.parametrize("part", ["payload", "signature"])
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_single_changed_byte_is_refused(keys, release, part, data):
    envelope = sign(content(), release)
    holder, name = (
        (envelope, "payload") if part == "payload" else (envelope["signatures"][0], "sig")
    )
    changed = bytearray(base64.b64decode(holder[name]))
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] ^= data.draw(st.integers(1, 255))
    holder[name] = base64.b64encode(changed).decode()
    with pytest.raises(StatementError, match="altered after signing"):
        verify(envelope, keys, EXPECTED)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_single_changed_character_of_the_file_is_refused(keys, release, data):
    """The whole stored envelope: keyid, names of keys and the spelling of base64 included."""
    text = json.dumps(sign(content(), release))
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    changed = text[:place] + other + text[place + 1 :]
    try:
        envelope = json.loads(changed)
    except json.JSONDecodeError:
        return  # the agent refuses an order that is no JSON
    if envelope == json.loads(text):
        return
    with pytest.raises(StatementError):
        verify(envelope, keys, EXPECTED)


def test_base64_has_one_spelling(keys, release):
    """The last character may hold bits that decode to nothing; another one is another file."""
    envelope = sign(content(), release)
    text = envelope["signatures"][0]["sig"]  # 64 bytes: the last character before == has 4 spare
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = text[:-3] + alphabet[alphabet.index(text[-3]) ^ 1] + "=="
    assert base64.b64decode(twin) == base64.b64decode(text)
    envelope["signatures"][0]["sig"] = twin
    with pytest.raises(StatementError, match="canonical spelling"):
        verify(envelope, keys, EXPECTED)


def test_what_the_library_signs_openssl_verifies_and_the_reverse(keys, release, tmp_path):
    envelope = Envelope(b'{"a": 1}', signature.PAYLOAD_TYPE, {})
    by_library = bytes.fromhex(envelope.sign(release.signer).signature)
    key = signature.read_key(release.path)
    assert key.keyid == release.keyid
    message = signature.encode(signature.PAYLOAD_TYPE, b'{"a": 1}')
    assert message == envelope.pae()
    assert signature.holds(key, message, by_library)
    assert not signature.holds(key, message + b" ", by_library)

    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = release.private.private_bytes(serialization.Encoding.PEM, *private)
    (tmp_path / "private.pem").write_bytes(pem)
    (tmp_path / "message").write_bytes(message)
    command = ["openssl", "pkeyutl", "-sign", "-inkey", "private.pem", "-rawin", "-in", "message"]
    by_openssl = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert by_openssl == by_library  # Ed25519 signatures are a function of key and message
    stored = envelope.to_dict()
    stored["signatures"][0]["sig"] = base64.b64encode(by_openssl).decode()
    assert Envelope.from_dict(stored).verify([release.key], 1) == {release.keyid: release.key}
    envelope.payload = b'{"a": 2}'
    with pytest.raises(VerificationError):
        envelope.verify([release.key], 1)


def test_nothing_unsigned_starts(keys, release):
    with pytest.raises(StatementError, match="carries no release statement"):
        verify(None, keys, EXPECTED)
    with pytest.raises(StatementError, match="carries no signature"):
        verify(sign(content()), keys, EXPECTED)


def test_a_foreign_signature_is_refused_by_name(keys, release, stranger):
    with pytest.raises(StatementError) as refused:
        verify(sign(content(), stranger), keys, EXPECTED)
    assert f"signed by {stranger.keyid[:16]}…" in str(refused.value)
    assert f"{release.keyid[:16]}…" in str(refused.value)


def test_a_stranger_who_claims_a_known_key_is_refused(keys, release, stranger):
    envelope = sign(content(), stranger)
    envelope["signatures"][0]["keyid"] = release.keyid
    with pytest.raises(StatementError, match=f"key {release.keyid[:16]}… does not hold"):
        verify(envelope, keys, EXPECTED)


def test_an_older_statement_replayed_is_refused(keys, release):
    envelope = sign(content(), release)
    verify(envelope, keys, replace(EXPECTED, highest_sequence=SIGNED_AT))  # run again: fine
    newer = replace(EXPECTED, highest_sequence=SIGNED_AT + 1)
    with pytest.raises(StatementError, match=f"{SIGNED_AT} is older than {SIGNED_AT + 1}"):
        verify(envelope, keys, newer)


def test_a_baseline_that_changed_meanwhile_is_refused(keys, release):
    moved = replace(EXPECTED, live_digest=f"sha256:{'e' * 64}")
    with pytest.raises(StatementError, match=f"compared the release with {LIVE}, but sha256:eee"):
        verify(sign(content(), release), keys, moved)
    with pytest.raises(StatementError, match="compared the release with no live model"):
        verify(sign(content(baseline_digest=None), release), keys, EXPECTED)


@pytest.mark.parametrize(
    "expected",
    [
        replace(EXPECTED, live_digest=None),  # a new host of the fleet
        replace(EXPECTED, live_digest=BUNDLE),  # a deploy run again after a kill
        replace(EXPECTED, environment="staging", live_digest=f"sha256:{'e' * 64}"),
    ],
    ids=["new-host", "again", "judged-elsewhere"],
)
def test_where_the_baseline_says_nothing(keys, release, expected):
    assert verify(sign(content(), release), keys, expected).release == 7


@pytest.mark.parametrize("decision", ["HOLD", "INCONCLUSIVE"])
def test_hold_needs_an_override_signed_by_an_override_key(keys, release, boss, decision):
    with pytest.raises(StatementError, match=f"said {decision} of this release, and the statement"):
        verify(sign(content(decision=decision), release, boss), keys, EXPECTED)
    wanted = content(decision=decision, override={"reason": "prices are wrong", "who": "Li"})
    with pytest.raises(StatementError, match=r"'prices are wrong'.* but no override key"):
        verify(sign(wanted, release), keys, EXPECTED)
    with pytest.raises(StatementError, match="by an override key alone"):
        verify(sign(wanted, boss), keys, EXPECTED)
    said = verify(sign(wanted, release, boss), keys, EXPECTED)
    assert (said.decision, said.override_reason, said.override_who) == (
        decision,
        "prices are wrong",
        "Li",
    )


def test_an_override_without_a_reason_is_none(keys, release, boss):
    blank = content(decision="HOLD", override={"reason": " ", "who": "Li"})
    with pytest.raises(StatementError, match="an override without a reason"):
        verify(sign(blank, release, boss), keys, EXPECTED)


@pytest.mark.parametrize("name", list(EXPECTED.subjects))
def test_only_what_was_signed_starts(keys, release, name):
    other = f"sha256:{'f' * 64}"
    order = replace(EXPECTED, subjects={**EXPECTED.subjects, name: other})
    with pytest.raises(StatementError, match=f"would start {name} {other}, but .* signs sha256:"):
        verify(sign(content(), release), keys, order)


def test_an_image_that_the_statement_does_not_name_does_not_start(keys, release):
    unsigned = content()
    unsigned["subject"].pop()
    with pytest.raises(StatementError, match="signs nothing of that name"):
        verify(sign(unsigned, release), keys, EXPECTED)
    with pytest.raises(StatementError, match="names nothing to start"):
        verify(sign(content(), release), keys, replace(EXPECTED, subjects={}))


def test_the_statement_of_another_shop_is_refused(keys, release):
    with pytest.raises(StatementError, match="of the shop 'bakery', but this host serves 'corner'"):
        verify(sign(content(shop="bakery"), release), keys, EXPECTED)


@pytest.mark.parametrize(
    "payload",
    [
        b"no json",
        b"[]",
        {**content(), "predicateType": "urn:pushcart:release:2"},
        content(sequence=True),
        content(sequence=-1),
        content(commit=None),
        {**content(), "subject": content()["subject"] * 2},
    ],
)
def test_what_is_signed_must_be_a_release(keys, release, payload):
    with pytest.raises(StatementError, match="not of a release that this host understands"):
        verify(sign(payload, release), keys, EXPECTED)


@pytest.mark.parametrize(
    "change",
    [
        {"payloadType": "text/plain"},
        {"payload": "not base64!"},
        {"payload": None},
        {"signatures": [{"keyid": "k"}]},
        {"signatures": [{"keyid": "k", "sig": ""}] * 2},
        {"more": 1},
    ],
)
def test_what_is_no_envelope_is_refused(keys, release, change):
    with pytest.raises(StatementError, match="no DSSE envelope"):
        verify({**sign(content(), release), **change}, keys, EXPECTED)
    with pytest.raises(StatementError, match="no DSSE envelope"):
        verify("a statement", keys, EXPECTED)


def test_a_host_without_keys_trusts_nothing(tmp_path, release):
    with pytest.raises(StatementError, match="holds no public key"):
        verify(sign(content(), release), tmp_path, EXPECTED)


def test_one_key_may_not_have_both_powers(tmp_path):
    alone = Signer(tmp_path / "release", "current")
    (tmp_path / "override").mkdir()
    (tmp_path / "override" / "boss.pub").write_bytes(alone.path.read_bytes())
    with pytest.raises(StatementError, match="lies in release/ and in override/"):
        verify(sign(content(), alone), tmp_path, EXPECTED)


def test_only_ed25519_keys_are_keys(tmp_path, release):
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    rsa = generate_private_key(65537, 2048).public_key().public_bytes(*form)
    as_long = X25519PrivateKey.generate().public_key().public_bytes(*form)
    good = release.path.read_bytes()
    longer = good.replace(b"=\n", b"A\n")  # 45 bytes instead of 44
    for wrong in (rsa, as_long, longer, good[:-40], b"\xff"):
        (tmp_path / "release").mkdir(exist_ok=True)
        (tmp_path / "release" / "current.pub").write_bytes(wrong)
        with pytest.raises(StatementError, match=r"current\.pub"):
            verify(sign(content(), release), tmp_path, EXPECTED)


def test_without_openssl_nothing_is_trusted(keys, release, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StatementError, match="openssl cannot be started"):
        verify(sign(content(), release), keys, EXPECTED)


def test_an_openssl_that_cannot_verify_is_not_believed(keys, release, tmp_path, monkeypatch):
    """Its exit code alone is not the word that counts."""
    (tmp_path / "openssl").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "openssl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StatementError, match="cannot verify Ed25519 signatures on this host"):
        verify(sign(content(), release), keys, EXPECTED)


@pytest.mark.parametrize("module", [signature, statement])
def test_hosts_need_nothing_but_python(module):
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    foreign = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
    assert all(name.startswith("serving.host.") for name in foreign), foreign
