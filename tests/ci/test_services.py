"""Which packages `bin/ci services` installs, by which right, and what it says when it cannot."""

import re
from pathlib import Path

import pytest

from ci import services
from ci.errors import UnavailableError
from ci.services import SERVICES, Service, apt_commands, find_program, packages_for


def service(*programs: str, packages: tuple[str, ...] = ("a-package",)) -> Service:
    return Service("some", "for a test", programs, packages)


def test_what_is_there_is_not_installed_again_and_a_package_is_named_once():
    lacking = service("sh", "no-such-program", packages=("a", "b"))
    assert lacking.missing() == ["no-such-program"]
    assert packages_for([service("sh"), lacking, service("/no/file.jar", packages=("b", "c"))]) == [
        "a",
        "b",
        "c",
    ]


def test_root_installs_directly_and_a_user_through_sudo():
    update, install = apt_commands(["haproxy"], root=True, sudo=False)
    assert update[0] == "env"
    assert update[-1] == "update"
    assert install[-1] == "haproxy"
    assert "--no-install-recommends" in install
    assert all(command[0] == "sudo" for command in apt_commands(["x"], root=False, sudo=True))


def test_a_user_without_sudo_gets_the_command_for_an_administrator():
    with pytest.raises(UnavailableError, match=re.escape("apt-get install -y chromium haproxy")):
        apt_commands(["chromium", "haproxy"], root=False, sudo=False)


def test_check_names_what_is_missing_and_installs_nothing(monkeypatch, capsys):
    monkeypatch.setattr(services, "SERVICES", (service("sh"), service("no-such-program")))
    with pytest.raises(UnavailableError, match=r"Not installed: some\. Run: bin/ci services"):
        services.run(["--check"])
    assert "missing: no-such-program" in capsys.readouterr().out


def test_an_unknown_service_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as stopped:
        services.run(["oracle"])
    assert stopped.value.code == 2
    assert "no service oracle; there are postgresql" in capsys.readouterr().err


def test_programs_beside_the_path_are_found_newest_first(monkeypatch, tmp_path):
    for version in ("9", "15", "17"):
        place = tmp_path / version / "bin"
        place.mkdir(parents=True)
        (place / "pushcart-initdb").write_text("#!/bin/sh\n")
        (place / "pushcart-initdb").chmod(0o755)
    monkeypatch.setattr(services, "SERVER_FOLDERS", (f"{tmp_path}/*/bin",))
    assert find_program("pushcart-initdb") == tmp_path / "17" / "bin" / "pushcart-initdb"
    assert find_program("pushcart-nothing") is None


def test_the_table_is_complete():
    names = [entry.name for entry in SERVICES]
    assert len(names) == len(set(names))
    for entry in SERVICES:
        assert entry.programs
        assert entry.packages
        assert all(Path(program).is_absolute() for program in entry.programs if "/" in program)
