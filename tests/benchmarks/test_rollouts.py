"""What the benchmark of rollouts counts, by hand; each of its ways moves real traffic."""

import json
import shutil
import socket
from pathlib import Path

import pytest

from benchmarks.rollout_colours import Place, release_at, until
from benchmarks.rollout_fleet import Change, Deploy, Rollback, bytes_to, push_seconds, tasks_of
from benchmarks.rollout_switches import DOOR, Move, Round, count, first_seconds, last_seconds
from benchmarks.rollout_switches import Switches as Counted
from benchmarks.rollout_ways import WAYS, rendered, serving, without_map
from benchmarks.rollouts import RESULTS, Fleet, main, tables
from ci.rehearsal.traffic import Request, Traffic
from ci.rollout.users import write_users
from ci.services import find_program
from tests.rollout_places import free_ports
from tests.rollout_shop import write_dataset
from tests.services import NOT_RUN_HERE, require_service


def request(due, took, version, error=""):
    return Request(DOOR, "anna", due, due, due + took, 0 if error else 200, version, error)


def story(*requests, ended=100.0):
    return Traffic(requests, 0.0, ended)


MOVE = Move(version=2, began=10.0, over=12.0)
SEEN = story(
    request(9.2, 0.010, 1),
    request(9.4, 0.030, 1),
    request(8.9, 5.0, 1),  # due before the quiet window, answered long after the command
    request(10.0, 0.020, 1),
    request(10.1, 0.150, 2),  # the first new answer, at 10.25
    request(10.2, 0.300, 1),  # sent before it: on its way, not gone back
    request(10.3, 0.040, 1),  # sent after it: gone back
    request(10.4, 0.001, 0, "ConnectError: All connection attempts failed"),
    request(11.0, 0.050, 2),
    request(13.0, 0.900, 2),  # due after the switch is over
)


def test_the_seconds_of_a_switch_end_with_the_first_new_and_the_last_old_answer():
    assert first_seconds(SEEN, MOVE) == pytest.approx(0.25)
    assert last_seconds(SEEN, MOVE) == pytest.approx(3.9)
    assert last_seconds(story(request(9.0, 0.1, 1), request(10.0, 0.1, 2)), MOVE) == 0


def test_a_release_that_never_answered_has_no_seconds():
    with pytest.raises(ValueError, match="release 2 never answered"):
        first_seconds(story(request(10.0, 0.1, 1), request(10.0, 0.1, 3)), MOVE)


def test_an_older_release_is_old_too_and_a_failure_is_none():
    seen = story(request(10.0, 0.5, 1), request(10.0, 0.7, 2), request(10.0, 9.0, 0, "HTTP 503: "))
    assert last_seconds(seen, Move(3, 10.0, 12.0)) == pytest.approx(0.7)


def test_a_way_is_counted_over_all_its_rounds():
    calm = story(
        request(19.5, 0.002, 4), request(20.1, 0.004, 5), request(20.2, 0.1, 0, "HTTP 503: busy")
    )
    rounds = [Round("a way", SEEN, (MOVE,)), Round("a way", calm, (Move(5, 20.0, 21.0),))]
    assert count(rounds) == Counted(
        way="a way",
        switches=2,
        requests=13,
        failed=2,
        reasons={"ConnectError: All connection attempts failed": 1, "HTTP 503: busy": 1},
        gone_back=1,
        first_seconds=(0.25, 0.104),
        last_seconds=(3.9, 0.0),
        quiet_ms=(10.0, 30.0),  # of 2, 10 and 30
        switch_ms=(40.0, 300.0),  # of 1, 4, 20, 40, 50, 100, 150 and 300
    )


def test_a_hosts_tasks_are_told_with_their_moments():
    lines = [
        (1.0, "deploy    roll out to an environment"),
        (2.0, "          host1: Validating arguments against arg spec 'main' - Brings it.: …"),
        (2.5, "          host1: Verify and pull: …"),
        (3.0, "          host2: Verify and pull: …"),
        (4.0, "          host1: Start, verify and switch: …"),
        (9.0, "          release 2 live at host1, host2 (green, green)  [8 s]"),
    ]
    own = [(2.5, "Verify and pull"), (4.0, "Start, verify and switch")]
    assert tasks_of("host1", lines) == own
    assert tasks_of("host2", lines) == [(3.0, "Verify and pull")]


LOG = """\
time="2026-11-26T11:46:20.5Z" level=warning msg="error" http.request.method=GET http.request.uri=/v2/ go=1
10.1.2.11 - - [26/Nov/2026:11:46:20 +0000] "GET /v2/ HTTP/1.1" 401 87 "" "docker/20.10"
time="2026-11-26T11:46:20.94Z" level=info msg="authorized" http.request.uri="/v2/shop/shop-model/blobs/sha256:4e" go=1
10.1.2.1 - - [26/Nov/2026:11:46:20 +0000] "HEAD /v2/shop/shop-model/blobs/sha256:4e HTTP/1.1" 200 0 "" "docker"
time="2026-11-26T11:46:22.440442969Z" level=info msg="done" http.request.uri=/v2/shop/shop-model/manifests/2 go=1
10.1.2.11 - - [26/Nov/2026:11:46:50 +0000] "GET /v2/shop/shop-model/manifests/sha256:b7 HTTP/1.1" 200 1369 "" "d"
10.1.2.11 - - [26/Nov/2026:11:46:50 +0000] "GET /v2/shop/shop-model/blobs/sha256:06 HTTP/1.1" 200 19615776 "" "d"
10.1.2.12 - - [26/Nov/2026:11:46:51 +0000] "GET /v2/shop/shop-model/blobs/sha256:06 HTTP/1.1" 200 19615776 "" "d"
time="2026-11-26T11:46:52Z" level=info msg="authorized" http.request.uri="/v2/shop/shop-gateway/blobs/uploads/" go=1
time="2026-11-26T11:46:52.25Z" level=info msg="done" http.request.uri=/v2/shop/shop-gateway/manifests/2 go=1
"""  # noqa: E501  as the registry writes them


def test_what_a_host_got_and_how_long_pushes_took_is_in_the_registrys_log():
    assert bytes_to("10.1.2.11", LOG) == 1369 + 19615776
    assert bytes_to("10.1.2.13", LOG) == 0
    assert push_seconds(LOG) == pytest.approx(1.50044 + 0.25, abs=1e-4)


def test_a_reload_has_the_rendered_configuration_but_for_one_line(tmp_path):
    place = Place(tmp_path, tmp_path, tmp_path, 8080)
    text = rendered(place)
    other = without_map(text, "green")
    changed = set(other.splitlines()) ^ set(text.splitlines())
    assert changed == {
        "  default_backend green",
        f"  use_backend %[str(live),map({tmp_path}/live.map,none)]",
    }
    with pytest.raises(ValueError, match=r"0 lines of haproxy\.cfg begin with"):
        without_map(other, "blue")


@pytest.fixture(scope="module")
def users(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_dataset(folder / "dataset")
    write_users(folder / "dataset", folder / "users.db")
    return folder / "users.db"


@pytest.mark.parametrize("way", WAYS)
def test_each_way_moves_real_traffic_and_leaves_nothing(way, tmp_path, users, released_model):
    if way.program == "haproxy":
        require_service("haproxy")
    if way.program == "nginx" and find_program("nginx") is None:
        pytest.skip(f"{NOT_RUN_HERE} nginx is not installed (only a benchmark needs it)")
    place = Place(tmp_path / "way", released_model, users, free_ports())
    place.folder.mkdir()
    with serving(way(place), 1) as running:
        assert release_at(place.address) == 1
        for version in (2, 3):
            running.prepare(version)
            assert release_at(place.address) == version - 1
            running.move()
            until(lambda wanted=version: release_at(place.address) == wanted, "The switch")
    assert not place.folder.exists()
    for port in range(place.port, place.port + 7):
        socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "switches"], "haproxy is not installed. Run: bin/ci services haproxy"),
        (["--only", "hosts"], "dockerd, htpasswd, iptables"),
    ],
)
def test_what_is_missing_is_told_before_anything_starts(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("ci.services.SERVER_FOLDERS", ())
    assert main(words) == 4
    said = capsys.readouterr()
    assert told in said.err
    assert said.out == ""


def test_a_missing_nginx_is_told_with_how_to_get_it_or_do_without(tmp_path, monkeypatch, capsys):
    require_service("haproxy")
    (tmp_path / "haproxy").symlink_to(find_program("haproxy"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("ci.services.SERVER_FOLDERS", ())
    assert shutil.which("nginx") is None
    assert main([]) == 4
    said = capsys.readouterr().err
    assert "nginx is not installed" in said
    assert "apt-get install --no-install-recommends nginx-light" in said
    assert "--only hosts" in said


def test_help_teaches(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    said = capsys.readouterr().out
    assert "python -m benchmarks.rollouts --quick" in said
    assert "bin/ci services docker debian ssh registry" in said


def test_the_kept_tables_are_those_of_the_kept_figures():
    known = json.loads((RESULTS / "rollouts.json").read_text("utf-8"))
    fleet = Fleet(
        [Deploy(**one) for one in known["deploys"]],
        [Rollback(**one) for one in known["rollbacks"]],
        [Change(**one) for one in known["changes"]],
    )
    switches = [Counted(**one) for one in known["switches"]]
    assert tables(switches, fleet) == (RESULTS / "rollouts.md").read_text("utf-8")
    assert [one.way for one in switches] == [way.title for way in WAYS]
