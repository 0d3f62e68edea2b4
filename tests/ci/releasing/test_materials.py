"""The bill of materials: what a release holds, in a form that the standard's own schema accepts."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from ci.locks.vendoring import pins
from ci.releasing.materials import bill_of_materials
from ci.releasing.packing import Image, Packed

BUNDLE, MODEL, GATEWAY, BASE = (f"sha256:{digit * 64}" for digit in "abcd")
RELEASE = {
    "release": 7,
    "bundles": {"next_item": {"model_version": 7, "digest": BUNDLE}},
    "commit": "0" * 40,
    "data_digest": "sha256:data",
}
NOW = 1_700_000_000.0
NOTHING = Packed({}, {}, {}, "")
VERSIONS = dict(pins("server").keys())


def image(part: str, digest: str) -> Image:
    name = f"registry.example.com/shop/corner-{part}"
    return Image(name, "7", digest, BASE, (), 0, f"{name}@{digest}")


@pytest.fixture(scope="module")
def bill():
    gateway = {name: VERSIONS[name] for name in ("uvicorn", "httpx")}
    packed = Packed(
        images={"model": image("model", MODEL), "gateway": image("gateway", GATEWAY)},
        bases={"model": ("pushcart-embedded:1", BASE), "gateway": ("python:3.11-slim", BASE)},
        packages={"gateway": gateway, "server": {"numpy": VERSIONS["numpy"], **gateway}},
        said="",
    )
    return bill_of_materials("corner", RELEASE, packed, NOW)


@pytest.fixture(scope="module")
def content(bill):
    return json.loads(bill)


def by_ref(content, reference):
    return next(one for one in content["components"] if one["bom-ref"] == reference)


def test_it_is_valid_by_the_standards_own_schema(bill):
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(bill) is None
    assert validator.validate_str(bill_of_materials("corner", RELEASE, NOTHING, NOW)) is None
    assert validator.validate_str(bill.replace('"container"', '"barrel"')) is not None


def test_the_bundle_is_a_model_with_its_digest(content):
    bundle = by_ref(content, f"bundle/{BUNDLE}")
    assert (bundle["type"], bundle["name"], bundle["version"]) == (
        "machine-learning-model",
        "corner-next_item",
        "7",
    )
    assert bundle["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]


def test_packages_have_the_versions_and_hashes_of_the_lock(content):
    httpx = by_ref(content, "pypi/httpx")
    assert httpx["purl"] == f"pkg:pypi/httpx@{VERSIONS['httpx']}"
    allowed = pins("gateway")["httpx", VERSIONS["httpx"]]
    told = {one["content"] for one in httpx["externalReferences"][0]["hashes"]}
    assert told == {one.removeprefix("sha256:") for one in allowed}
    names = [one["name"] for one in content["components"] if one["type"] == "library"]
    assert sorted(names) == ["httpx", "numpy", "uvicorn"]  # each once, of two locks


def test_images_name_their_base_and_what_they_hold(content):
    held = {one["ref"]: set(one.get("dependsOn", [])) for one in content["dependencies"]}
    bundle = f"bundle/{BUNDLE}"
    assert held["release"] == {bundle, "image/model", "image/gateway"}
    libraries = {"pypi/httpx", "pypi/uvicorn"}
    assert held["image/gateway"] == {"base/gateway", *libraries}
    assert held["image/model"] == {"base/model", bundle, "pypi/numpy", *libraries}
    assert by_ref(content, "image/model")["hashes"][0]["content"] == "b" * 64
    base = by_ref(content, "base/gateway")
    assert (base["name"], base["version"]) == ("python", "3.11-slim")


def test_equal_releases_have_equal_bills():
    assert bill_of_materials("corner", RELEASE, NOTHING, NOW) == bill_of_materials(
        "corner", RELEASE, NOTHING, NOW
    )
