"""From `bin/ci keys new` and `bin/ci image` to a host that verifies by openssl alone."""

import json
import stat
from dataclasses import replace

import pytest

from ci.config import PROJECT, Options, load_config
from ci.errors import HeldError, UsageError
from ci.releasing import keys, signing
from ci.releasing.signing import keys_folder, next_sequence
from ci.stages import image
from ci.workspace import digest_of
from serving.host.statement import Expected, StatementError, verify
from tests.ci.judged_shop import COMPOSE, LIVE, decide, open_shop
from tests.services import require_service
from tests.tiny import export_tiny

RELEASE_KEY, OVERRIDE_KEY = "PUSHCART_SIGNING_KEY", "PUSHCART_OVERRIDE_KEY"


@pytest.fixture(scope="module", autouse=True)
def openssl():
    require_service("openssl")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return export_tiny(tmp_path_factory.mktemp("bundles") / "1")


@pytest.fixture
def shop(bundle, tmp_path, monkeypatch):
    """A shop with a release key and an override key, neither of which is at hand yet."""
    for variable in (RELEASE_KEY, OVERRIDE_KEY):
        monkeypatch.delenv(variable, raising=False)
    config, workspace = open_shop(tmp_path, bundle, '[signing]\npublic_keys = "keys"\n')
    keys.run(config, "new", tmp_path / "release.pem")
    keys.run(config, "new", tmp_path / "override.pem", override=True)
    return config, workspace


def statement_of(workspace):
    return json.loads(workspace.path("../statement.json").read_text())


def expected_of(workspace, **changed) -> Expected:
    """What a host is about to start, from the order that is made of `release.json`."""
    release = json.loads(workspace.path("../release.json").read_text())
    subjects = {"bundle/next_item": release["bundles"]["next_item"]["digest"]}
    return replace(Expected("corner", "production", subjects, LIVE, 0), **changed)


def test_what_image_signs_a_host_verifies(shop, bundle, tmp_path, monkeypatch):
    config, workspace = shop
    monkeypatch.setenv(RELEASE_KEY, str(tmp_path / "release.pem"))
    assert "signed by" in image.run(config, workspace)
    said = verify(statement_of(workspace), keys_folder(config), expected_of(workspace))
    assert (said.shop, said.release, said.decision) == ("corner", 3, "PROMOTE")
    assert said.subjects == {"bundle/next_item": digest_of(bundle)}
    assert (said.baseline_digest, said.baseline_environment) == (LIVE, "production")
    assert (said.commit, said.data_digest) == ("0" * 40, "sha256:0")
    moved = expected_of(workspace, live_digest=f"sha256:{'e' * 64}")
    with pytest.raises(StatementError, match="the baseline changed meanwhile"):
        verify(statement_of(workspace), keys_folder(config), moved)
    other = expected_of(workspace, subjects={"bundle/next_item": f"sha256:{'f' * 64}"})
    with pytest.raises(StatementError, match="the statement signs"):
        verify(statement_of(workspace), keys_folder(config), other)


def test_images_are_signed_by_what_hosts_pull(tmp_path):
    pushed, local = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    release = {
        "bundles": {"next_item": {"digest": LIVE}},
        "images": {
            "model": {"reference": f"r.example.com:5000/shop/m@{pushed}"},
            "gateway": {"reference": local},  # of a compose machine without a registry
        },
        "baseline": None,
        **dict.fromkeys(("release", "commit", "data_digest", "decision", "override", "sbom")),
    }
    content = signing.statement_of(release, "corner", "production", 1)
    digests = {one["name"]: f"sha256:{one['digest']['sha256']}" for one in content["subject"]}
    assert digests == {"bundle/next_item": LIVE, "image/model": pushed, "image/gateway": local}
    assert content["predicate"]["baseline_digest"] is None


def test_the_variable_holds_the_key_or_names_its_file(shop, tmp_path, monkeypatch):
    config, _ = shop
    monkeypatch.setenv(RELEASE_KEY, (tmp_path / "release.pem").read_text())
    (by_content,) = signing.read_signers(config, override=False)
    monkeypatch.setenv(RELEASE_KEY, str(tmp_path / "release.pem"))
    (by_path,) = signing.read_signers(config, override=False)
    assert by_content.keyid == by_path.keyid


def test_each_statement_is_newer_than_the_one_before(shop, tmp_path, monkeypatch):
    """Also within one second, and when the clock was set back."""
    config, workspace = shop
    now = 1_700_000_000.5
    assert next_sequence(config, now) == 1_700_000_000
    assert next_sequence(config, now) == 1_700_000_001
    assert next_sequence(config, now - 3600) == 1_700_000_002
    assert next_sequence(config, now + 60) == 1_700_000_060
    monkeypatch.setenv(RELEASE_KEY, str(tmp_path / "release.pem"))
    image.run(config, workspace)
    first = statement_of(workspace)
    image.run(config, workspace)
    folder, expected = keys_folder(config), expected_of(workspace)
    accepted = verify(statement_of(workspace), folder, expected).sequence
    with pytest.raises(StatementError, match="is older than"):
        verify(first, folder, replace(expected, highest_sequence=accepted))


def test_without_a_key_no_statement_is_left_of_an_earlier_release(shop, tmp_path, monkeypatch):
    config, workspace = shop
    monkeypatch.setenv(RELEASE_KEY, str(tmp_path / "release.pem"))
    image.run(config, workspace)
    assert workspace.path("../statement.json").exists()
    monkeypatch.delenv(RELEASE_KEY)
    assert "signed" not in image.run(config, workspace)  # target process verifies nothing
    assert not workspace.path("../statement.json").exists()


def test_a_release_that_hosts_would_refuse_is_told(bundle, tmp_path, monkeypatch):
    monkeypatch.delenv(RELEASE_KEY, raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    more = COMPOSE + '[environments.far]\ntarget = "hosts"\n[images]\nregistry = "r.example.com"\n'
    config, workspace = open_shop(tmp_path, bundle, more)
    line = image.run(config, workspace)
    assert f"not signed, so hosts will refuse it: {RELEASE_KEY} is not set" in line
    far = load_config(config.path, {}, Options(environment="far"))
    with pytest.raises(UsageError, match=f"far must be signed, but .* {RELEASE_KEY} is not set"):
        image.run(far, workspace)


@pytest.mark.parametrize("decision", ["HOLD", "INCONCLUSIVE"])
def test_an_override_needs_two_keys_and_says_who_and_why(
    shop, bundle, tmp_path, monkeypatch, decision
):
    config, workspace = shop
    decide(workspace, decision, digest_of(bundle))
    monkeypatch.setenv(RELEASE_KEY, str(tmp_path / "release.pem"))
    with pytest.raises(Exception, match="No release is made"):
        image.run(config, workspace)
    config = replace(config, options=Options(override="prices are wrong"))
    with pytest.raises(UsageError, match=f"override must be signed, but .* {OVERRIDE_KEY}"):
        image.run(config, workspace)
    assert not workspace.path("../release.json").exists()
    monkeypatch.setenv(OVERRIDE_KEY, str(tmp_path / "override.pem"))
    monkeypatch.setenv("LOGNAME", "li")
    assert f"{decision}, overridden" in image.run(config, workspace)
    release = json.loads(workspace.path("../release.json").read_text())
    assert release["override"] == {"reason": "prices are wrong", "who": "li"}
    said = verify(statement_of(workspace), keys_folder(config), expected_of(workspace))
    assert (said.decision, said.override_reason, said.override_who) == (
        decision,
        "prices are wrong",
        "li",
    )
    assert len(said.keyids) == 2


def test_there_is_nothing_to_override_in_a_promoted_release(shop):
    config, workspace = shop
    config = replace(config, options=Options(override="to be sure"))
    with pytest.raises(UsageError, match="nothing to override"):
        image.run(config, workspace)


def test_a_blank_reason_is_none(shop, bundle):
    config, workspace = shop
    decide(workspace, "HOLD", digest_of(bundle))
    config = replace(config, options=Options(override="  "))
    with pytest.raises(HeldError):
        image.run(config, workspace)


def test_a_key_that_hosts_do_not_know_signs_nothing(shop, tmp_path, monkeypatch, capsys):
    config, _ = shop
    elsewhere = replace(config, path=tmp_path / "elsewhere" / "shop.toml")
    keys.run(elsewhere, "new", tmp_path / "stranger.pem")
    monkeypatch.setenv(RELEASE_KEY, str(tmp_path / "stranger.pem"))
    with pytest.raises(UsageError, match=r"is not among .*/release"):
        signing.read_signers(config, override=False)
    # An override key in the place of a release key, too: its power is another one.
    monkeypatch.setenv(RELEASE_KEY, str(tmp_path / "override.pem"))
    with pytest.raises(UsageError, match=r"is not among .*/release"):
        signing.read_signers(config, override=False)


@pytest.mark.parametrize(
    "text",
    ["hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END\n"],  # pragma: allowlist secret
)
def test_what_is_no_key_is_not_repeated(shop, monkeypatch, text):
    config, _ = shop
    monkeypatch.setenv(RELEASE_KEY, text)
    with pytest.raises(UsageError, match=f"{RELEASE_KEY} neither holds nor names") as told:
        signing.read_signers(config, override=False)
    assert "hunter2" not in str(told.value)


def test_a_private_key_is_its_owners_alone_and_never_printed(shop, tmp_path, capsys):
    config, _ = shop
    place = tmp_path / "deep" / "next.pem"
    keys.run(config, "new", place)
    printed = capsys.readouterr().out
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    secret = "".join(place.read_text().splitlines()[1:-1])
    assert secret not in printed
    assert str(place) in printed
    assert f"export {RELEASE_KEY}=" in printed
    assert len(list(keys_folder(config).glob("release/*.pub"))) == 2  # both are valid
    assert len(list(keys_folder(config).glob("override/*.pub"))) == 1
    before = place.read_bytes()
    with pytest.raises(UsageError, match="never written over"):
        keys.run(config, "new", place)
    assert place.read_bytes() == before


def test_a_private_key_never_lies_where_git_would_take_it():
    with pytest.raises(UsageError, match="the next commit would publish the key"):
        keys.refuse_committed(PROJECT / "infra" / "release.pem")
    keys.refuse_committed(PROJECT / "var" / "release.pem")
