"""One story of a fleet: releases, bad releases, altered images and a dead host, under load.

Client retries are off and every request is accounted for; the load comes from a process of its own.
The tests build on one another, in this order.
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from ci.rehearsal.load import load
from tests.e2e.fleet import Fleet, open_fleet
from tests.rollout_shop import eventually
from tests.tiny import copy_bundle, export_tiny

PACE = 40.0  # requests a second and host


@pytest.fixture(scope="module")
def fleet():
    with tempfile.TemporaryDirectory(prefix="pushcart-e2e-") as name:  # short: it holds sockets
        folder = Path(name)
        good = export_tiny(folder / "good/1")
        broken = copy_bundle(good, folder / "broken/1")
        card = json.loads((broken / "card.json").read_text())
        for answer in card["golden"]["answers"]:
            answer["scores"] = [score + 1.0 for score in answer["scores"]]
        (broken / "card.json").write_text(json.dumps(card))
        with open_fleet(folder, good, broken) as running:
            yield running


def wait_for_line(process: subprocess.Popen[str], words: str) -> str:
    """Read what a command prints until some words come."""
    said = ""
    for line in process.stdout or ():
        said += line
        if words in line:
            return said
    raise AssertionError(f"{words!r} never came:\n{said}")


def test_prepare_makes_hosts_ready_and_the_second_time_changes_nothing(fleet: Fleet):
    code, said = fleet.run("hosts", "prepare", "--check")
    assert code == 0, said
    assert "would change" in said
    assert not fleet.is_prepared
    code, said = fleet.run("hosts", "prepare")
    assert code == 0, said
    assert said.count("changed: Make folders") == 2
    code, said = fleet.run("hosts", "prepare")
    assert (code, said.count("nothing to change")) == (0, 2), said


def test_the_first_release_goes_live_on_both_hosts(fleet: Fleet):
    version = fleet.make()
    code, said = fleet.deploy()
    assert code == 0, said
    assert fleet.live() == [version, version]
    code, said = fleet.run("status")
    assert code == 0, said
    assert said.count(f"release {version} answers") == 2
    code, said = fleet.deploy()
    assert (code, "already live" in said) == (0, True), said


def test_a_second_release_loses_no_request_and_never_goes_back(fleet: Fleet):
    first = fleet.live()[0]
    second = fleet.make()
    with load(fleet.plan(PACE)) as running:
        running.wait_for(1000)
        start = time.monotonic()
        code, said = fleet.deploy()
        end = time.monotonic()
        running.wait_for(9000)
    traffic = running.stop()
    print(traffic.summary(), f"deploy {end - start:.1f} s", sep="\n")
    assert code == 0, said
    assert len(traffic.requests) >= 10_000
    assert not traffic.failures, traffic.summary()
    for host in fleet.hosts:
        assert traffic.releases(host) == [first, second]
        assert traffic.monotonic(host)
    before, during = traffic.between(traffic.began, start), traffic.between(start, end)
    print(f"p99 before {before.percentile(0.99):.3f} s, during {during.percentile(0.99):.3f} s")
    deployed = json.loads(fleet.workspace.path("../deployment.json").read_text())
    assert [one["failed_requests"] for one in deployed["hosts"]] == [0, 0]


def test_a_release_that_answers_wrongly_is_undone_and_the_second_host_never_sees_it(fleet: Fleet):
    live = fleet.live()
    bad = fleet.make(is_broken=True)
    with load(fleet.plan(PACE)) as running:
        code, said = fleet.deploy()
        running.wait_for(100)
    traffic = running.stop()
    assert code == 5, said
    assert "host1: " in said
    assert not traffic.failures, traffic.summary()
    assert fleet.live() == live
    assert fleet.record("host1").history[-1].state == "failed"
    assert all(line.model_version != bad for line in fleet.record("host2").history)
    assert f"-model:{bad}" not in fleet.rehearsal.run("host2", "docker images --digests")


def test_a_corrupted_image_is_refused_before_anything_starts(fleet: Fleet):
    live, before = fleet.live(), fleet.containers("host1")
    fleet.make()
    layer = json.loads(fleet.workspace.path("../release.json").read_text())
    digest = layer["images"]["model"]["digest"].removeprefix("sha256:")
    blobs = fleet.images.storage / "docker/registry/v2/blobs/sha256"
    manifest = json.loads((blobs / digest[:2] / digest / "data").read_text())
    top = manifest["layers"][-1]["digest"].removeprefix("sha256:")
    data = blobs / top[:2] / top / "data"
    content = data.read_bytes()
    middle = len(content) // 2
    data.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    code, said = fleet.deploy()
    data.write_bytes(content)
    assert code == 6, said
    assert "not what was signed" in said
    assert fleet.containers("host1") == before
    assert fleet.live() == live


def test_an_order_that_was_changed_after_it_was_signed_is_refused(fleet: Fleet):
    live, before = fleet.live(), fleet.containers("host1")
    path = fleet.workspace.path("../release.json")
    release = json.loads(path.read_text())
    other = json.loads(path.read_text())
    other["images"]["model"]["reference"] = release["images"]["gateway"]["reference"]
    path.write_text(json.dumps(other))
    code, said = fleet.deploy()
    path.write_text(json.dumps(release))
    assert code == 6, said
    assert "the statement signs" in said
    assert (fleet.containers("host1"), fleet.live()) == (before, live)
    statement = fleet.workspace.path("../statement.json")
    signed = statement.read_bytes()
    statement.unlink()
    code, said = fleet.deploy()
    statement.write_bytes(signed)
    assert code == 6, said
    assert "starts nothing unsigned" in said


def test_a_host_that_dies_during_a_rollout_takes_nobody_along_and_a_re_run_heals(fleet: Fleet):
    live = fleet.live()
    deploying = fleet.begin("deploy", "--single-machine")
    said = wait_for_line(deploying, "host2: Verify and pull")
    fleet.rehearsal.stop("host2")
    rest, _ = deploying.communicate(timeout=300)
    fleet.said.append(said + rest)
    assert deploying.returncode == 4, said + rest
    assert "host2: " in rest
    assert "host1 was given back what it had before" in rest
    assert fleet.rehearsal.start("host2") == "running"
    eventually(lambda: fleet.live() == live, 60)
    code, said = fleet.deploy()
    assert code == 0, said
    assert fleet.live() != live
    assert len(set(fleet.live())) == 1
