"""A load against a real server whose failures are planted: each one is found, none is invented."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from ci.config import PROJECT
from ci.errors import UnavailableError, UsageError
from ci.rehearsal.load import load
from ci.rehearsal.plan import Plan

USERS = ("good", "徐/1 %")


class Door(BaseHTTPRequestHandler):
    """Answers as a gateway does; a user's name says what goes wrong."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self):
        user = unquote(self.path.split("/")[3])
        self.server.received.append((user, self.client_address[1]))
        getattr(self, user, self.good)()

    def good(self, status=200, items=("item1",), **headers):
        version = {"X-Model-Version": str(self.server.version)} | headers
        body = json.dumps({"items": list(items)}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in version.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refused(self):
        self.good(503)

    def empty(self):
        self.good(items=())

    def nameless(self):
        self.good(**{"X-Model-Version": ""})

    def moved(self):
        self.good(302, Location="/v1/users/good/recommendations")

    def dropped(self):
        self.close_connection = True  # without a word

    def halved(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.send_header("X-Model-Version", "1")
        self.end_headers()
        self.wfile.write(b'{"items": ')
        self.close_connection = True

    def hung(self):
        self.server.over.wait(30)
        self.close_connection = True

    def slow(self):
        time.sleep(0.4)
        self.good()

    def log_message(self, *_):
        """Say nothing."""


@dataclass
class Server(ThreadingHTTPServer):
    """A server, what it received, and which release it says it is."""

    version: int = 1
    received: list[tuple[str, int]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    daemon_threads = False

    def __post_init__(self):
        super().__init__(("127.0.0.1", 0), Door)

    @property
    def address(self):
        return f"127.0.0.1:{self.server_port}"


@contextmanager
def serving():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_request_is_accounted_for_on_every_host():
    with serving() as one, serving() as other:
        plan = Plan({"host1": one.address, "host2": other.address}, 40, users=USERS)
        with load(plan) as running:
            running.wait_for(100)
        traffic = running.stop()
    assert traffic.failures == []
    assert traffic.hosts == ["host1", "host2"]
    for host, server in (("host1", one), ("host2", other)):
        asked = traffic.of(host).requests
        assert Counter(user for user, _ in server.received) == Counter(a.user_id for a in asked)
        assert {user for user, _ in server.received} == set(USERS)
        # As many connections as requests that were open at once: they are kept and used again.
        assert len({port for _, port in server.received}) < len(asked) / 2
    assert all(one.due <= one.sent <= one.ended for one in traffic.requests)


def test_the_wanted_share_of_requests_opens_a_connection_of_its_own():
    with serving() as server:
        with load(Plan({"host1": server.address}, 40, new_connections=0.25)) as running:
            running.wait_for(100)
        traffic = running.stop()
    assert traffic.failures == []
    used = Counter(port for _, port in server.received)
    alone = sum(count for count in used.values() if count == 1)
    assert len(traffic.requests) // 4 <= alone <= len(traffic.requests) // 4 + 3


def test_which_requests_open_a_connection_by_hand():
    def those(share):
        plan = Plan({"host1": "127.0.0.1:80"}, new_connections=share)
        return [number for number in range(10) if plan.opens(number)]

    assert those(0) == []
    assert those(0.25) == [3, 7]
    assert those(0.5) == [1, 3, 5, 7, 9]
    assert those(1) == [*range(10)]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_of_the_requests(share):
    with pytest.raises(UsageError, match="is from 0 to 1"):
        Plan({"host1": "127.0.0.1:80"}, new_connections=share)


PLANTED = {
    "refused": "HTTP 503: ",
    "empty": "the answer holds no items",
    "nameless": "the answer names no release",
    "moved": "HTTP 302",
    "dropped": "RemoteProtocolError: Server disconnected without sending a response",
    "halved": r"RemoteProtocolError: peer closed .* \(received 10 bytes, expected 1000\)",
    "hung": "no answer within 0.5 s",
}


def test_each_planted_failure_is_found_and_asked_once():
    with serving() as server:
        users = ("good", *PLANTED)
        plan = Plan({"host1": server.address}, 40, 1.0, users=users, timeout_seconds=0.5)
        with load(plan) as running:
            running.wait_for(len(users))
        traffic = running.stop()
    received = Counter(user for user, _ in server.received)
    assert received == Counter(one.user_id for one in traffic.requests)
    assert len(traffic.failures) == len(traffic.requests) - received["good"]
    for failure in traffic.failures:
        assert re.match(PLANTED[failure.user_id], failure.error), failure
        assert failure.status in {0, 200, 302, 503}


def test_a_host_that_is_gone_fails_and_does_not_slow_the_other():
    with serving() as server:
        with serving() as gone:
            nobody = gone.address
        plan = Plan({"host1": server.address, "host2": nobody}, 40, 1.5)
        with load(plan) as running:
            running.wait_for(60)
        traffic = running.stop()
    assert traffic.of("host1").failures == []
    lost = traffic.of("host2")
    assert len(lost.failures) == len(lost.requests) > 20
    assert {one.error for one in lost.failures} == {"ConnectError: All connection attempts failed"}


def test_the_pace_stays_when_answers_are_slow_and_latencies_tell():
    with serving() as server:
        with load(Plan({"host1": server.address}, 50, users=("slow",), seconds=2.0)) as running:
            running.wait_for(20)
        traffic = running.stop()
    # One after the other, 2 s would hold 5 answers of 0.4 s.
    assert len(traffic.requests) > 20
    assert traffic.failures == []
    assert traffic.percentile(0.01) >= 0.4


def test_a_release_that_goes_back_is_seen_where_it_does():
    with serving() as one, serving() as other:
        with load(Plan({"host1": one.address, "host2": other.address}, 40)) as running:
            running.wait_for(20)
            changed = time.monotonic()
            one.version = other.version = 2
            running.wait_for(20)
            one.version = 1
            running.wait_for(20)
        traffic = running.stop()
    assert traffic.releases("host1")[:2] == [1, 2]
    assert not traffic.monotonic("host1")
    assert traffic.monotonic("host2")
    before = traffic.between(traffic.began, changed)
    assert before.monotonic("host1")
    assert before.percentile(0.99) < 10


def test_it_ends_by_itself_and_nothing_before_its_end_is_waited_for_in_vain():
    with serving() as server, load(Plan({"host1": server.address}, 20, 0.5)) as running:
        with pytest.raises(UnavailableError, match=r"still to come. It was planned for 0\.5 s"):
            running.wait_for(1000)
        assert running.stop().ended - running.stop().began == pytest.approx(0.5)
    assert len(server.received) == len(running.stop().requests) == 10


def test_it_ends_with_who_started_it(tmp_path):
    starts = (
        "import sys, os, signal; from ci.rehearsal.load import load, Plan\n"
        "with load(Plan({'host1': sys.argv[1]}, 50)) as running:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    with serving() as server:
        command = [sys.executable, "-c", starts, server.address]
        own = {**os.environ, "TMPDIR": str(tmp_path)}  # killed, it leaves its folder
        done = subprocess.run(command, cwd=PROJECT, env=own, check=False)
        assert done.returncode == -signal.SIGKILL
        time.sleep(1)
        settled = len(server.received)
        assert settled > 0
        time.sleep(0.5)
        assert len(server.received) == settled


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1:80",
        "192.0.2.1:80",
        "localhost:80",
        "shop.example:80",
        "127.0.0.1",
        "127.0.0.1:x",
        "0.0.0.0:80",
        "127.0.0.1@shop.example:80",
        "[::1]:80",
        "",
    ],
)
def test_nothing_but_this_machine_is_asked(address):
    with pytest.raises(UsageError, match="loopback addresses alone"):
        Plan({"good": "127.0.0.1:80", "host1": address})


@pytest.mark.parametrize(
    ("pace", "seconds"), [(251, 1), (1, 1801), (0, 1), (-1, 1), (1, 0), (float("nan"), 1)]
)
def test_a_load_has_bounds(pace, seconds):
    with pytest.raises(UsageError, match="is out of bounds"):
        Plan({"host1": "127.0.0.1:80", "host2": "127.0.0.1:81"}, pace, seconds)


def test_a_load_that_breaks_is_no_result():
    broken = pytest.raises(UnavailableError, match=r"The load broke \(exit -9\)")
    with serving() as server, broken, load(Plan({"host1": server.address})) as running:
        running._process.kill()
