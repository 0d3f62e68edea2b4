"""What a shopper's request gets, from a real gateway in front of a real model server."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from email.message import Message
from typing import Any
from urllib.parse import quote

import pytest

from model.history import Event, user_state
from serving.gateway.model_client import ModelClient, ModelUnavailableError
from serving.host.host import SOURCES
from tests.rollout_shop import EVENTS, NOW, Shop, eventually
from tests.serving import bundles
from tests.serving.bundles import Bundle


def get(shop: Shop, path: str, method: str = "GET") -> tuple[int, Message, Any]:
    connection = http.client.HTTPConnection(shop.address, timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, json.loads(body) if body else None


def recommendations(shop: Shop, user: str, query: str = "") -> tuple[int, Message, Any]:
    return get(shop, f"/v1/users/{quote(user, safe='')}/recommendations{query}")


def expected(shop: Shop, events: list[Event]) -> dict[str, Any]:
    """The answer worked out in NumPy; after years, a second more of age is nothing."""
    state = user_state(events, time.time(), bundles.LENGTH, bundles.FREQUENT)
    row = {name: list(values) for name, values in state._asdict().items()}
    return Bundle(shop.model).expected(row)


def test_a_known_shopper_gets_what_the_model_answers_to_their_history(live_shop: Shop):
    status, headers, body = recommendations(live_shop, "bob", "?k=5")
    # the item outside the vocabulary (index 0) is not known to the release
    events = [Event("item3", "view", NOW - 700.0), Event("item3", "purchase", NOW - 600.0)]
    wanted = expected(live_shop, events)
    assert status == 200
    assert body["user_id"] == "bob"
    assert [one["item_id"] for one in body["items"]] == wanted["item_ids"]
    scores = [one["score"] for one in body["items"]]
    assert scores == pytest.approx(wanted["scores"], abs=1e-3)
    assert body["known_items"] == 2
    assert body["model_version"] == 1
    assert headers["X-Model-Version"] == "1"
    assert headers["content-type"] == "application/json"


def test_titles_are_told_where_known(live_shop: Shop):
    _, _, body = recommendations(live_shop, "bob", "?k=5")
    for item in body["items"]:
        number = int(item["item_id"].removeprefix("item"))
        assert item.get("title") == (f"Item {number}" if number % 2 else None)


def test_similar_items_are_those_for_somebody_who_looks_at_one(live_shop: Shop):
    status, headers, body = get(live_shop, "/v1/items/item7/similar?k=3")
    wanted = expected(live_shop, [Event("item7", "view", time.time() - 1.0)])
    others = [item_id for item_id in wanted["item_ids"] if item_id != "item7"]
    assert status == 200
    assert [one["item_id"] for one in body["items"]] == others[:3]
    assert (body["item_id"], body["model_version"], body["degraded"]) == ("item7", 1, False)
    assert headers["X-Model-Version"] == "1"


def test_an_item_that_the_release_does_not_know_has_no_similar_ones(live_shop: Shop):
    status, headers, body = get(live_shop, "/v1/items/brand%20new/similar")
    assert status == 404
    assert headers["content-type"] == "application/problem+json"
    assert body["detail"].startswith("this release knows no item 'brand new'")


@pytest.mark.parametrize("path", ["/v1/items//similar", f"/v1/items/{'x' * 257}/similar"])
def test_an_impossible_item_is_told(live_shop: Shop, path: str):
    status, _, body = get(live_shop, path)
    assert status == 400
    assert "allowed are 1 to 256" in body["detail"]


def test_an_unknown_shopper_gets_what_is_popular(live_shop: Shop):
    status, _, body = recommendations(live_shop, "nobody knows me")
    assert status == 200
    assert body["known_items"] == 0
    assert [one["item_id"] for one in body["items"]] == expected(live_shop, [])["item_ids"]


@pytest.mark.parametrize("user", ["徐/1", "a b", "100%", "?k=9", "../../healthz"])
def test_any_id_is_taken_as_it_is(live_shop: Shop, user: str):
    status, _, body = recommendations(live_shop, user)
    assert status == 200
    assert body["user_id"] == user
    assert body["known_items"] == sum(event[0] == user for event in EVENTS)


@pytest.mark.parametrize(("query", "count"), [("", 5), ("?k=1", 1), ("?k=5", 5)])
def test_as_many_items_as_wanted(live_shop: Shop, query: str, count: int):
    _, _, body = recommendations(live_shop, "anna", query)
    assert len(body["items"]) == count


@pytest.mark.parametrize("k", ["0", "6", "-1", "1.5", "ten", "", "1e3", "٣", "9" * 400])
def test_a_wrong_k_is_told_with_what_is_allowed(live_shop: Shop, k: str):
    status, _, body = recommendations(live_shop, "anna", f"?k={quote(k)}")
    assert status == 400
    assert body["detail"] == f"k is {k[:20]!r}, it must be a whole number from 1 to 5"


@pytest.mark.parametrize("user", ["", "x" * 257])
def test_an_impossible_id_is_told(live_shop: Shop, user: str):
    status, _, body = recommendations(live_shop, user)
    assert status == 400
    assert f"{len(user)} characters" in body["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/users", 404),
        ("POST", "/v1/users/anna/recommendations", 405),
        ("DELETE", "/healthz", 405),
    ],
)
def test_what_is_not_served_is_answered_in_json(live_shop: Shop, method, path, status):
    seen, _, body = get(live_shop, path, method)
    assert seen == status
    assert body["status"] == status
    assert body["detail"]


def test_a_head_request_has_no_body(live_shop: Shop):
    assert get(live_shop, "/healthz", "HEAD")[0::2] == (200, None)


def test_health_and_readiness(live_shop: Shop):
    assert get(live_shop, "/healthz")[0::2] == (200, {"status": "up"})
    status, _, body = get(live_shop, "/readyz")
    digest = live_shop.record.live_colour.digest
    assert (status, body) == (200, {"status": "ready", "model_version": 1, "digest": digest})


def test_without_its_model_server_the_gateway_says_so(shop: Shop):
    """The supervisor is held meanwhile, so that it does not bring the model back."""
    shop.deploy(1)
    os.kill(shop.record.supervisor.pid, signal.SIGSTOP)
    try:
        os.kill(shop.record.live_colour.model.pid, signal.SIGKILL)
        eventually(lambda: get(shop, "/readyz")[0] == 503)
        status, headers, body = recommendations(shop, "anna")
        assert status == 503
        assert "does not answer" in body["detail"]
        assert headers["Retry-After"] == "1"
        assert get(shop, "/healthz")[0] == 200
    finally:
        os.kill(shop.record.supervisor.pid, signal.SIGCONT)
    eventually(lambda: get(shop, "/readyz")[0] == 200)


def test_a_gateway_asks_for_its_own_version_and_takes_no_other(live_shop: Shop):
    """It can therefore never say one version and answer with another."""
    address = f"127.0.0.1:{live_shop.record.live_colour.rest_port}"

    async def ask(version: int) -> tuple[bool, Any]:
        model = ModelClient(address, "next_item", version)
        try:
            return await model.is_available(), await model.recommend(bundles.empty_row())
        except ModelUnavailableError as error:
            return await model.is_available(), str(error)
        finally:
            await model.close()

    is_available, answer = asyncio.run(ask(1))
    assert is_available
    assert answer["known_items"] == 0
    is_available, answer = asyncio.run(ask(2))
    assert not is_available
    assert "answered 404" in answer


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=SOURCES)


def test_the_gateway_holds_neither_tensorflow_nor_numpy():
    check = (
        "import sys, serving.gateway_process\n"
        "heavy = ('tensorflow', 'keras', 'numpy', 'pandas', 'mlflow')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = run_python("-c", check)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_supervisor_needs_only_the_standard_library():
    """It runs for months on a host: no package that it imports may need an upgrade."""
    check = (
        "import sys, serving.supervisor\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(names - sys.stdlib_module_names - {'serving', 'model', '__main__'}))"
    )
    done = run_python("-S", "-c", check)
    assert done.stdout.strip() == "[]", done.stderr
