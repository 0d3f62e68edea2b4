"""Docker, SSH, ports and proxies: asked as they are, by real sockets and files."""

import http.server
import socket
import socketserver
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from ci.doctor import surroundings
from ci.doctor.finding import FINE, NEEDED, OPTIONAL, Wants
from ci.errors import UsageError
from tests.services import free_port

PASSWORD = "hunter2again"  # pragma: allowlist secret


def wants(folder: Path, text: str = "") -> Wants:
    path = folder / "pipeline.toml"
    path.write_text(text)
    return Wants.read(path, folder)


class Engine(http.server.BaseHTTPRequestHandler):
    version = "1.45"

    def do_GET(self):
        self.send_response(200 if self.path == "/_ping" else 404)
        if self.version:
            self.send_header("Api-Version", self.version)
        self.end_headers()

    def log_message(self, *words):
        pass

    def address_string(self):
        return "a socket's file has no address"


class Stranger(Engine):
    version = ""


@contextmanager
def listening(server):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


COMPOSE = '[environments.shop]\ntarget = "compose"\nport = 8600\n'


def test_an_engine_is_asked_at_its_socket(tmp_path):
    path = tmp_path / "docker.sock"
    with listening(socketserver.UnixStreamServer(str(path), Engine)):
        found = surroundings.docker(f"unix://{path}", wants(tmp_path))
    assert (found.state, found.seen) == (FINE, f"unix://{path}: API 1.45")


@pytest.mark.parametrize(
    ("settings", "state"),
    [("", OPTIONAL), (COMPOSE, NEEDED), ('[images]\nregistry = "r.example/x"\n', NEEDED)],
)
def test_an_engine_that_is_away_is_needed_by_what_is_configured(tmp_path, settings, state):
    address = f"tcp://127.0.0.1:{free_port()}"
    found = surroundings.docker(address, wants(tmp_path, settings))
    assert found.state == state
    assert "Connection refused" in found.seen
    assert ("shop need it" in found.seen) == (settings == COMPOSE)
    absent = surroundings.docker(f"unix://{tmp_path}/none.sock", wants(tmp_path, settings))
    assert (absent.state, "No such file" in absent.seen) == (state, True)


def test_who_is_no_engine_is_told(tmp_path):
    with listening(http.server.HTTPServer(("127.0.0.1", 0), Stranger)) as server:
        address = f"tcp://127.0.0.1:{server.server_port}"
        found = surroundings.docker(address, wants(tmp_path, COMPOSE))
    assert found.state == NEEDED
    assert "no Docker engine" in found.seen
    assert surroundings.docker("ssh://host", wants(tmp_path)).state == OPTIONAL


HOSTS = '[environments.production]\ntarget = "hosts"\nssh_key_env = "KEY"\n'


def told(folder, variables=None, settings=HOSTS):
    found = surroundings.ssh(wants(folder, settings), variables or {}, folder)
    return {one.name.split(" of ")[0]: one for one in found}


def test_without_hosts_no_key_is_wanted(tmp_path):
    (found,) = told(tmp_path, settings="").values()
    assert found.state == FINE


def test_hosts_want_an_inventory_a_key_and_known_hosts(tmp_path):
    found = told(tmp_path)
    assert [one.state for one in found.values()] == [NEEDED] * 3
    assert "ssh-keygen" in found["ssh key"].mend
    assert "ssh-keyscan" in found["known hosts"].mend
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text("host ssh-ed25519 AAAA\n")
    (tmp_path / "infra/ansible/inventories").mkdir(parents=True)
    (tmp_path / "infra/ansible/inventories/production.yml").write_text("all: {}\n")
    found = told(tmp_path, {"SSH_AUTH_SOCK": "/run/agent"})
    assert [one.state for one in found.values()] == [FINE] * 3


def test_a_key_that_others_can_read_is_told_before_ssh_refuses_it(tmp_path):
    key = tmp_path / "deploy-key"
    found = told(tmp_path, {"KEY": str(key)})
    assert "is not there" in found["ssh key"].seen
    key.write_text("key")
    key.chmod(0o644)
    found = told(tmp_path, {"KEY": str(key)})
    assert (found["ssh key"].state, found["ssh key"].mend) == (NEEDED, f"chmod 600 {key}")
    key.chmod(0o600)
    assert told(tmp_path, {"KEY": str(key)})["ssh key"].state == FINE


def test_a_key_is_found_as_ssh_finds_it(tmp_path):
    (tmp_path / ".ssh").mkdir()
    for name in ("id_ed25519", "id_ed25519.pub"):
        (tmp_path / ".ssh" / name).write_text("key")
        (tmp_path / ".ssh" / name).chmod(0o600)
    assert told(tmp_path)["ssh key"].seen.startswith(f"{tmp_path}/.ssh/id_ed25519 (")


def test_a_port_is_free_or_another_programs_or_the_shops_own(tmp_path):
    port = free_port()
    settings = wants(tmp_path, f"[environments.local]\nport = {port}\n")
    assert [one.state for one in surroundings.ports(settings)] == [FINE]
    with socket.create_server(("127.0.0.1", port)):
        (taken,) = surroundings.ports(settings)
        assert (taken.state, taken.seen) == (OPTIONAL, f"{port} taken by another program")
        record = tmp_path / "var/demo/environments/local/record.json"
        record.parent.mkdir(parents=True)
        record.touch()
        (own,) = surroundings.ports(settings)
        assert (own.state, "by what was released here" in own.seen) == (FINE, True)


def test_containers_want_the_ports_of_their_colours_too(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = f'[environments.shop]\ntarget = "compose"\nport = {port - 6}\n'
        (found,) = surroundings.ports(wants(tmp_path, text))
        assert found.state == NEEDED
        assert f"{port} " in found.seen or f"{port}," in found.seen
        text = f'[environments.shop]\ntarget = "hosts"\nport = {port}\n'
        assert list(surroundings.ports(wants(tmp_path, text))) == []


def test_a_proxy_must_answer_and_spare_this_machine():
    assert [one.state for one in surroundings.proxies({})] == [FINE]
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        url = f"http://ada:{PASSWORD}@127.0.0.1:{proxy.getsockname()[1]}"
        found = surroundings.proxies({"HTTPS_PROXY": url, "no_proxy": "intern.example"})
        assert [(one.name, one.state) for one in found] == [
            ("https_proxy", FINE), ("no_proxy", NEEDED),
        ]  # fmt: skip
        assert "export no_proxy=intern.example,127.0.0.1,localhost" in found[1].mend
        assert PASSWORD not in str(found)
        for spared in ("*", "localhost,127.0.0.1", "127.0.0.1, LOCALHOST"):
            (found,) = surroundings.proxies({"https_proxy": url, "NO_PROXY": spared})
            assert found.state == FINE
    spared = {"no_proxy": "*"}
    (away,) = surroundings.proxies({"http_proxy": f"127.0.0.1:{free_port()}", **spared})
    assert (away.state, "does not answer" in away.seen) == (NEEDED, True)
    (wrong,) = surroundings.proxies({"all_proxy": "http://:x", **spared})
    assert wrong.seen == "is no URL"


@pytest.mark.parametrize("text", ["[shop", "environments = 3", '[environments.a]\nport = "x"\n'])
def test_settings_that_cannot_be_read_are_told(tmp_path, text):
    with pytest.raises(UsageError, match="cannot be read"):
        wants(tmp_path, text)
