"""What only target `compose` has: its proxy, its engine, and when it wants a signature.

One story of one shop, in its order.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from ci.releasing import keys
from ci.rollout.client import find_record
from tests.rollout_places import Place, names_of, of_compose, pack_images
from tests.rollout_shop import eventually
from tests.services import require_service
from tests.shoppers import Shoppers

PROXY = "rollout-local-proxy"
KEYS = '[signing]\npublic_keys = "keys"\n'


@pytest.fixture(scope="module")
def place(engine, tmp_path_factory, released_model: Path) -> Iterator[Place]:
    """A shop of which release 1 serves."""
    require_service("openssl")
    with of_compose(tmp_path_factory.mktemp("shop"), released_model, engine, KEYS) as one:
        one.export(1)
        assert one.ci("deploy") == 0
        yield one


def ids(engine: docker.DockerClient) -> dict[str, str]:
    """The containers that there are, by name."""
    return {one.name: one.id for one in engine.containers.list(all=True)}


def inspected(engine: docker.DockerClient, name: str) -> dict:
    return engine.containers.get(name).attrs


def test_everything_is_locked_in_and_reached_from_this_machine_alone(place: Place, engine):
    first = place.shop.config.environment.port
    assert set(ids(engine)) == {PROXY, *names_of(place, "blue")}
    for name in ids(engine):
        host = inspected(engine, name)["HostConfig"]
        assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        published = [one for ports in (host["PortBindings"] or {}).values() for one in ports]
        assert {one["HostIp"] for one in published} <= {"127.0.0.1"}
        assert {int(one["HostPort"]) for one in published} <= set(range(first + 1, first + 7))
    assert (place.shop.home / "proxy").stat().st_mode & 0o777 == 0o700


def test_the_gateway_is_told_the_clock_of_a_log_that_has_stopped(place: Place, engine):
    """2026-01-01 is the end of the log; one second later all of it is past."""
    gateway, _ = names_of(place, "blue")
    assert "--at=1767225601.0" in inspected(engine, gateway)["Args"]


def test_a_caller_who_goes_away_undoes_what_was_begun(place: Place, engine):
    place.export(2)
    before = ids(engine)

    def hang_up(news: dict) -> None:
        if news["step"] == "load":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        place.target.deploy(place.shop.config, place.shop.workspace, hang_up)
    assert place.states() == ["live", "failed"]
    assert "the caller went away" in place.look()[0].record.history[-1].reason
    assert place.versions() == {1}
    assert ids(engine) == before


def test_the_proxy_starts_anew_when_its_configuration_changed_and_only_then(place: Place, engine):
    assert place.ci("deploy") == 0
    before = ids(engine)[PROXY]
    bind = place.shop.config.path.read_text().replace(
        "[environments.local]", "[environments.local]\nbind = '0.0.0.0'"
    )
    original = place.shop.config.path.read_text()
    place.shop.config.path.write_text(bind)
    assert place.ci("rollback") == 0
    assert ids(engine)[PROXY] != before
    assert place.versions() == {1}
    before = ids(engine)[PROXY]
    assert place.ci("rollback", "--to", "2") == 0
    assert ids(engine)[PROXY] == before
    place.shop.config.path.write_text(original)


def test_the_port_of_what_serves_cannot_be_changed_under_it(place: Place, capsys):
    port = place.shop.config.environment.port
    place.export(3)
    setting = f"environments.local.port={port + 10}"
    assert place.ci("--set", setting, "deploy") == 2
    told = capsys.readouterr().err
    assert f"release 2 is served at http://127.0.0.1:{port}" in told
    assert "serve --stop" in told
    assert place.versions() == {2}


def test_after_a_reboot_the_live_release_alone_serves(place: Place, engine):
    """Containers start in any order; what the proxy's file names is what counts."""
    assert place.ci("deploy") == 0
    everything = engine.containers.list()
    for one in everything:
        one.kill()
    assert place.versions() == {0}
    for one in sorted(everything, key=lambda one: one.name != PROXY):
        one.start()
    address = f"127.0.0.1:{place.shop.config.environment.port}"
    with Shoppers(address) as shoppers:
        eventually(lambda: place.versions() == {3}, seconds=60)
        shoppers.wait_for(50)
    assert {one.version for one in shoppers.asked if one.status == 200} == {3}
    assert place.ci("status") == 0


def test_a_release_whose_images_were_removed_is_not_gone_back_to(place: Place, engine, capsys):
    for one in engine.containers.list():
        if place.shop.record.other in one.name:
            one.remove(force=True)
    (line,) = [
        one
        for one in place.shop.record.history
        if one.model_version == 1 and one.state == "withdrawn"
    ][-1:]
    engine.images.remove(line.images["model"], force=True)
    assert place.ci("rollback", "--to", "1") == 6
    assert "is not on this host any more: its image sha256:" in capsys.readouterr().err
    assert place.versions() == {3}


def test_a_port_that_another_program_holds_is_named(place: Place, capsys):
    assert place.ci("serve", "--stop") == 0
    port = place.shop.config.environment.port
    with socket.create_server(("127.0.0.1", port)):
        assert place.ci("serve") == 4
    told = capsys.readouterr().err
    assert "The proxy rollout-local-proxy does not run" in told
    assert f"Free port {port}" in told
    assert place.ci("serve") == 0
    assert place.versions() == {3}
    assert place.ci("serve") == 0
    assert "release 3 is served at" in capsys.readouterr().out


def test_without_an_engine_it_says_so(place: Place, tmp_path, monkeypatch, capsys):
    place.export(4)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    assert place.ci("deploy") == 4
    assert "Docker" in capsys.readouterr().err
    assert place.ci("status") == 0  # the proxy answers all the same
    assert "unknown: `docker ps` failed" in capsys.readouterr().out
    assert place.versions() == {3}


def test_after_a_signed_release_none_goes_unsigned(
    place: Place, engine, tmp_path, monkeypatch, capsys
):
    keys.run(place.shop.config, "new", tmp_path / "release.pem")
    monkeypatch.setenv("PUSHCART_SIGNING_KEY", str(tmp_path / "release.pem"))
    place.export(5)
    assert place.ci("deploy") == 0
    assert place.shop.record.highest_sequence > 1_700_000_000
    monkeypatch.delenv("PUSHCART_SIGNING_KEY")
    place.export(6)
    before = ids(engine)
    assert place.ci("deploy") == 6
    assert "carries no release statement" in capsys.readouterr().err
    assert (ids(engine), place.versions()) == (before, {5})


def test_a_statement_of_something_else_is_refused_before_anything_starts(
    place: Place, engine, tmp_path, monkeypatch, capsys
):
    keys.run(place.shop.config, "new", tmp_path / "release.pem")
    monkeypatch.setenv("PUSHCART_SIGNING_KEY", str(tmp_path / "release.pem"))
    place.export(7)
    release = pack_images(place.shop)
    other = find_record(place.shop.config).live_colour.images["gateway"]
    release["images"]["gateway"]["reference"] = other
    place.shop.workspace.write_json("../release.json", release)
    before = ids(engine)
    assert place.ci("deploy") == 6
    assert f"would start image/gateway {other}" in capsys.readouterr().err
    assert (ids(engine), place.versions()) == (before, {5})
