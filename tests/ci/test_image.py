"""Stage `image`: the release by digests, and real images of equal bytes for equal content."""

import gc
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ci.config import PROJECT, Options, load_config
from ci.errors import HeldError, InconclusiveError, RefusedError, UnavailableError
from ci.images import build, find_engine, normalised_tar, tar_bytes
from ci.releasing import contexts
from ci.releasing.packages import packages_tar
from ci.stages import image
from ci.workspace import digest_of
from tests.ci.judged_shop import COMPOSE, LIVE, card_of, decide, described, open_shop
from tests.docker_engine import docker_engine
from tests.tiny import export_tiny


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return export_tiny(tmp_path_factory.mktemp("bundles") / "1")


def test_target_process_needs_no_image_and_the_release_is_named_by_digests(bundle, tmp_path):
    config, workspace = open_shop(tmp_path, bundle)
    line = image.run(config, workspace)
    assert "no image: every environment has target process" in line
    release = json.loads(workspace.path("../release.json").read_text())
    assert release["release"] == 3
    assert release["bundles"] == {"next_item": {"model_version": 3, "digest": digest_of(bundle)}}
    assert release["gateway"] == {
        "version": image.gateway_version(),
        "data_digest": "sha256:0",
    }
    assert (release["decision"], release["images"], release["engine"]) == (
        "PROMOTE",
        {},
        "savedmodel",
    )
    assert release["commit"] == "0" * 40
    assert release["baseline"] == {"digest": LIVE, "environment": "production"}
    assert release["override"] is None
    assert release["sbom"] == digest_of(workspace.path("../sbom.json"))
    assert not workspace.path("../statement.json").exists()


@pytest.mark.parametrize(
    ("decision", "error"), [("HOLD", HeldError), ("INCONCLUSIVE", InconclusiveError)]
)
def test_no_release_without_the_gates_word(bundle, tmp_path, decision, error):
    config, workspace = open_shop(tmp_path, bundle)
    decide(workspace, decision, digest_of(bundle))
    with pytest.raises(error, match="No release is made: because"):
        image.run(config, workspace)
    assert not workspace.path("../release.json").exists()


def test_another_bundle_than_the_judged_one_is_refused(bundle, tmp_path):
    config, workspace = open_shop(tmp_path, bundle)
    decide(workspace, "PROMOTE", "sha256:other")
    with pytest.raises(RefusedError, match="PROMOTE of sha256:other"):
        image.run(config, workspace)


def test_an_altered_bundle_is_refused(bundle, tmp_path):
    config, workspace = open_shop(tmp_path, bundle)
    vocabulary = workspace.path("bundle/3/assets/vocabulary.txt")
    vocabulary.write_text(vocabulary.read_text().replace("item-1\n", "item-X\n"))
    with pytest.raises(RefusedError, match="was altered after it was made"):
        image.run(config, workspace)


def test_without_an_engine_the_stage_says_so(bundle, tmp_path, monkeypatch):
    """Here it is a note, for an environment with target process; there it is exit 4."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    assert find_engine() is None
    config, workspace = open_shop(tmp_path, bundle, COMPOSE)
    assert "no Docker engine answers, so shop cannot take this" in image.run(config, workspace)
    other = load_config(config.path, {}, Options(environment="shop"))
    with pytest.raises(UnavailableError, match="Start Docker"):
        image.run(other, workspace)
    gc.collect()


def test_a_tar_depends_on_paths_and_contents_alone(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("same")
    second.write_text("same")
    os.utime(second, (1, 1))
    second.chmod(0o600)
    assert tar_bytes({"x/y": first, "x/a": b"1"}) == tar_bytes({"x/a": b"1", "x/y": second})
    with normalised_tar({"x/y/z": first, "q": b"1"}) as file, tarfile.open(fileobj=file) as archive:
        assert [entry.name for entry in archive] == ["x", "x/y", "q", "x/y/z"]
        assert {(entry.mtime, entry.uid, entry.gid) for entry in archive.getmembers()} == {
            (0, 0, 0)
        }


@pytest.fixture(scope="module")
def engine():
    with docker_engine() as client:
        base = tar_bytes({"etc/base": b"stands for the image that SERVING_BASE names"})
        client.api.import_image_from_data(base, repository="pushcart-test-base", tag="1")
        yield client


def test_the_bundle_is_the_last_layer_and_equal_for_equal_content(engine, bundle, tmp_path):
    ids, layers = [], []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        config, workspace = open_shop(folder, bundle, COMPOSE)
        arguments = {"SERVING_BASE": "pushcart-test-base:1", "MODEL_VERSION": "3", "COMMIT": "abc"}
        arguments |= {"DECISION": "PROMOTE", "DATA_DIGEST": "sha256:0"}
        arguments["BUNDLE_DIGEST"] = digest_of(bundle)
        context = contexts.model_context(config, workspace, described(config, workspace))
        ids.append(build(engine, f"pushcart-corner-model:{number}", context, arguments))
        layers.append(engine.images.get(ids[-1]).attrs["RootFS"]["Layers"])
    assert layers[0] == layers[1]
    assert len(layers[0]) == 3  # base, configuration, bundle
    held = engine.images.get(ids[0])
    assert held.attrs["Config"]["User"] == "10001:10001"
    assert held.attrs["Config"]["Entrypoint"][0] == "/usr/bin/tensorflow_model_server"
    assert held.labels["shop.pushcart.bundle-digest"] == digest_of(bundle)
    assert held.labels["org.opencontainers.image.version"] == "3"
    assert held.labels["org.opencontainers.image.revision"] == "abc"
    assert held.labels["shop.pushcart.data-digest"] == "sha256:0"
    assert held.labels["shop.pushcart.decision"] == "PROMOTE"
    assert files_of(engine, ids[0], "/models/next_item/3") == {
        path.relative_to(bundle).as_posix(): digest_of(path)
        for path in bundle.rglob("*")
        if path.is_file()
    }


def files_of(engine, identity: str, folder: str) -> dict[str, str]:
    """Files of an image's folder with their digests, read out of a container never started."""
    container = engine.api.create_container(identity)
    try:
        stream, _ = engine.api.get_archive(container, folder)
        content = io.BytesIO(b"".join(stream))
    finally:
        engine.api.remove_container(container)
    found = {}
    with tarfile.open(fileobj=content) as archive:
        for entry in archive:
            if entry.isfile():
                content_digest = hashlib.sha256(archive.extractfile(entry).read()).hexdigest()
                found[entry.name.partition("/")[2]] = f"sha256:{content_digest}"
    return found


def test_a_missing_base_image_is_told_with_what_to_do(engine, bundle, tmp_path, monkeypatch):
    """The gateway's base is not there: the stage ends with exit 4 and writes no release."""
    monkeypatch.setattr("ci.images.find_engine", lambda: engine)
    config, workspace = open_shop(tmp_path, bundle, COMPOSE, "shop")
    with pytest.raises(
        UnavailableError, match=r"pushcart-corner-gateway:3 cannot be built(.|\n)*base"
    ):
        image.run(config, workspace)
    assert not workspace.path("../release.json").exists()


def test_the_gateways_files_are_complete(bundle, tmp_path):
    """What the gateway's image holds answers on its own, with nothing else of ours on the path."""
    config, workspace = open_shop(tmp_path, bundle, COMPOSE)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    layer = packages_tar("gateway", "amd64")
    release = described(config, workspace)
    context = contexts.gateway_context(workspace, release, card_of(bundle), layer, scratch)
    inside = tmp_path / "inside"
    with normalised_tar(context) as file, tarfile.open(fileobj=file) as archive:
        archive.extractall(inside, filter="data")
    with tarfile.open(inside / "release.tar") as archive:
        archive.extractall(inside, filter="data")
    script = (
        "import pathlib, sys\n"
        "from serving.gateway_server import read_release, USERS\n"
        "from serving.gateway.shoppers import ShopperStore\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "print(read_release(folder), len(ShopperStore(folder / USERS).events('anna')))\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'tensorflow', 'ci'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, inside / "release"],
        env={"PYTHONPATH": str(inside / "app"), "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, foreign = done.stdout.splitlines()
    assert told == (
        "('next_item', Served(model_version=3, digest="
        f"'{digest_of(bundle)}', top_k=10, history_length=6, frequent_length=4)) 2"
    )
    assert foreign == "[]"


@pytest.mark.parametrize("name", ["Dockerfile", "gateway.Dockerfile", "embedded.Dockerfile"])
def test_the_dockerfiles_are_clean_and_need_no_buildkit(name):
    path = PROJECT / "serving" / name
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    text = path.read_text()
    for word in ("# syntax=", "RUN --mount", "COPY --link", "<<", "pip install", "apt-get"):
        assert word not in text
    if name != "embedded.Dockerfile":
        assert text.rindex("ADD ") > text.index("ENTRYPOINT [")
