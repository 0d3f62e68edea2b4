"""Both images on bases made here, run for real: no network, read-only root, not root, no right."""

import json
import time
from urllib.parse import quote

import pytest

from ci.releasing.bases import DEBIAN, EMBEDDED, embedded_base
from ci.stages import image
from serving.host.verification import Ranked, difference
from tests.ci.judged_shop import COMPOSE, card_of, open_shop
from tests.docker_engine import docker_engine
from tests.services import require_service
from tests.tiny import export_tiny

BASES = {"base_image": EMBEDDED, "gateway_base_image": DEBIAN}
HARDENED = {
    "read_only": True,
    "tmpfs": {"/tmp": ""},  # noqa: S108
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "detach": True,
}
START_SECONDS = 90.0
ASK = """
import json, sys, urllib.request
url, body = sys.argv[1], sys.argv[2:] or None
data = json.dumps({"instances": json.load(open(body[0]))["golden"]["requests"]}) if body else None
print(urllib.request.urlopen(url, data and data.encode(), timeout=30).read().decode())
"""


@pytest.fixture(scope="module")
def engine():
    require_service("debian")
    with docker_engine() as client:
        yield client


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return export_tiny(tmp_path_factory.mktemp("bundles") / "1")


@pytest.fixture(scope="module")
def release(engine, bundle, tmp_path_factory):
    """The release of a shop whose images are made of nothing but what this machine has."""
    patch = pytest.MonkeyPatch()
    patch.setattr("ci.images.find_engine", lambda: engine)
    folder = tmp_path_factory.mktemp("shop")
    config, workspace = open_shop(folder, bundle, COMPOSE, "shop", engine="litert", **BASES)
    line = image.run(config, workspace)
    patch.undo()
    assert "not signed" in line
    return json.loads(workspace.path("../release.json").read_text())


@pytest.fixture(scope="module")
def model(engine, release):
    """The model server, as a host runs it but for the network."""
    container = engine.containers.run(
        release["images"]["model"]["reference"], network_mode="none", **HARDENED
    )
    yield container
    container.remove(force=True)


def healthy(container) -> bool:
    """Wait for the image's own health check, which runs inside the container."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        container.reload()
        state = container.attrs["State"]
        if not state["Running"] or state["Health"]["Status"] != "starting":
            break
        time.sleep(0.2)
    assert state["Health"]["Status"] == "healthy", container.logs().decode()[-3000:]
    return True


def ask(container, url: str, *body: str):
    code, output = container.exec_run(["python3", "-c", ASK, url, *body])
    assert code == 0, output.decode()
    return json.loads(output)


def test_the_base_is_small_and_holds_no_tensorflow(engine, release):
    base = engine.images.get(embedded_base(engine))
    size = base.attrs["Size"] / 1e6
    print(f"embedded base: {size:.0f} MB")
    assert size < 250
    found = engine.containers.run(
        base.id, ["-c", "ls /app/packages"], entrypoint="/bin/sh", remove=True
    )
    assert b"ai_edge_litert" in found
    assert b"tensorflow" not in found
    assert release["base_image"] == base.tags[0]


def test_the_base_is_built_once_an_engine(engine, release):
    """Its tag is the digest of its content: one more call builds nothing."""
    before = len(engine.images.list(all=True))
    assert embedded_base(engine) == release["base_image"]
    assert len(engine.images.list(all=True)) == before


def test_the_model_server_gives_the_golden_answers(model, bundle):
    """Those of the trained model, within the tolerance that the card has for LiteRT."""
    assert healthy(model)
    card = card_of(bundle)
    url = "http://127.0.0.1:8501/v1/models/next_item/versions/3:predict"
    seen = ask(model, url, "/models/next_item/3/card.json")["predictions"]
    assert len(seen) == len(card["golden"]["answers"]) == 5
    for row, wanted in zip(seen, card["golden"]["answers"], strict=True):
        expected = Ranked(wanted["item_ids"], wanted["scores"])
        answer = Ranked(row["item_ids"], row["scores"])
        assert difference(expected, answer, card["tolerance"]["litert"]) is None


def test_it_runs_without_rights(model):
    assert healthy(model)
    _, identity = model.exec_run(["id", "-u"])
    assert identity == b"10001\n"
    code, _ = model.exec_run(["touch", "/app/x"])
    assert code != 0


def test_a_shopper_is_answered_by_both_images(engine, release, model):
    assert healthy(model)
    gateway = engine.containers.run(
        release["images"]["gateway"]["reference"],
        ["--model_address=127.0.0.1:8501"],
        network_mode=f"container:{model.id}",
        **HARDENED,
    )
    try:
        assert healthy(gateway)
        ready = ask(gateway, "http://127.0.0.1:8080/readyz")
        assert ready["digest"] == release["bundles"]["next_item"]["digest"]
        user = quote(release["example_user"], safe="")
        answer = ask(gateway, f"http://127.0.0.1:8080/v1/users/{user}/recommendations?k=4")
        assert (answer["model_version"], len(answer["items"])) == (3, 4)
        _, identity = gateway.exec_run(["id", "-u"])
        assert identity == b"10001\n"
    finally:
        gateway.remove(force=True)
    held = engine.images.get(release["images"]["gateway"]["id"])
    print(f"gateway image: {held.attrs['Size'] / 1e6:.0f} MB")


def test_it_stops_when_told_to(model):
    """The launcher hands its process over, so that SIGTERM reaches the server."""
    assert healthy(model)
    model.stop(timeout=60)
    assert model.wait()["StatusCode"] == 0
