"""The gateway of a container, started as its image does; it may answer as of a standing moment."""

import http.client
import json
import shutil
import subprocess
import sys

import pytest

from model.history import Event, user_state
from serving.gateway_server import DESCRIPTION, USERS
from serving.host import releases
from serving.host.calls import CallError, call
from serving.host.host import SOURCES
from tests.rollout_shop import NOW, Shop, eventually, unused_port
from tests.serving import bundles
from tests.serving.bundles import Bundle


def answers(address: str) -> bool:
    try:
        return call(address, "/readyz").status == 200
    except CallError:
        return False


@pytest.mark.parametrize("at", [NOW, NOW + 3_600])
def test_it_answers_as_of_a_moment(live_shop: Shop, tmp_path, at):
    live = live_shop.record.live_colour
    placed = releases.load(live_shop.home, live.key)
    shutil.copy(placed.users(live_shop.home), tmp_path / USERS)
    description = {"task": placed.task, "model_version": 1, "digest": placed.digest, "top_k": 5}
    description |= {"history_length": bundles.LENGTH, "frequent_length": bundles.FREQUENT}
    (tmp_path / DESCRIPTION).write_text(json.dumps(description))
    address = f"127.0.0.1:{unused_port()}"
    command = [sys.executable, "-m", "serving.gateway_server", f"--release={tmp_path}"]
    command += [f"--model_address=127.0.0.1:{live.rest_port}", f"--port={address[10:]}"]
    with subprocess.Popen([*command, f"--at={at}"], cwd=SOURCES) as gateway:
        try:
            eventually(lambda: answers(address))
            connection = http.client.HTTPConnection(address)
            connection.request("GET", "/v1/users/bob/recommendations")
            body = json.loads(connection.getresponse().read())
            connection.close()
        finally:
            gateway.terminate()
    events = [Event("item3", "view", NOW - 700.0), Event("item3", "purchase", NOW - 600.0)]
    state = user_state(events, at, bundles.LENGTH, bundles.FREQUENT)
    row = {name: list(values) for name, values in state._asdict().items()}
    wanted = Bundle(live_shop.model).expected(row)
    assert [one["item_id"] for one in body["items"]] == wanted["item_ids"]
    scores = [one["score"] for one in body["items"]]
    assert scores == pytest.approx(wanted["scores"], abs=1e-5)
