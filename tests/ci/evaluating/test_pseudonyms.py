"""Pseudonyms: salted, stable, and the salt is kept secret."""

import hashlib
import hmac

import pytest

from ci.errors import BadDataError
from ci.evaluating.pseudonyms import pseudonyms, read_salt


def test_the_salt_is_made_once_and_is_secret(tmp_path):
    path = tmp_path / "var" / "salt"
    first = read_salt(path)
    assert len(first) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_salt(path) == first
    assert read_salt(tmp_path / "other") != first


def test_a_pseudonym_is_the_keyed_hash():
    expected = hmac.new(b"salt", "käthe".encode(), hashlib.sha256).hexdigest()[:32]
    assert pseudonyms(["käthe", "u2"], b"salt")[0] == expected
    assert pseudonyms(["käthe"], b"other") != [expected]


def test_a_damaged_salt_is_refused(tmp_path):
    path = tmp_path / "salt"
    path.write_text("abc\n")
    with pytest.raises(BadDataError, match="holds 3 characters"):
        read_salt(path)
