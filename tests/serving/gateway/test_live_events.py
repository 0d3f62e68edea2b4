"""Posted events change the very next answer, through switches, kills and replays."""

import http.client
import json
import os
import signal
import time

from model.history import Event, user_state
from serving.gateway.event_store import SqliteEventStore
from serving.gateway.posted_events import MOST_BYTES
from serving.host.process_host import EVENTS
from tests.rollout_shop import NOW, Shop, eventually
from tests.serving import bundles
from tests.serving.bundles import Bundle


def ask(shop: Shop, method: str, path: str, body: bytes | None = None):
    connection = http.client.HTTPConnection(shop.address, timeout=30)
    connection.request(method, path, body)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, answer.headers, content


def post(shop: Shop, *events: dict):
    return ask(shop, "POST", "/v1/events", json.dumps({"events": events}).encode())


def view(event_id: str, user: str, item: str, ago: float = 1.0, kind: str = "view") -> dict:
    return {
        "event_id": event_id,
        "user_id": user,
        "item_id": item,
        "event_type": kind,
        "timestamp": time.time() - ago,
    }


def recommended(shop: Shop, user: str) -> dict:
    status, _, body = ask(shop, "GET", f"/v1/users/{user}/recommendations?k=5")
    assert status == 200
    return body


def expected(shop: Shop, events: list[Event]) -> list[str]:
    """The answer worked out in NumPy."""
    state = user_state(events, time.time(), bundles.LENGTH, bundles.FREQUENT)
    row = {name: list(values) for name, values in state._asdict().items()}
    return Bundle(shop.model).expected(row)["item_ids"]


def test_the_next_answer_knows_what_was_just_done(live_shop: Shop):
    before = recommended(live_shop, "zoe")
    assert before["known_items"] == 0
    status, headers, body = post(
        live_shop, view("z1", "zoe", "item7", 3), view("z2", "zoe", "item9", 2)
    )
    assert (status, body) == (200, {"accepted": 2})
    assert headers["X-Model-Version"] == "1"
    after = recommended(live_shop, "zoe")
    assert (after["known_items"], after["degraded"]) == (2, False)
    now = time.time()
    wanted = expected(live_shop, [Event("item7", "view", now - 3), Event("item9", "view", now - 2)])
    assert [one["item_id"] for one in after["items"]] == wanted
    assert wanted != [one["item_id"] for one in before["items"]]


def test_what_the_release_was_packed_with_counts_too(live_shop: Shop):
    post(live_shop, view("b1", "bob", "item12"))
    events = [
        Event("item3", "view", NOW - 700.0),
        Event("item3", "purchase", NOW - 600.0),
        Event("item12", "view", time.time() - 1),
    ]
    found = recommended(live_shop, "bob")
    assert found["known_items"] == 3
    assert [one["item_id"] for one in found["items"]] == expected(live_shop, events)


def test_an_id_counts_once(live_shop: Shop):
    twice = view("once", "tom", "item2")
    assert post(live_shop, twice, twice)[2] == {"accepted": 1}
    assert post(live_shop, twice)[2] == {"accepted": 0}
    assert recommended(live_shop, "tom")["known_items"] == 1


def test_a_mistake_takes_nothing(live_shop: Shop):
    status, headers, body = post(live_shop, view("g1", "gus", "item2"), view("g2", "", "item2"))
    assert status == 422
    assert headers["content-type"] == "application/problem+json"
    assert body["detail"].startswith("events[1]: user_id is ''")
    assert recommended(live_shop, "gus")["known_items"] == 0


def test_more_than_is_read_is_refused(live_shop: Shop):
    body = b'{"events": [' + b" " * MOST_BYTES + b"]}"
    status, _, told = ask(live_shop, "POST", "/v1/events", body)
    assert status == 413
    assert "longer than 262,144 bytes" in told["detail"]


def test_nothing_is_posted_by_a_get(live_shop: Shop):
    status, headers, body = ask(live_shop, "GET", "/v1/events")
    assert (status, body["status"]) == (405, 405)
    assert headers["content-type"] == "application/problem+json"


def test_events_outlive_a_switch_a_kill_and_the_release_they_came_to(shop: Shop):
    shop.deploy(1)
    assert post(shop, view("k1", "kim", "item4", 5))[0] == 200
    os.kill(shop.record.live_colour.gateway.pid, signal.SIGKILL)  # the supervisor starts it again
    eventually(lambda: _known(shop, "kim") == 1)
    shop.deploy(2)
    assert ask(shop, "GET", "/readyz")[2]["model_version"] == 2
    assert _known(shop, "kim") == 1
    assert post(shop, view("k2", "kim", "item5"))[2] == {"accepted": 1}
    assert _known(shop, "kim") == 2


def _known(shop: Shop, user: str) -> int:
    try:
        return recommended(shop, user)["known_items"]
    except (OSError, AssertionError, http.client.HTTPException):
        return -1


def test_the_file_is_the_environments_own(live_shop: Shop):
    post(live_shop, view("f1", "fay", "item6"))
    store = SqliteEventStore(live_shop.home / EVENTS)
    assert [one.item_id for one in store.events("fay", after=0)] == ["item6"]
    store.close()
