"""Images in a real registry with TLS and a password: digests, what moves, and what goes wrong."""

import json
import shutil
import ssl

import httpx
import pytest

from ci.config import Options, load_config
from ci.errors import UnavailableError, UsageError
from ci.images import tar_bytes
from ci.releasing.bases import DEBIAN
from ci.releasing.packing import needing_images, pushes
from ci.releasing.pushing import push, read_login
from ci.stages import image, render
from ci.workspace import digest_of
from tests.ci.judged_shop import COMPOSE, decide, open_shop
from tests.docker_engine import docker_engine
from tests.registry import container_registry
from tests.services import require_service
from tests.tiny import export_tiny

USERNAME = "CONTAINER_REGISTRY_USERNAME"
PASSWORD = "CONTAINER_REGISTRY_PASSWORD"  # pragma: allowlist secret


@pytest.fixture(scope="module")
def engine():
    require_service("debian")
    with docker_engine() as client:
        base = tar_bytes({"etc/base": b"stands for the image that SERVING_BASE names"})
        client.api.import_image_from_data(base, repository="pushcart-test-base", tag="1")
        client.images.get("pushcart-test-base:1").tag("pushcart-test-push", "1")
        yield client


@pytest.fixture(scope="module")
def registry():
    with container_registry() as running:
        yield running


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return export_tiny(tmp_path_factory.mktemp("bundles") / "1")


@pytest.fixture
def login(registry, monkeypatch):
    monkeypatch.setenv(USERNAME, registry.user)
    monkeypatch.setenv(PASSWORD, registry.password)


def ask(registry, method: str, path: str, **headers: str) -> httpx.Response:
    trust = ssl.create_default_context(cafile=str(registry.ca_file))
    auth = (registry.user, registry.password)
    with httpx.Client(verify=trust, trust_env=False, auth=auth) as client:
        return client.request(method, f"https://{registry.address}/v2/{path}", headers=headers)


def manifest_of(registry, one: dict) -> dict:
    """What the registry has under an image's digest."""
    path = one["name"].partition("/")[2]
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    answer = ask(registry, "GET", f"{path}/manifests/{one['digest']}", Accept=kind)
    assert answer.headers["Docker-Content-Digest"] == one["digest"]
    return answer.json()


def stored(registry) -> dict[str, int]:
    """Sizes of the blobs that the registry keeps, by digest."""
    blobs = (registry.storage / "docker/registry/v2/blobs/sha256").glob("*/*/data")
    return {f"sha256:{path.parent.name}": path.stat().st_size for path in blobs}


def next_bundle(workspace, version: int) -> None:
    """A retrained model: the same files but for its weights, under the next version."""
    old = workspace.path(f"bundle/{version - 1}")
    new = shutil.copytree(old, workspace.path(f"bundle/{version}"))
    weights = next((new / "variables").glob("variables.data-*"))
    weights.write_bytes(weights.read_bytes()[::-1])
    exported = {"model_version": version, "digest": digest_of(new), "path": f"bundle/{version}"}
    workspace.write_json("bundle.json", exported)
    decide(workspace, "PROMOTE", exported["digest"])


@pytest.mark.usefixtures("login")
def test_only_what_changed_moves(engine, registry, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("ci.images.find_engine", lambda: engine)
    settings = f'{COMPOSE}[images]\nregistry = "{registry.address}/shop"\n'
    config, workspace = open_shop(tmp_path, bundle, settings, "shop", gateway_base_image=DEBIAN)
    line = image.run(config, workspace)
    assert f"{registry.address}/shop/corner-model:3" in line
    first = json.loads(workspace.path("../release.json").read_text())["images"]
    assert {*first} == {"model", "gateway"}
    for one in first.values():
        assert one["reference"] == f"{one['name']}@{one['digest']}"
        assert one["tag"] == "3"
        manifest = manifest_of(registry, one)
        assert manifest["config"]["digest"] == one["id"]
        assert len(manifest["layers"]) == len(one["layers"])
    assert first["gateway"]["pushed_bytes"] > 90e6  # Debian, the packages, the code, the release

    before = stored(registry)
    next_bundle(workspace, 4)
    render.run(config, workspace)
    image.run(config, workspace)
    second = json.loads(workspace.path("../release.json").read_text())["images"]
    came = {name: size for name, size in stored(registry).items() if name not in before}
    for name in ("model", "gateway"):
        assert second[name]["layers"][:-1] == first[name]["layers"][:-1]
        assert second[name]["layers"][-1] != first[name]["layers"][-1]
    # Uncompressed in the record, compressed in the registry, where manifests and labels count too.
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    assert size < second["model"]["pushed_bytes"] < size + 40_000  # a tar's heads and padding
    assert second["gateway"]["pushed_bytes"] < 60_000
    assert sum(came.values()) < size + 60_000
    print(f"model {second['model']['pushed_bytes']}, gateway {second['gateway']['pushed_bytes']}")
    image.run(config, workspace)
    again = json.loads(workspace.path("../release.json").read_text())["images"]
    assert [one["pushed_bytes"] for one in again.values()] == [0, 0]
    assert [one["digest"] for one in again.values()] == [one["digest"] for one in second.values()]


def test_a_wrong_password_is_told_once_and_clearly(engine, registry):
    wrong = {"username": registry.user, "password": "not-the-word"}  # pragma: allowlist secret
    name = f"{registry.address}/test"
    engine.images.get("pushcart-test-push:1").tag(name, "1")
    with pytest.raises(UnavailableError, match=r"refuses the login for(.|\n)*password_env") as told:
        push(engine, name, "1", wrong)
    assert "not-the-word" not in str(told.value)
    assert told.value.exit_code == 4
    with pytest.raises(UnavailableError, match="refuses the login for"):
        push(engine, name, "1", None)


def test_a_registry_that_is_down_is_told(engine):
    with container_registry() as gone:
        name = f"{gone.address}/test"
        login = {"username": gone.user, "password": gone.password}
    engine.images.get("pushcart-test-push:1").tag(name, "1")
    with pytest.raises(
        UnavailableError, match=r"cannot be pushed to(.|\n)*Check that the registry"
    ):
        push(engine, name, "1", login)
    with pytest.raises(UnavailableError, match="cannot be pushed"):
        push(engine, "127.0.0.1:1/absent", "1", login)


def configured(tmp_path, text: str, environment: str = "shop"):
    path = tmp_path / "pipeline.toml"
    path.write_text("[environments.local]\n" + text)
    return load_config(path, {}, Options(environment=environment))


@pytest.mark.parametrize("target", ["hosts", "kubernetes"])
def test_who_pulls_needs_a_registry(tmp_path, target):
    config = configured(tmp_path, f'[environments.shop]\ntarget = "{target}"\n', "local")
    with pytest.raises(UsageError, match=r"\[images\] registry") as told:
        needing_images(config)
    assert told.value.exit_code == 2


def test_a_laptop_without_a_login_builds_without_pushing(tmp_path, monkeypatch):
    """Whoever deploys to the hosts pushes; with the engine's own login where none is set."""
    monkeypatch.delenv(USERNAME, raising=False)
    monkeypatch.delenv(PASSWORD, raising=False)
    text = '[environments.shop]\ntarget = "hosts"\n[images]\nregistry = "registry.example.com/a"\n'
    assert not pushes(configured(tmp_path, text, "local"))
    assert pushes(configured(tmp_path, text))
    monkeypatch.setenv(USERNAME, "u")
    with pytest.raises(UsageError, match=f"{USERNAME} is set, but {PASSWORD} is not"):
        read_login(configured(tmp_path, text))
    monkeypatch.setenv(PASSWORD, "p")
    assert pushes(configured(tmp_path, text, "local"))
