"""The rendered systemd unit, as systemd reads it; tests/e2e/test_systemd.py starts it."""

import subprocess
import sys
from pathlib import Path

import pytest

from ci import systemd
from ci.config import Options, load_config
from ci.stages.render import manifests
from model.bundle.card import BATCH_SIZES
from tests.services import require_service

PYTHON = "/opt/pushcart/venv/bin/python"


def unit(folder: Path, environment: str = "local", port: int = 8500) -> Path:
    """The unit of an environment, its program replaced by one that is on this machine."""
    settings = folder / "shop.toml"
    settings.write_text(
        '[shop]\nname = "corner-of-the-long-street-and-the-square"\n'
        f'[gate]\nbaseline_environment = "{environment}"\n'
        f"[environments.{environment}]\nport = {port}\n"
    )
    config = load_config(settings, {}, Options(environment=environment))
    name = systemd.unit_of(config, environment)
    text = manifests(config, environment, 7, {"batch_sizes": BATCH_SIZES})[f"systemd/{name}"]
    assert f"ExecStart={PYTHON} -m serving.supervisor " in text
    (folder / name).write_text(text.replace(PYTHON, sys.executable))
    return folder / name


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    require_service("systemd")
    return subprocess.run(
        ["systemd-analyze", *map(str, words)], capture_output=True, text=True, check=False
    )


def test_systemd_finds_no_fault(tmp_path):
    done = analyze("verify", unit(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("KillMode=process", "KillMod=process", "Unknown key"),
        ("Restart=always", "Restart=allways", "Failed to parse service restart"),
    ],
)
def test_systemd_finds_what_is_planted(tmp_path, old, new, told):
    path = unit(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    assert told in analyze("verify", path).stderr


def test_systemd_calls_its_exposure_low(tmp_path):
    """1.7 of 10 here; systemd calls up to 2.0 the lowest but one of its grades."""
    done = analyze("security", "--offline=true", "--threshold=20", unit(tmp_path))
    assert done.returncode == 0, done.stdout
    path = unit(tmp_path)
    path.write_text(path.read_text().replace("CapabilityBoundingSet=\n", ""))
    assert analyze("security", "--offline=true", "--threshold=20", path).returncode != 0


def test_a_low_port_takes_one_capability_and_no_other(tmp_path):
    low, high = lines(unit(tmp_path, port=443)), lines(unit(tmp_path, port=8500))
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in low
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE" in low  # pragma: allowlist secret
    assert "CapabilityBoundingSet=" in high
    assert not [line for line in high if line.startswith("AmbientCapabilities")]


@pytest.mark.parametrize(("environment", "is_private"), [("production", True), ("e" * 20, False)])
def test_sockets_stay_where_bin_ci_looks_for_them(tmp_path, environment, is_private):
    """A path too long for a socket puts it into /tmp, which must be the one of all then."""
    told = lines(unit(tmp_path, environment))
    assert ("PrivateTmp=yes" in told) is is_private
    assert ("ReadWritePaths=/tmp" in told) is not is_private
