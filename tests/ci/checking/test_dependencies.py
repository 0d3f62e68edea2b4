"""Advisories by OSV's own rules, licences as packages state them, locks by their requirements."""

import json
import shutil
from dataclasses import replace

import pytest

from ci.checking import dependencies
from ci.checking.check import Scene
from ci.checking.dependencies import Pin, affects
from ci.config import PROJECT, load_config
from ci.errors import UsageError

ADVISORY = {
    "id": "PYSEC-2020-1",
    "summary": "It leaks.",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "Some_Package"},
            "ranges": [
                {
                    "type": "ECOSYSTEM",
                    "events": [
                        {"introduced": "0"},
                        {"fixed": "1.4"},
                        {"introduced": "2.0rc1"},
                        {"last_affected": "2.1"},
                    ],
                }
            ],
            "versions": ["3.0.post1"],
        }
    ],
}


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("1.3.9", True),
        ("1.4", False),
        ("1.10", False),  # a later version, though its text sorts before 1.4
        ("2.0", True),
        ("2.1", True),
        ("2.1.1", False),
        ("3.0.post1", True),
        ("3.0", False),
    ],
)
def test_ranges_switch_on_and_off_in_the_order_of_versions(version, affected):
    assert affects(ADVISORY, Pin("some-package", version, "x.lock", 1)) is affected


def test_a_withdrawn_advisory_and_another_ecosystem_say_nothing():
    pin = Pin("some-package", "1.0", "x.lock", 1)
    assert not affects({**ADVISORY, "withdrawn": "2026-01-01T00:00:00Z"}, pin)
    other = json.loads(json.dumps(ADVISORY).replace("PyPI", "npm"))
    assert not affects(other, pin)
    assert not affects(ADVISORY, replace(pin, name="another"))


@pytest.fixture
def scene(tmp_path):
    """A scene of one lock with one pin; takes settings."""
    lock = tmp_path / "requirements" / "x.lock"
    lock.parent.mkdir()
    lock.write_text("# head\nsome-package==1.0 \\\n    --hash=sha256:00\n")

    def scene(**settings):
        overrides = {f"check.{key}": value for key, value in settings.items()}
        config = load_config(PROJECT / "pipeline.toml", overrides)
        return Scene(tmp_path, config, (lock,), tmp_path)

    return scene


def test_a_planted_advisory_is_found_with_its_fix(scene, tmp_path):
    folder = tmp_path / "osv"
    folder.mkdir()
    (folder / "one.json").write_text(json.dumps(ADVISORY))
    outcome = dependencies.advisories(scene(advisories_dir=str(folder)))
    (found,) = outcome.findings
    assert (found.file, found.line, found.rule) == ("requirements/x.lock", 2, "PYSEC-2020-1")
    assert found.why == "some-package 1.0: It leaks."
    assert "1.4" in found.fix
    assert outcome.note == "1 of 1 pins compared with 1 advisories"


def test_without_advisories_it_is_said_or_refused(scene, tmp_path):
    outcome = dependencies.advisories(scene())
    assert outcome.note.startswith("0 of 1 pins scanned")
    assert outcome.unseen == outcome.note
    missing = str(tmp_path / "none")
    with pytest.raises(UsageError, match=r"There are no advisories in .*none"):
        dependencies.advisories(scene(advisories="required", advisories_dir=missing))


def test_what_is_no_advisory_is_named(scene, tmp_path):
    (tmp_path / "osv").mkdir()
    (tmp_path / "osv" / "one.json").write_text("{")
    with pytest.raises(UsageError, match=r"one\.json is no OSV advisory"):
        dependencies.advisories(scene(advisories_dir=str(tmp_path / "osv")))


def test_licences_are_listed_and_those_that_bind_a_service_found(scene, tmp_path, monkeypatch):
    assert dependencies.licence_of("pytest") == "MIT"
    assert dependencies.licence_of("no-such-package") is None
    planted = tmp_path / "site" / "some_package-1.0.dist-info"
    planted.mkdir(parents=True)
    about = "Metadata-Version: 2.4\nName: some-package\nVersion: 1.0\n"
    (planted / "METADATA").write_text(f"{about}License-Expression: AGPL-3.0-only\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (found,) = dependencies.licences(scene()).findings
    assert (found.line, found.why) == (2, "some-package 1.0 is under AGPL-3.0-only")
    assert json.loads((tmp_path / "licences.json").read_text()) == {
        "some-package": {"licence": "AGPL-3.0-only", "version": "1.0"}
    }


def test_a_requirement_without_a_new_lock_is_found(tmp_path):
    shutil.copytree(PROJECT / "requirements", tmp_path / "requirements")
    text = (PROJECT / "requirements.txt").read_text()
    (tmp_path / "requirements.txt").write_text(text)
    scene = Scene(tmp_path, load_config(PROJECT / "pipeline.toml"), (), tmp_path)
    assert dependencies.locks(scene).findings == ()
    changed = text.replace("# [uv] ", "# [uv] ").replace("uv==0.13.*", "uv==0.12.*")
    (tmp_path / "requirements.txt").write_text(changed)
    (found,) = dependencies.locks(scene).findings
    assert (found.file, found.rule) == ("requirements/uv.lock", "stale-lock")
