"""The builder of overlays makes what kustomize makes, and refuses what it does not know."""

import re
import shutil
import subprocess

import pytest
import yaml

from ci.errors import UsageError
from ci.kubernetes.kustomize import KustomizeError, as_text, build, identity
from ci.kubernetes.rendering import overlay_of, values
from tests.ci.kubernetes.sample import DIGESTS, ENVIRONMENT, load, rendered
from tests.services import NOT_RUN_HERE

OVERLAY = overlay_of(ENVIRONMENT)


@pytest.fixture
def files(tmp_path):
    return rendered(load(tmp_path))


def by_identity(objects):
    return {identity(one): one for one in objects}


def test_it_makes_what_kustomize_makes(files, tmp_path):
    kubectl = shutil.which("kubectl")
    told = subprocess.run(
        [kubectl or "false", "version", "--client"], capture_output=True, text=True, check=False
    )
    kustomize = re.search(r"Kustomize Version: v(\d+)", told.stdout)
    if not kustomize or int(kustomize[1]) < 5:
        pytest.skip(f"{NOT_RUN_HERE} no kubectl with kustomize 5 (compares our builder with it)")
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    done = subprocess.run(
        [kubectl, "kustomize", tmp_path / OVERLAY], capture_output=True, text=True, check=True
    )
    theirs = by_identity(yaml.safe_load_all(done.stdout))
    assert by_identity(build(files, OVERLAY)) == theirs
    assert len(theirs) == 13


def test_the_overlay_names_scales_and_pins(files):
    objects = by_identity(build(files, OVERLAY, DIGESTS))
    namespaced = [one for one in objects.values() if one["kind"] != "Namespace"]
    assert {one["metadata"]["namespace"] for one in namespaced} == {"corner-cluster"}
    for name in ("model-7", "gateway"):
        scaler = objects["HorizontalPodAutoscaler", name]
        assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 12)
    (container,) = objects["Deployment", "gateway"]["spec"]["template"]["spec"]["containers"]
    image = f"registry.example.com:5443/shops/corner-gateway@sha256:{'2b' * 32}"
    assert container["image"] == image


def test_the_namespace_comes_before_what_lives_in_it(files):
    objects = list(yaml.safe_load_all(as_text(build(files, OVERLAY))))
    assert objects[0]["kind"] == "Namespace"
    assert objects == build(files, OVERLAY)


def test_an_unfilled_overlay_names_images_that_no_registry_has(files):
    for one in build(files, OVERLAY):
        for container in (
            one.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
        ):
            assert container["image"].endswith(f"@sha256:{'0' * 64}")


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        (
            f"{OVERLAY}/kustomization.yaml",
            "namespace: ",
            "namePrefix: a\nnamespace: ",
            "namePrefix",
        ),
        (f"{OVERLAY}/kustomization.yaml", "path: scaling", "path: other", "other.yaml is named"),
        (f"{OVERLAY}/scaling.yaml", "name: gateway", "name: door", "Autoscaler/door, which is not"),
        (f"{OVERLAY}/scaling.yaml", "minReplicas: 3", "metrics: []", "the list `metrics`"),
        ("base/gateway.yaml", "pushcart-gateway", "elsewhere", "no container has the image"),
    ],
)
def test_what_cannot_be_built_is_named(files, path, old, new, message):
    assert old in files[path]
    files[path] = files[path].replace(old, new)
    with pytest.raises(KustomizeError, match=message):
        build(files, OVERLAY)


def test_the_base_is_equal_in_every_environment(tmp_path):
    config = load(tmp_path)
    other = config.settings.model_copy(
        update={"environments": {"cluster": config.environment.model_copy(update={"replicas": 5})}}
    )
    first, second = rendered(config), rendered(type(config)(other, config.path, config.options))
    assert first != second
    assert {path for path in first if first[path] != second[path]} == {f"{OVERLAY}/scaling.yaml"}


@pytest.mark.parametrize("shop", ["corner_shop", "a" * 41])
def test_a_name_that_no_namespace_can_have_is_refused(tmp_path, shop):
    config = load(tmp_path)
    settings = config.settings.model_copy(
        update={
            "shop": config.shop.model_copy(update={"name": shop}),
            "environments": {"c" * 41: config.environment},
        }
    )
    with pytest.raises(UsageError, match="would be its namespace"):
        values(type(config)(settings, config.path, config.options), "c" * 41, 7)
