"""`bin/ci manifests`: only the digests of the release at hand, or a reason why not."""

import json

import pytest
import yaml

from ci.__main__ import main
from tests.ci.kubernetes.sample import ENVIRONMENT, load, rendered

REGISTRY = "registry.example.com:5443/shops"


@pytest.fixture
def command(tmp_path, capsys):
    """Returns a function that runs the command over a release; its exit code and what it said."""
    config = load(tmp_path)
    for path, text in rendered(config).items():
        target = config.build / "manifests" / ENVIRONMENT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def command(release=None, environment=ENVIRONMENT):
        if release is not None:
            (config.build / "release.json").write_text(json.dumps(release))
        code = main(["--config", str(config.path), "manifests", "--environment", environment])
        told = capsys.readouterr()
        return code, told.out or told.err

    return command


def release(**changes):
    images = {
        part: {"name": f"{REGISTRY}/corner-{part}", "tag": "7", "digest": f"sha256:{byte * 32}"}
        for part, byte in {"model": "1a", "gateway": "2b"}.items()
    }
    return {"release": 7, "images": images} | changes


def test_the_images_are_those_of_the_release(command):
    code, text = command(release())
    assert code == 0
    images = {
        container["image"]
        for one in yaml.safe_load_all(text)
        for container in one.get("spec", {})
        .get("template", {})
        .get("spec", {})
        .get("containers", [])
    }
    assert images == {
        f"{REGISTRY}/corner-model@sha256:{'1a' * 32}",
        f"{REGISTRY}/corner-gateway@sha256:{'2b' * 32}",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": {}}, "no pushed image"),
        (
            {"images": {"model": {"name": "elsewhere/corner-model", "digest": "sha256:1"}}},
            "no pushed",
        ),
        ({"release": 8}, "not of release 8"),
    ],
)
def test_manifests_and_release_that_do_not_belong_together_are_refused(command, changes, message):
    code, text = command(release(**changes))
    assert code == 6
    assert message in text


def test_altered_manifests_are_refused(command, tmp_path):
    path = tmp_path / "build/corner/manifests/cluster/base/gateway.yaml"
    path.write_text(path.read_text().replace("targetPort: http", "targetPort: rest"))
    code, text = command(release())
    assert code == 6
    assert "Service/gateway leads to port 'rest'" in text


def test_a_stage_that_did_not_run_is_named(command):
    assert command() == (2, command()[1])
    assert "Run `bin/ci image` first" in command()[1]


def test_another_target_has_nothing_to_apply(command):
    code, text = command(release(), "local")
    assert code == 2
    assert "target = 'process'" in text


def test_deploy_names_the_way(tmp_path, capsys):
    config = load(tmp_path)
    code = main(["--config", str(config.path), "deploy", "--environment", ENVIRONMENT])
    assert code == 2
    assert "bin/ci manifests --environment cluster | kubectl apply" in capsys.readouterr().err
