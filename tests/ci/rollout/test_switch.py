"""Traffic moves from release to release without a lost request."""

import http.client
import socket

from ci.rollout import client
from ci.rollout.served import ask_served
from tests.rollout_shop import Shop, eventually
from tests.shoppers import Shoppers, ask_once


def test_a_switch_under_load_loses_nothing_and_never_goes_back(shop: Shop):
    shop.deploy(1)
    with Shoppers(shop.address) as shoppers:
        shoppers.wait_for(700)
        shop.deploy(2)
        shoppers.wait_for(700)
        done = shop.deploy(3)
        shoppers.wait_for(700)
    assert len(shoppers.asked) >= 2000
    assert shoppers.failed == []
    assert {one.version for one in shoppers.asked} == {1, 2, 3}
    assert shoppers.gone_back() == []
    assert done["failed_requests"] == 0


def test_the_naive_way_of_restarting_loses_requests(shop: Shop):
    """The same shoppers see failures when all is ended and started again in its place."""
    shop.deploy(1)
    with Shoppers(shop.address) as shoppers:
        shoppers.wait_for(200)
        client.leave(shop.record, "stop")
        shoppers.wait_for(50)
        client.ensure_supervisor(shop.config)
        eventually(lambda: ask_served(shop.record))
        shoppers.wait_for(50)
    assert shoppers.failed


def test_connections_that_idled_through_a_switch_are_answered_by_the_new_release(shop: Shop):
    shop.deploy(1)
    idle = [http.client.HTTPConnection(shop.address, timeout=30) for _ in range(20)]
    assert {ask_once(one).version for one in idle} == {1}
    shop.deploy(2)
    for one in idle:
        one.request("GET", "/readyz")
        answer = one.getresponse()
        answer.read()
        assert answer.status == 200
        assert answer.headers["X-Model-Version"] == "2"
        assert answer.headers["Connection"] == "close"
        one.close()


def test_connections_not_yet_taken_wait_for_the_release_that_follows(shop: Shop):
    """Clients that connected, but sent nothing yet, are served whoever took them."""
    shop.deploy(1)
    host, port = shop.address.split(":")
    early = [socket.create_connection((host, int(port))) for _ in range(30)]
    shop.deploy(2)
    for link in early:
        link.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        with link, link.makefile("rb") as file:
            assert b'"model_version":2' in file.read()


def test_a_rollback_under_load_loses_nothing(shop: Shop):
    first = shop.deploy(1)
    shop.deploy(2)
    with Shoppers(shop.address) as shoppers:
        shoppers.wait_for(200)
        target = shop.record.rollback_target()
        done = client.rollback(shop.config, target.digest, lambda _: None)
        shoppers.wait_for(200)
    assert shoppers.failed == []
    assert done["warm"] is True
    assert done["model_version"] == first["model_version"] == 1
    moved = [one.version for one in sorted(shoppers.asked, key=lambda one: one.began)]
    assert moved[0] == 2
    assert moved[-1] == 1
    answered_by_1 = min(one.ended for one in shoppers.asked if one.version == 1)
    assert all(one.version == 1 for one in shoppers.asked if one.began > answered_by_1)
