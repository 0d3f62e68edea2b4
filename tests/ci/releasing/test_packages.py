"""The layer of packages: from the lock's hashes, the same bytes each time, nothing besides."""

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ci.errors import UnavailableError, UsageError
from ci.locks.vendoring import pins
from ci.locks.wheelhouse import this_python
from ci.releasing.packages import INSIDE, PYTHON, installed, packages_tar


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    """Nothing is made yet; what uv downloaded is kept, so that it need not come twice."""
    monkeypatch.setenv("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pushcart"


def test_equal_packages_are_an_equal_layer(fresh_cache):
    layer = packages_tar("gateway", "amd64")
    first, made = layer.read_bytes(), layer.stat().st_mtime_ns
    assert packages_tar("gateway", "amd64").stat().st_mtime_ns == made  # made once a machine
    shutil.rmtree(fresh_cache)
    assert packages_tar("gateway", "amd64").read_bytes() == first


def test_it_holds_what_the_lock_says():
    layer = packages_tar("gateway", "amd64")
    assert installed(layer) == dict(pins("gateway").keys())
    with tarfile.open(layer) as archive:
        entries = archive.getmembers()
    names = [entry.name for entry in entries]
    assert all(name == "app" or name.startswith(INSIDE) for name in names)
    assert {(entry.mtime, entry.uid, entry.gid) for entry in entries} == {(0, 0, 0)}
    assert not [name for name in names if "/tests/" in name or name.startswith(f"{INSIDE}/bin")]
    assert f"{INSIDE}/uvicorn/__init__.py" in names
    compiled = f"{INSIDE}/uvicorn/__pycache__/__init__.cpython-311.pyc"
    assert (compiled in names) == (this_python() == PYTHON)


def test_another_architecture_has_its_own_wheels():
    layer = packages_tar("gateway", "arm64")
    with tarfile.open(layer) as archive:
        libraries = [name for name in archive.getnames() if name.endswith(".so")]
    assert libraries
    assert not [name for name in libraries if "x86_64" in name]


@pytest.mark.skipif(this_python() != PYTHON, reason="not run here: the layer is for Python 3.11")
def test_its_compiled_files_are_used_and_never_checked(tmp_path):
    """Their sources have no dates in a layer: a check would compile them anew at each start."""
    with tarfile.open(packages_tar("gateway", "amd64")) as archive:
        archive.extractall(tmp_path, filter="data")
    script = "import sys, h11; print(h11.__cached__, h11.__file__)\n"
    folder = tmp_path / INSIDE
    source = folder / "h11" / "__init__.py"
    source.write_text("raise RuntimeError('compiled anew')\n")
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "h11/__pycache__/__init__.cpython-311.pyc" in done.stdout


def test_without_network_the_vendored_folder_is_asked(fresh_cache, tmp_path):
    with pytest.raises(UsageError, match="bin/ci vendor DIR"):
        packages_tar("gateway", "amd64", tmp_path)
    (tmp_path / "linux-x86_64-py3.11").mkdir()
    (tmp_path / "linux-x86_64-py3.11" / "vendor.json").write_text("{}")
    with pytest.raises(UnavailableError, match="collected without the role gateway"):
        packages_tar("gateway", "amd64", tmp_path)


def test_the_versions_are_read_from_the_packages_own_metadata(tmp_path):
    layer = tmp_path / "layer.tar"
    with tarfile.open(layer, "w") as archive:
        name = f"{INSIDE}/Typing_Extensions-4.1.dist-info/METADATA"
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert installed(layer) == {"typing-extensions": "4.1"}
