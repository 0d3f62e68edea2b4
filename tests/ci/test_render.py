"""Stage `render`: golden manifests, read back by the programs that will read them."""

import re
import subprocess
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from ci.config import Options, load_config
from ci.services import find_program
from ci.stages import render
from ci.workspace import Workspace, digest_of
from model.bundle.card import BATCH_SIZES
from serving.embedded.config_files import (
    model_settings,
    read_batching,
    read_metrics_path,
    read_model_config,
)
from tests.services import require_service

GOLDEN = Path(__file__).with_name("manifests")
ENVIRONMENTS = ("local", "compose", "staging", "cluster")
SETTINGS = """
[shop]
name = "corner"
[images]
registry = "registry.example.com/shops"
[storage]
build = "{folder}/build"
state = "var"
[environments.local]
target = "process"
[environments.compose]
target = "compose"
port = 8600
[environments.staging]
target = "hosts"
port = 8700
[environments.cluster]
target = "kubernetes"
replicas = 3
max_replicas = 12
"""


def make_workspace(folder: Path):
    (folder / "shop.toml").write_text(SETTINGS.format(folder=folder))
    config = load_config(folder / "shop.toml", {}, Options())
    workspace = Workspace(config.build, config.build / "next_item")
    workspace.write_json("bundle.json", {"model_version": 7, "path": "bundle/7"})
    workspace.write_json("bundle/7/card.json", {"batch_sizes": list(BATCH_SIZES)})
    return config, workspace


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    config, workspace = make_workspace(tmp_path_factory.mktemp("corner"))
    assert render.run(config, workspace) == "24 files for local, compose, staging, cluster"
    return workspace.path("../manifests")


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_manifests_are_the_golden_ones(rendered, environment):
    """A wanted change: look at the difference, then copy the new files over the golden ones."""
    assert files(rendered / environment) == files(GOLDEN / environment)


def test_rendering_again_changes_nothing(rendered, tmp_path):
    config, workspace = make_workspace(tmp_path)
    render.run(config, workspace)
    assert digest_of(workspace.path("../manifests")) == digest_of(rendered)


def test_the_image_is_the_same_for_every_environment(rendered):
    """Staging and production take one digest, so what is baked in must not differ."""
    baked = [files(rendered / environment / "tfs") for environment in ENVIRONMENTS]
    assert all(one == baked[0] for one in baked)


def test_the_model_server_reads_its_files(rendered):
    folder = rendered / "compose" / "tfs"
    models = model_settings(read_model_config(folder / "models.config"))
    assert list(models) == ["next_item"]
    assert models["next_item"].base_path == Path("/models/next_item")
    assert models["next_item"].policy.specific == {7}
    assert dict(models["next_item"].labels) == {"stable": 7}
    batching = read_batching(folder / "batching_parameters.txt")
    assert batching.allowed_sizes == BATCH_SIZES
    assert batching.max_batch_size == max(BATCH_SIZES)
    assert batching.timeout_seconds == 0.001
    assert read_metrics_path(folder / "monitoring.config") == "/monitoring/prometheus/metrics"


def check_proxy(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let HAProxy check a configuration; what it finds on its host lies in the folder."""
    (folder / "live.map").write_text("live blue\n")
    text = re.sub(r"/\S+/live\.map", str(folder / "live.map"), text)
    (folder / "haproxy.cfg").write_text(text)
    command = [find_program("haproxy"), "-c", "-f", str(folder / "haproxy.cfg")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("environment", ["compose", "staging"])
def test_haproxy_accepts_its_configuration(rendered, tmp_path, environment):
    require_service("haproxy")
    text = (rendered / environment / "haproxy.cfg").read_text("utf-8")
    done = check_proxy(text, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_haproxy_refuses_a_broken_configuration(rendered, tmp_path):
    """The check above has teeth: one misspelled word and it fails."""
    require_service("haproxy")
    text = (rendered / "compose" / "haproxy.cfg").read_text()
    broken = text.replace("timeout connect", "timeout conect")
    assert check_proxy(broken, tmp_path).returncode != 0


def test_the_proxy_of_containers_stands_in_front_of_the_same_ports(rendered):
    """It is a container, so its folder is elsewhere; the rest is as on target hosts."""
    compose, hosts = (
        (rendered / name / "haproxy.cfg").read_text("utf-8") for name in ("compose", "staging")
    )
    for there, here in (
        ("environment staging", "environment compose"),
        ("127.0.0.1:87", "127.0.0.1:86"),
        ("/run/pushcart-corner-staging/", "/run/pushcart/"),
        ("/var/lib/pushcart-corner-staging/", "/run/pushcart/"),
    ):
        hosts = hosts.replace(there, here)
    assert compose == hosts
    assert "stats socket /run/pushcart/proxy.sock mode 600" in compose
    assert "server gateway 127.0.0.1:8601\n" in compose
    assert "server gateway 127.0.0.1:8602\n" in compose


@pytest.mark.parametrize(
    ("bind", "said"),
    [
        ("127.0.0.1", "127.0.0.1:8600"),
        ("0.0.0.0", "0.0.0.0:8600"),  # noqa: S104
        ("::", ":::8600"),
        ("192.0.2.7", "192.0.2.7:8600,127.0.0.1:8600"),  # a deploy asks the loopback address
    ],
)
def test_shoppers_reach_it_at_the_address_that_is_set(tmp_path, bind, said):
    config, _ = make_workspace(tmp_path)
    config = load_config(config.path, {"environments.compose.bind": bind}, Options())
    assert f"  bind {said}\n" in render.door(config, "compose")


def test_the_live_colour_is_looked_up_and_nobody_s_before_a_release(rendered):
    for environment in ("compose", "staging"):
        text = (rendered / environment / "haproxy.cfg").read_text("utf-8")
        (choice,) = [line.split() for line in text.splitlines() if "use_backend" in line]
        assert re.fullmatch(r"%\[str\(live\),map\(/\S+/live\.map,none\)\]", choice[1])
        assert "default_backend" not in text
        assert "backend none\n  http-request deny deny_status 503\n" in text


def test_a_value_that_a_template_lacks_is_an_error(tmp_path, monkeypatch):
    config, workspace = make_workspace(tmp_path)
    (tmp_path / "models.config.j2").write_text("{{ nobody_knows }}")
    monkeypatch.setattr(render, "TEMPLATES", tmp_path)
    with pytest.raises(UndefinedError, match="nobody_knows"):
        render.run(config, workspace)
    assert not workspace.path("../manifests").exists()
