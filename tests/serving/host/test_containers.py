"""Containers of a real engine: hardened, named, replaced, and their last words."""

import time

import docker
import pytest

from ci.releasing.bases import gateway_base
from serving.host import containers
from serving.host.calls import CallError, call
from serving.host.containers import Container, DockerError
from tests.rollout_places import socket_of
from tests.rollout_shop import eventually, unused_port
from tests.services import require_service

NETWORK = "pushcart-test"
SERVER = """
import http.server, json, os, signal, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"user": os.getuid(), "said": sys.argv[1]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.HTTPServer(("0.0.0.0", 8080), Answer).serve_forever()
"""
FAILS = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"


@pytest.fixture(scope="module")
def image(host_engine: docker.DockerClient) -> str:
    require_service("debian")
    containers.ensure_network(NETWORK)
    containers.ensure_network(NETWORK)  # a second time changes nothing
    assert len(host_engine.networks.list(names=[NETWORK])) == 1
    return gateway_base(host_engine)


@pytest.fixture
def name(host_engine: docker.DockerClient):
    """A name; no container of the test is left."""
    yield "corner-shop-blue-model"
    for one in host_engine.containers.list(all=True):
        one.remove(force=True)


def serving(name: str, image: str, said: str = "hello", port: int = 0) -> Container:
    port = port or unused_port()
    return Container(name, image, NETWORK, {8080: port}, ["python3", "-c", SERVER, said])


def said_at(container: Container) -> str:
    try:
        return call(f"127.0.0.1:{container.ports[8080]}", "/").body["said"]
    except CallError:
        return ""


def test_it_runs_hardened_and_is_reached_from_this_machine_alone(host_engine, image, name):
    container = serving(name, image)
    containers.run(container)
    eventually(lambda: said_at(container) == "hello")
    assert containers.is_running(name)
    known = containers.inspect(name)["HostConfig"]
    assert (known["ReadonlyRootfs"], known["CapDrop"]) == (True, ["ALL"])
    assert known["PortBindings"]["8080/tcp"][0]["HostIp"] == "127.0.0.1"
    one = host_engine.containers.get(name)
    code, told = one.exec_run(["touch", "/x"])
    assert code != 0
    assert b"Read-only file system" in told
    assert one.exec_run(["touch", "/tmp/x"]).exit_code == 0  # noqa: S108  inside


def test_it_takes_the_place_of_one_of_its_name(image, name):
    first = serving(name, image, "first")
    containers.run(first)
    eventually(lambda: said_at(first) == "first")
    second = serving(name, image, "second", first.ports[8080])
    containers.run(second)
    eventually(lambda: said_at(second) == "second")


def test_only_its_whole_name_is_meant(image, name):
    containers.run(serving(f"{name}-2", image))
    assert containers.inspect(name) is None
    assert not containers.is_running(name)


def test_one_that_ends_at_once_does_not_count_as_running(image, name):
    container = serving(name, image)
    failing = Container(name, image, NETWORK, container.ports, ["python3", "-c", FAILS])
    containers.run(failing)
    eventually(lambda: containers.inspect(name)["RestartCount"] > 0)
    eventually(lambda: not containers.is_running(name))
    assert set(containers.last_words(name)) == {"one", "two"}


def test_a_removed_one_was_asked_to_end_first(host_engine, image, name):
    container = serving(name, image)
    containers.run(container)
    eventually(lambda: said_at(container) == "hello")
    since = int(time.time())
    containers.remove(name, grace_seconds=10)
    assert containers.inspect(name) is None
    events = host_engine.events(since=since, until=int(time.time()) + 1, decode=True)
    ended = [one["Actor"]["Attributes"] for one in events if one.get("Action") == "die"]
    # Killed it would be 137.
    assert [one["exitCode"] for one in ended if one["name"] == name][-1:] == ["0"]
    containers.remove(name)  # none is no trouble


def test_what_the_engine_refuses_is_told(image, name):
    with pytest.raises(DockerError, match=r"`docker run` failed: .*[Nn]o such image"):
        containers.run(serving(name, f"sha256:{'0' * 64}"))
    taken = serving(name, image)
    containers.run(taken)
    with pytest.raises(DockerError, match=r"`docker run` failed: (.|\n)*port is already allocated"):
        containers.run(serving(f"{name}-2", image, port=taken.ports[8080]))


def test_without_an_engine_it_is_told(host_engine, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(DockerError, match=r"`docker ps` failed: .*nobody\.sock"):
        containers.is_running("anything")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket_of(host_engine)}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DockerError, match="the program docker cannot be started"):
        containers.is_running("anything")
