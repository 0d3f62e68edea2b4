"""`bin/ci hosts try` says what it lacks before it starts anything, and writes what a shop needs."""

import shutil
from pathlib import Path

import pytest

from ci.__main__ import main
from ci.config import Options, load_config
from ci.rehearsal.hosts import Rehearsal, inventory_text
from ci.rehearsal.machines import Host
from ci.rehearsal.registry import ContainerRegistry
from ci.rehearsal.shop import open_shop
from ci.rehearsal.trying import next_steps
from ci.releasing.signing import read_signers
from ci.rollout.ansible import inventory_of


def host(number):
    name = f"host{number}"
    return Host(name, f"pushcart-1-{name}", "pushcart-1", f"10.1.2.{number}", number, 80 + number)


@pytest.fixture
def rehearsal(tmp_path):
    hosts = (host(1), host(2))
    (tmp_path / "inventory.yml").write_text(inventory_text(hosts))
    places = [tmp_path / name for name in ("id_ed25519", "known_hosts", "inventory.yml")]
    return Rehearsal(hosts, "10.1.2.1", *places, None)


@pytest.fixture
def registry(tmp_path):
    authority = tmp_path / "elsewhere.crt"
    authority.write_text("an authority")
    return ContainerRegistry("10.1.2.1:5000", "me", "it's $ecret", authority, Path(), Path())


def test_the_shop_is_one_that_the_pipeline_takes(rehearsal, registry, tmp_path, monkeypatch):
    shop = open_shop(rehearsal, registry, "unix:///engine/sock", tmp_path)
    config = load_config(shop.settings, options=Options(environment="rehearsal"))
    assert config.environment.target == "hosts"
    assert inventory_of(config) == rehearsal.inventory
    assert config.source_path(config.environment.known_hosts) == str(rehearsal.known_hosts)
    assert Path(config.source_path(config.images.ca_file)).read_text() == "an authority"
    assert config.images.registry == "10.1.2.1:5000/rehearsal"
    assert config.state == tmp_path / "var/rehearsal"
    monkeypatch.setenv("PUSHCART_SIGNING_KEY", str(tmp_path / "signing-key.pem"))
    assert len(read_signers(config, override=False)) == 1


def test_where_the_command_docker_is_not_here_it_is_said_how_to_get_it(
    rehearsal, registry, tmp_path, monkeypatch
):
    shop = open_shop(rehearsal, registry, "unix:///engine/sock", tmp_path)
    hint = "(needs `apt-get install docker-cli`)"
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert hint in next_steps(rehearsal, shop)
    (tmp_path / "bin/docker").write_text("#!/bin/sh\n")
    (tmp_path / "bin/docker").chmod(0o755)
    assert hint not in next_steps(rehearsal, shop)


def test_credentials_come_by_variables_that_a_shell_reads(rehearsal, registry, tmp_path):
    shop = open_shop(rehearsal, registry, "unix:///engine/sock", tmp_path)
    assert shop.variables.read_text().splitlines() == [
        "export DOCKER_HOST=unix:///engine/sock",
        f"export DEPLOY_KEY_FILE={tmp_path}/id_ed25519",
        f"export PUSHCART_SIGNING_KEY={tmp_path}/signing-key.pem",
        "export CONTAINER_REGISTRY_USERNAME=me",
        """export CONTAINER_REGISTRY_PASSWORD='it'"'"'s $ecret'""",  # pragma: allowlist secret
    ]
    assert "$ecret" not in shop.settings.read_text()


def test_the_next_steps_name_these_hosts_and_files(rehearsal, registry, tmp_path):
    shop = open_shop(rehearsal, registry, "unix:///engine/sock", tmp_path)
    said = next_steps(rehearsal, shop)
    assert "host1  127.0.0.1:81\n  host2  127.0.0.1:82\n" in said
    assert f"  bin/ci --config {shop.settings} hosts prepare --environment rehearsal\n" in said
    assert "docker kill pushcart-1-host1 " in said
    assert "$ecret" not in said


@pytest.mark.parametrize("count", ["0", "10", "-1"])
def test_so_many_hosts_are_none(count, capsys):
    assert main(["hosts", "try", "--count", count]) == 2
    assert f"--count {count}: a rehearsal has 1 to 9 hosts." in capsys.readouterr().err


def test_what_is_missing_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("ci.services.SERVER_FOLDERS", ())
    assert shutil.which("ssh-keygen") is None
    assert main(["hosts", "try"]) == 4
    said = capsys.readouterr()
    assert "these are not installed: docker-registry, dockerd, htpasswd, iptables" in said.err
    assert "ssh-keygen. Run: bin/ci services docker debian ssh registry" in said.err
    assert said.out == ""


def test_help_teaches(capsys):
    assert main(["hosts", "try", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "usage: bin/ci hosts try [--count N]" in printed
    assert "Ctrl-C ends and removes everything." in printed
    assert "bin/ci services docker debian ssh registry" in printed
