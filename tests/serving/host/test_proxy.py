"""The door of a host: a real HAProxy, configured as rendered, in front of two stand-ins."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ci.config import Options, load_config
from ci.services import find_program
from ci.stages.render import door
from serving.host.calls import CallError, call
from serving.host.proxy import Proxy, ProxyError
from tests.rollout_places import free_ports
from tests.rollout_shop import eventually
from tests.services import require_service
from tests.shoppers import Shoppers

SETTINGS = '[shop]\nname = "corner"\n[environments.local]\ntarget = "compose"\nport = {port}\n'


class StandIn(ThreadingHTTPServer):
    """Answers as the gateway of a release does; may be told to wait before it does."""

    daemon_threads = True

    def __init__(self, port: int, version: int) -> None:
        self.version, self.may_answer, self.is_ready = version, threading.Event(), True
        self.may_answer.set()
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one packet
    server: StandIn

    def do_GET(self) -> None:
        is_check = self.path == "/readyz"
        if not is_check:
            self.server.may_answer.wait(20)
        self.send_response(503 if is_check and not self.server.is_ready else 200)
        body = json.dumps({"model_version": self.server.version}).encode()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests print what they saw."""


@dataclass
class Door:
    """A proxy and who stands behind it."""

    proxy: Proxy
    port: int
    configuration: Path
    colours: dict[str, StandIn]
    process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        program = find_program("haproxy")
        self.process = subprocess.Popen([program, "-W", "-db", "-f", self.configuration])
        eventually(self.is_told)

    def is_told(self) -> bool:
        try:
            return bool(self.proxy.command("show info"))
        except ProxyError:
            return False

    def end(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        # The worker of a killed master ends by itself.
        eventually(lambda: not self.answers())

    def answers(self) -> bool:
        try:
            call(self.address, "/")
        except CallError as error:
            return "refused" not in str(error)
        return True


@contextmanager
def standing_in(port: int, version: int) -> Iterator[StandIn]:
    with StandIn(port, version) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Door]:
    """A door behind which blue is release 1 and green release 2; nobody is live yet."""
    require_service("haproxy")
    port = free_ports()
    # Longer than the address of a socket can be.
    folder = tmp_path / ("a-folder-deep-below-a-build-servers-workspace/" * 3)
    folder.mkdir(parents=True)
    (tmp_path / "shop.toml").write_text(SETTINGS.format(port=port))
    short = tmp_path / "p"
    short.symlink_to(folder)  # as the proxy's container sees its folder by a short path
    text = door(load_config(tmp_path / "shop.toml", {}, Options()), "local")
    text = text.replace("/run/pushcart/", f"{short}/")
    (folder / "haproxy.cfg").write_text(text)
    proxy = Proxy(folder / "proxy.sock", folder / "live.map", f"{short}/live.map")
    proxy.write("none")
    with ExitStack() as held:
        colours = {
            colour: held.enter_context(standing_in(port + place, place))
            for place, colour in enumerate(("blue", "green"), start=1)
        }
        one = Door(proxy, port, folder / "haproxy.cfg", colours)
        held.callback(one.end)
        one.start()
        yield one


def version(opened: Door) -> int:
    return call(opened.address, "/v1/anything").body["model_version"]


def test_before_a_release_nobody_answers(opened: Door):
    with pytest.raises(CallError):  # 503, in HTML
        call(opened.address, "/")
    assert opened.proxy.failed() == 1


def test_a_switch_under_load_loses_nothing_and_never_goes_back(opened: Door):
    assert len(str(opened.proxy.socket)) > 108
    opened.proxy.point_at("blue")
    with Shoppers(opened.address, count=8) as shoppers:
        shoppers.wait_for(1_000)
        opened.proxy.point_at("green")
        shoppers.wait_for(1_000)
    assert (shoppers.failed, shoppers.gone_back()) == ([], [])
    assert {one.version for one in shoppers.asked} == {1, 2}
    assert opened.proxy.failed() == 0


def test_a_request_that_has_begun_is_finished_by_whom_it_was_given_to(opened: Door):
    opened.proxy.point_at("blue")
    opened.colours["blue"].may_answer.clear()
    seen: list[int] = []
    waiting = threading.Thread(target=lambda: seen.append(version(opened)))
    waiting.start()
    eventually(lambda: opened.proxy.sessions("blue") == 1)
    opened.proxy.point_at("green")
    assert version(opened) == 2
    assert (opened.proxy.sessions("blue"), seen) == (1, [])
    opened.colours["blue"].may_answer.set()
    waiting.join()
    assert seen == [1]
    eventually(lambda: opened.proxy.sessions("blue") == 0)


def test_a_proxy_that_starts_anew_gives_the_traffic_to_whom_its_file_names(opened: Door):
    opened.proxy.point_at("green")
    opened.kill()
    opened.start()
    assert {version(opened) for _ in range(20)} == {2}


def test_one_that_does_not_run_is_told_and_follows_the_file_later(opened: Door):
    opened.proxy.point_at("blue")
    opened.kill()
    with pytest.raises(ProxyError, match="the proxy does not answer at"):
        opened.proxy.point_at("green")
    assert opened.proxy.map_file.read_text() == "live green\n"
    opened.start()
    assert version(opened) == 2


def test_a_colour_that_is_busy_gets_its_traffic_all_the_same(opened: Door):
    """No check of the proxy's own takes a colour out that has nobody to spare it."""
    opened.proxy.point_at("blue")
    opened.colours["blue"].is_ready = False
    threading.Event().wait(1)
    assert version(opened) == 1


def test_what_it_refuses_is_told(opened: Door):
    stranger = Proxy(opened.proxy.socket, opened.proxy.map_file, "/nowhere/live.map")
    with pytest.raises(ProxyError, match=r"does not move the traffic to blue: .*map"):
        stranger.point_at("blue")
