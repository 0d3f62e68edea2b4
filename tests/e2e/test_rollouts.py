"""One story of a fleet: releases, bad releases, dead hosts and killed deploys, all under load.

Client retries are off and every request is accounted for; the load comes from a process of its own.
The tests build on one another, in this order.
"""

import json
import random
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from ci import registry
from ci.config import PROJECT
from ci.rehearsal.load import load
from ci.rehearsal.traffic import Traffic
from model.bundle.export import export_bundle
from model.bundle.signatures import Lengths
from tests import tiny
from tests.e2e.fleet import PROXY, Fleet, open_fleet
from tests.e2e.process_list import watched_process_list
from tests.e2e.walk import Walk, wait_for_line
from tests.rollout_shop import eventually

RUNBOOK = PROJECT / "docs/hosts.md"
PACE = 40.0  # requests a second and host
TASKS = ["Verify and pull", "See that it was accepted", "Start, verify and switch"]


@pytest.fixture(scope="module")
def fleet():
    with tempfile.TemporaryDirectory(prefix="pushcart-e2e-") as name:  # short: it holds sockets
        folder = Path(name)
        good = tiny.export_tiny(folder / "good/1")
        broken = tiny.copy_bundle(good, folder / "broken/1")
        make_answer_500(broken, folder)
        with open_fleet(folder, good, broken) as running:
            yield running


def make_answer_500(bundle: Path, folder: Path) -> None:
    """Give a bundle an edge model that loads, and fails at every request as it was promised.

    It reads shorter histories than the bundle's signatures say.
    """
    short = Lengths(tiny.LENGTHS.history - 1, tiny.LENGTHS.frequent, tiny.LENGTHS.top_k)
    golden = tiny.requests()
    inputs = {name: rows[:, -short.history :] for name, rows in golden.items()}
    export_bundle(
        tiny.tiny_model(lengths=short),
        tiny.VOCABULARY,
        folder / "short/1",
        lineage=tiny.LINEAGE,
        golden_inputs=inputs,
        lengths=short,
    )
    shutil.copy(folder / "short/1/edge/model.tflite", bundle / "edge/model.tflite")
    shutil.rmtree(bundle / "assets.extra")  # requests to warm up with would fail its loading


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
    code, said = fleet.run("deploy")
    assert code == 2, said  # its ledger is a file of this machine, which nobody allowed
    with watched_process_list() as seen:
        code, said = fleet.deploy()
    fleet.command_lines |= seen
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
    with load(fleet.plan(2 * PACE)) as running:
        running.wait_for(1000)
        start = time.monotonic()
        code, said = fleet.deploy()
        end = time.monotonic()
        running.wait_for(10_000 - running.ended)
    traffic = running.stop()
    print(traffic.summary(), f"deploy {end - start:.1f} s", sep="\n")
    assert code == 0, said
    assert len(traffic.requests) >= 10_000
    assert not traffic.failures, traffic.summary()
    for host in fleet.hosts:
        assert traffic.releases(host) == [first, second]
        assert traffic.monotonic(host)
        assert tasks_of(host, said) == TASKS
        assert_no_wait_at_the_switch(traffic.of(host), second)
    deployed = json.loads(fleet.workspace.path("../deployment.json").read_text())
    assert [one["failed_requests"] for one in deployed["hosts"]] == [0, 0]


def tasks_of(host: str, said: str) -> list[str]:
    """The tasks of a host as a deploy tells them, less that which sees to the role's arguments."""
    lines = (line.strip().partition(": ") for line in said.splitlines())
    tasks = [rest.removesuffix(": …") for name, _, rest in lines if name == host]
    return [task for task in tasks if not task.startswith("Validating arguments")]


def assert_no_wait_at_the_switch(traffic: Traffic, version: int) -> None:
    """See that the traffic's move costs its requests no time.

    What comes before it, from this machine's own work for the new colour on, is "before".
    """
    moved = min(one.ended for one in traffic.requests if one.model_version == version)
    before = traffic.between(traffic.began, moved - 0.2).percentile(0.99)
    switch = traffic.between(moved - 0.2, moved + 1).percentile(0.99)
    print(f"p99 before the switch {before:.3f} s, during it {switch:.3f} s")
    assert switch <= 2 * before


def test_a_release_that_answers_500_is_undone_and_the_second_host_never_sees_it(fleet: Fleet):
    live = fleet.live()
    bad = fleet.make(is_broken=True)
    with load(fleet.plan(PACE)) as running:
        code, said = fleet.deploy()
        running.wait_for(100)
    traffic = running.stop()
    assert code == 5, said
    assert "host1: " in said
    assert "answered 500" in said
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


def test_a_release_that_was_compared_with_another_than_serves_is_refused(fleet: Fleet):
    live = fleet.live()
    gate = fleet.workspace.read_json("gate.json", "gate")
    stale = {**gate, "baseline": {"model_version": 0, "digest": "sha256:0"}}
    fleet.workspace.write_json("gate.json", stale)
    code, said = fleet.deploy()
    fleet.workspace.write_json("gate.json", gate)
    assert code == 6, said
    assert fleet.live() == live


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
    code, said = fleet.deploy()
    assert code == 4, said  # nothing is begun
    assert fleet.rehearsal.start("host2") == "running"
    eventually(lambda: fleet.live() == live, 60)
    code, said = fleet.deploy()
    assert code == 0, said
    assert fleet.live() != live
    assert len(set(fleet.live())) == 1


def test_a_deploy_that_is_killed_is_finished_by_the_next_one(fleet: Fleet):
    version = fleet.make()
    with load(fleet.plan(PACE)) as running:
        deploying = fleet.begin("deploy", "--single-machine")
        fleet.said.append(wait_for_line(deploying, "host1: Start, verify and switch"))
        deploying.send_signal(signal.SIGKILL)
        deploying.communicate(timeout=60)
        code, said = fleet.deploy()
    traffic = running.stop()
    assert code == 0, said
    assert fleet.live() == [version, version]
    assert not traffic.failures, traffic.summary()
    for host in fleet.hosts:
        assert traffic.monotonic(host)
        assert len(fleet.record(host).colours) <= 2


def test_after_a_reboot_and_a_restart_of_the_proxy_the_live_colour_alone_answers(fleet: Fleet):
    (version,) = set(fleet.live())
    assert len(fleet.record("host1").colours) == 2
    fleet.rehearsal.run("host2", f"systemctl restart {PROXY}")
    fleet.rehearsal.stop("host1")
    assert fleet.rehearsal.start("host1") == "running"
    eventually(lambda: fleet.run("status")[0] == 0, 90)
    with load(fleet.plan(PACE)) as running:
        running.wait_for(400)
    traffic = running.stop()
    assert not traffic.failures, traffic.summary()
    assert [traffic.releases(host) for host in fleet.hosts] == [[version], [version]]


def test_a_full_disk_is_told_and_touches_nothing(fleet: Fleet):
    live = fleet.live()
    fleet.make()
    full = "mount -t tmpfs -o size=1k full /var/lib/docker/tmp"
    fleet.rehearsal.run("host1", full)
    code, said = fleet.deploy()
    fleet.rehearsal.run("host1", "umount /var/lib/docker/tmp")
    assert code == 4, said
    assert "no space left" in said
    assert fleet.live() == live


def test_the_ledger_catches_up_when_it_was_down(fleet: Fleet):
    code, said = fleet.run("--set=registry.uri=http://127.0.0.1:9", "deploy")
    assert code == 0, said
    assert "The ledger will be told later" in said
    version = fleet.live()[0]
    code, said = fleet.deploy()
    assert code == 0, said
    known = registry.live_version(fleet.config, fleet.config.options.environment)
    assert known is not None
    assert known.number == version


def test_a_walk_keeps_the_ledger_true_and_a_healthy_release_answering(fleet: Fleet):
    assert Walk(fleet, random.Random(2026)).go(8) == []  # noqa: S311  to be the same each time


def test_without_the_registry_of_images_a_rollback_works_and_a_deploy_says_why_not(fleet: Fleet):
    (present,) = set(fleet.live())
    fleet.make()
    fleet.close_images()
    code, said = fleet.deploy()
    assert code == 4, said
    assert fleet.images.address in said
    with load(fleet.plan(PACE)) as running:
        running.wait_for(100)
        start = time.monotonic()
        code, said = fleet.run("rollback")
        print(f"rollback {time.monotonic() - start:.1f} s")
        running.wait_for(100)
    traffic = running.stop()
    assert code == 0, said
    assert not traffic.failures, traffic.summary()
    (now,) = set(fleet.live())
    assert now < present
    assert [traffic.releases(host) for host in fleet.hosts] == [[present, now], [present, now]]


def test_a_naive_restart_loses_requests(fleet: Fleet):
    """The negative control: the count above is known to have teeth."""
    live = fleet.record("host1").live
    names = [f"rehearsal-rehearsal-{live}-{part}" for part in ("model", "gateway")]
    with load(fleet.plan(PACE)) as running:
        running.wait_for(100)
        fleet.rehearsal.run("host1", f"docker restart --time 0 {' '.join(names)}")
        running.wait_for(400)
    traffic = running.stop()
    print(traffic.summary())
    assert traffic.of("host1").failures
    assert not traffic.of("host2").failures


def test_the_runbook_quotes_what_was_said(fleet: Fleet):
    said = " ".join(" ".join(fleet.said).split())
    rows = RUNBOOK.read_text(encoding="utf-8").partition("## When it does not go through")[2]
    read = [row.split("|")[2] for row in rows.splitlines() if re.match(r"\| \d", row)]
    quotes = [a or b for cell in read for a, b in re.findall(r"`` (.+?) ``|`([^`]+)`", cell)]
    assert len(quotes) >= 10
    for quote in quotes:
        pattern = ".{1,400}?".join(map(re.escape, quote.split("…")))
        assert re.search(pattern, said), quote


def test_no_secret_is_in_what_was_printed_or_kept(fleet: Fleet):
    secrets = [fleet.images.password, Path(fleet.variables["PUSHCART_SIGNING_KEY"]).read_text()]
    secrets += [fleet.rehearsal.key.read_text()]
    folder = fleet.settings.parent
    kept = [path for path in (folder / "var").rglob("*") if path.is_file()]
    kept += list((folder / "build").rglob("*.json"))
    assert kept
    assert any(path.suffix == ".log" for path in kept)
    assert any("docker pull" in line for line in fleet.command_lines)  # of the hosts too
    for secret in secrets:
        assert not any(secret in said for said in fleet.said)
        assert not any(secret in line for line in fleet.command_lines)
        assert not [path for path in kept if secret.encode() in path.read_bytes()]
    for host in fleet.hosts:
        found = fleet.rehearsal.run(
            host, f"grep -rlF '{fleet.images.password}' /etc /root /var/lib/pushcart-* /opt || true"
        )
        assert found == ""
