"""The minimal Debian: what it holds, that it is made once, and what is told when it cannot be."""

import pytest

from ci.config import machine_cache
from ci.errors import UnavailableError
from ci.rehearsal.debian import REPOSITORY, debian_base
from tests.docker_engine import docker_engine
from tests.services import require_service

PACKAGES = ("python3", "python3-venv")


@pytest.fixture(scope="module")
def engine():
    require_service("debian")
    with docker_engine() as client:
        yield client


def test_the_base_runs_its_packages_and_stays_small(engine):
    tag = debian_base(engine, PACKAGES)
    assert tag.startswith(f"{REPOSITORY}:")
    image = engine.images.get(tag)
    assert image.attrs["Size"] < 130e6  # 103 MB; with Perl's modules it were 150
    script = "import http.server, ensurepip, socket; print(socket.gethostname())"
    words = ["/usr/bin/python3", "-c", script]
    said = engine.containers.run(tag, words, network_mode="none", hostname="inside", remove=True)
    assert said == b"inside\n"
    look = ["/bin/bash", "-c", "cat /etc/debian_version; ls /usr/bin/apt-get /usr/share/man/man1"]
    seen = engine.containers.run(tag, [*look[:2], f"{look[2]} 2>/dev/null || true"], remove=True)
    assert seen.startswith(b"12.")
    assert len(seen.splitlines()) == 1  # neither apt nor manuals


def test_it_is_made_once_a_machine_whatever_the_order(engine):
    tag = debian_base(engine, PACKAGES)
    archive = machine_cache() / f"debian-{tag.partition(':')[2]}.tar"
    made = archive.stat().st_mtime_ns
    engine.images.remove(tag)
    assert debian_base(engine, [*reversed(PACKAGES), "python3"]) == tag
    assert archive.stat().st_mtime_ns == made
    assert engine.images.get(tag)


def test_an_unknown_package_is_told_and_leaves_nothing(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UnavailableError, match=r"no-such-package-here(.|\n)*run the same command"):
        debian_base(engine, ["no-such-package-here"])
    assert [path.suffix for path in (tmp_path / "pushcart").iterdir()] == [".lock"]


def test_without_the_program_the_way_to_install_it_is_told(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="bin/ci services debian"):
        debian_base(engine, ["python3"])
