"""An order is verified before anything is pulled, and leaves behind what a rollout needs."""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import docker
import pytest

from ci.images import tar_bytes
from ci.rehearsal.registry import ContainerRegistry
from ci.releasing.pushing import push
from serving.host import orders, releases
from serving.host.containers import DockerError
from serving.host.orders import ReleaseOrder, accept, is_here
from serving.host.record import Record, Release
from serving.host.releases import RELEASES_KEPT, Placed, folder_of
from serving.host.statement import StatementError
from tests.registry import container_registry
from tests.services import require_service
from tests.serving.host.test_statement import BUNDLE, SIGNED_AT, Signer, content, sign

CARD = {"golden": {"requests": [], "answers": []}}


@pytest.fixture(scope="module")
def registry() -> Iterator[ContainerRegistry]:
    require_service("openssl")
    with container_registry() as running:
        yield running


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def signer(keys: Path) -> Signer:
    return Signer(keys / "release", "team")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def imported(engine: docker.DockerClient, words: str) -> str:
    """An image of one layer, by id."""
    data = tar_bytes({"words": words.encode()})
    name = f"pushcart-test-{words}"
    engine.api.import_image_from_data(data, repository=name, tag="1")
    return engine.images.get(f"{name}:1").id


def pushed(engine: docker.DockerClient, registry: ContainerRegistry, words: str) -> str:
    """An image that only the registry has, by digest."""
    name = f"{registry.address}/shop/{words}"
    engine.images.get(imported(engine, words)).tag(name, "1")
    login = {"username": registry.user, "password": registry.password}
    digest = push(engine, name, "1", login).digest
    engine.images.remove(f"{name}:1")
    engine.images.remove(f"pushcart-test-{words}:1")
    assert not is_here(f"{name}@{digest}")
    return f"{name}@{digest}"


def order(images: dict[str, str], signer: Signer | None, registry: ContainerRegistry | None = None):
    """An order for release 7, as a host reads it from its text."""
    placed = Placed("next_item", 7, BUNDLE, "litert", "c0ffee", 60.0, 2.0, images=images)
    statement = None
    if signer:
        said = content()
        digests = {"bundle/next_item": BUNDLE}
        digests |= {f"image/{part}": name.rpartition("@")[2] for part, name in images.items()}
        said["subject"] = [
            {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
            for name, digest in digests.items()
        ]
        statement = sign(said, signer)
    login = None
    if registry:
        login = {"registry": registry.address, "username": registry.user}
        login |= {"password": registry.password}
    return orders.parse(orders.as_json(asdict(placed), CARD, statement, login))


def corner() -> Record:
    return Record("corner", "production")


def test_a_signed_release_is_pulled_and_placed_and_its_login_is_gone(
    host_engine, registry, signer, tmp_path, monkeypatch
):
    keys, home = signer.path.parents[1], tmp_path / "home"
    monkeypatch.setenv("HOME", str(tmp_path))
    parts = ("model", "gateway")
    images = {part: pushed(host_engine, registry, f"good-{part}") for part in parts}
    one, known = order(images, signer, registry), corner()
    layers = accept(one, home, known, keys)
    assert len(layers) == 2
    assert all(is_here(image) for image in images.values())
    assert known.highest_sequence == SIGNED_AT
    assert releases.load(home, one.placed.key) == one.placed
    assert one.placed.card(home) == CARD
    kept = folder_of(home, one.placed.key) / "statement.json"
    assert json.loads(kept.read_text()) == one.statement
    # Not in the place where `docker login` keeps passwords, nor anywhere else.
    assert not (tmp_path / ".docker").exists()
    memory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path("/tmp")  # noqa: S108
    assert not [*memory.glob("pushcart-login-*")]
    written = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert not [data for data in written if registry.password.encode() in data]


def test_what_is_here_already_is_not_asked_for(host_engine, registry, signer, keys, home):
    images = {"model": pushed(host_engine, registry, "once")}
    assert accept(order(images, signer, registry), home, corner(), keys)
    nobody = order(images, signer)
    login = orders.Login(f"127.0.0.1:{_nobody()}", "nobody", "nothing")
    assert accept(replace(nobody, login=login), home, corner(), keys) == []


def _nobody() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def test_a_bad_signature_is_refused_before_the_pull(host_engine, registry, signer, home, tmp_path):
    keys = signer.path.parents[1]
    images = {"model": pushed(host_engine, registry, "foreign")}
    foreign = Signer(tmp_path / "elsewhere", "thief")
    for one in (order(images, foreign, registry), order(images, None, registry)):
        with pytest.raises(StatementError):
            accept(one, home, corner(), keys)
    bent = order(images, signer, registry)
    other = {**images, "gateway": images["model"]}
    with pytest.raises(StatementError, match="would start image/gateway"):
        accept(replace(bent, placed=replace(bent.placed, images=other)), home, corner(), keys)
    assert not is_here(images["model"])
    assert not (home / "releases").exists()


def test_an_image_that_was_altered_in_the_registry_is_refused(
    host_engine, registry, signer, keys, home
):
    images = {"model": pushed(host_engine, registry, "altered")}
    blobs = registry.storage / "docker/registry/v2/blobs/sha256"
    manifest = images["model"].rpartition(":")[2]
    described = json.loads((blobs / manifest[:2] / manifest / "data").read_text())
    layer = described["layers"][0]["digest"].removeprefix("sha256:")
    stored = blobs / layer[:2] / layer / "data"
    data = bytearray(stored.read_bytes())
    data[len(data) // 2] ^= 1
    stored.write_bytes(data)
    with pytest.raises(StatementError, match="is not what was signed"):
        accept(order(images, signer, registry), home, corner(), keys)
    assert not is_here(images["model"])
    assert not (home / "releases").exists()


def test_a_wrong_password_is_told_and_never_repeated(host_engine, registry, signer, keys, home):
    images = {"model": pushed(host_engine, registry, "closed")}
    one = order(images, signer)
    login = orders.Login(registry.address, registry.user, "guessed-wrong")
    with pytest.raises(DockerError, match="`docker login` failed") as caught:
        accept(replace(one, login=login), home, corner(), keys)
    assert "guessed-wrong" not in str(caught.value)


def test_what_was_built_here_needs_no_signature_until_the_first(host_engine, signer, keys, home):
    images = {"model": imported(host_engine, "local")}
    known = corner()
    with pytest.raises(StatementError, match="carries no release statement"):
        accept(order(images, None), home, known, keys)  # a host of a fleet
    assert accept(order(images, None), home, known, keys, builds_here=True) == []
    assert known.highest_sequence == 0
    accept(order(images, signer), home, known, keys, builds_here=True)
    assert known.highest_sequence == SIGNED_AT
    with pytest.raises(StatementError, match="carries no release statement"):
        accept(order(images, None), home, known, keys, builds_here=True)


def test_what_came_from_elsewhere_is_signed_also_there(host_engine, registry, keys, signer, home):
    images = {"model": pushed(host_engine, registry, "pulled")}
    with pytest.raises(StatementError, match="carries no release statement"):
        accept(order(images, None, registry), home, corner(), keys, builds_here=True)
    assert not is_here(images["model"])


def test_an_image_that_nobody_pushed_cannot_be_pulled(host_engine, keys, home):
    images = {"model": f"sha256:{'0' * 64}"}
    with pytest.raises(DockerError, match="is not on this machine, and was pushed nowhere"):
        accept(order(images, None), home, corner(), keys, builds_here=True)


def test_old_releases_and_their_images_are_let_go(host_engine, home, keys):
    """The stored verified ones stay, and an image that one of them has, or that is in use."""
    known = corner()
    shared = imported(host_engine, "shared")
    count = RELEASES_KEPT + 3
    own = [imported(host_engine, f"own-{number}") for number in range(count)]
    for number, image in enumerate(own, start=1):
        one = order({"model": image, "gateway": shared}, None)
        placed = replace(one.placed, model_version=number)
        accept(replace(one, placed=placed), home, known, keys, builds_here=True)
        line = Release(number, "deploy", number, BUNDLE, "litert", "previous", "me", "", "now")
        line.images = placed.images
        known.history.append(line)
    busy = host_engine.api.create_container(own[1], command="nothing")
    try:
        assert orders.prune(home, known) == [1, 2, 3]
        assert orders.prune(home, known) == []
        here = [is_here(image) for image in own]
        assert here == [False, True, False, *[True] * RELEASES_KEPT]
        assert is_here(shared)
        kept = {path.name for path in (home / "releases").iterdir()}
        assert kept == {line.key.removeprefix("sha256:") for line in known.history[3:]}
    finally:
        host_engine.api.remove_container(busy)


@pytest.mark.parametrize("text", ["{}", "[]", '{"placed": {}}', "nothing"])
def test_what_is_no_order_is_told(text):
    with pytest.raises(ValueError, match=r"order|Expecting"):
        orders.parse(text)


def test_half_an_order_leaves_no_half_release(host_engine, home, keys):
    """A host that fails in the middle of placing has the release not at all."""
    images = {"model": imported(host_engine, "half")}
    one = order(images, None)
    broken: ReleaseOrder = replace(one, card={"golden": object()})
    with pytest.raises(TypeError):
        accept(broken, home, corner(), keys, builds_here=True)
    assert [*(home / "releases").iterdir()] == []
    with pytest.raises(releases.ReleaseError):
        releases.load(home, one.placed.key)
