"""The manager against loads that the test holds back: order, retries, and who may be using what."""

import threading
from pathlib import Path

import pytest

from serving.embedded.config_files import ModelSettings, VersionPolicy
from serving.embedded.engine import Deadline
from serving.embedded.manager import Manager, ManagerSettings
from serving.embedded.status import Code, ServingError
from serving.embedded.storage import versions_on_disk, wanted
from tests.serving.servers import wait_until

LATEST = VersionPolicy()
SETTINGS = ManagerSettings(retries=0, retry_seconds=0.0, poll_seconds=0.01, load_threads=2)


class Folder:
    """A model that is the number of its folder."""

    def __init__(self, number):
        self.number = number
        self.closed = False

    def close(self):
        self.closed = True


class Loads:
    """Loads folders; a test may hold loads back or let them fail, by version."""

    def __init__(self):
        self.held: dict[int, threading.Event] = {}
        self.failures: dict[int, int] = {}
        self.attempts: list[int] = []
        self.models: dict[int, Folder] = {}

    def __call__(self, folder):
        number = int(folder.name)
        self.attempts.append(number)
        if number in self.held:
            assert self.held[number].wait(60)
        if self.failures.get(number, 0) > 0:
            self.failures[number] -= 1
            raise OSError(f"disk of {number}")
        self.models[number] = Folder(number)
        return self.models[number]


@pytest.fixture
def loads():
    return Loads()


@pytest.fixture
def start(loads):
    started = []

    def make(settings=SETTINGS):
        manager = Manager(loads, settings)
        manager.start()
        started.append(manager)
        return manager

    yield make
    for event in loads.held.values():
        event.set()
    for manager in started:
        manager.stop()


def model(base, policy=LATEST, labels=None):
    return {"m": ModelSettings("m", base, policy, labels or {})}


def make(base, *numbers):
    for number in numbers:
        (base / str(number)).mkdir()


def states(manager):
    return {version.number: str(version.state) for version in manager.statuses("m")}


def test_the_old_version_answers_until_the_new_one_does(start, loads, tmp_path):
    make(tmp_path, 1)
    manager = start()
    manager.apply(model(tmp_path), Deadline.after(60))
    loads.held[2] = threading.Event()
    make(tmp_path, 2)
    wait_until(lambda: states(manager).get(2) == "LOADING", "2 loads")
    assert states(manager) == {2: "LOADING", 1: "AVAILABLE"}
    with manager.borrow("m") as version:
        assert version.number == 1
        loads.held[2].set()
        wait_until(lambda: states(manager) == {2: "AVAILABLE", 1: "UNLOADING"}, "1 is left")
        # borrowed before the change: it must stay open however long the request takes
        assert not loads.models[1].closed
        with manager.borrow("m") as newer:
            assert newer.number == 2
    wait_until(lambda: states(manager) == {2: "AVAILABLE", 1: "END"}, "1 ends")
    assert loads.models[1].closed


def test_a_failed_load_is_tried_again_and_then_given_up(start, loads, tmp_path):
    make(tmp_path, 1)
    loads.failures[1] = 2
    manager = start(ManagerSettings(retries=2, retry_seconds=0.0, poll_seconds=0.01))
    manager.apply(model(tmp_path), Deadline.after(60))
    assert loads.attempts == [1, 1, 1]
    loads.failures[2] = 3
    make(tmp_path, 2)
    wait_until(lambda: states(manager).get(2) == "END", "2 is given up")
    assert loads.attempts == [1, 1, 1, 2, 2, 2]
    assert states(manager) == {2: "END", 1: "AVAILABLE"}
    assert "disk of 2" in manager.statuses("m", 2)[0].error.message


def test_a_given_up_version_is_tried_anew_when_its_folder_came_back(start, loads, tmp_path):
    make(tmp_path, 1, 2)
    loads.failures[2] = 1
    manager = start()
    manager.apply(model(tmp_path, VersionPolicy(latest=None)), Deadline.after(60))
    wait_until(lambda: states(manager) == {1: "AVAILABLE", 2: "END"}, "2 failed")
    polls_until_seen(manager, (tmp_path / "2").rmdir, frozenset({1}))
    make(tmp_path, 2)
    wait_until(lambda: states(manager)[2] == "AVAILABLE", "2 loads")
    assert manager.statuses("m", 2)[0].error is None


def polls_until_seen(manager, change, aspired):
    change()
    wait_until(lambda: manager._aspired["m"] == aspired, f"the manager sees {aspired}")


def test_an_empty_disk_takes_nothing_away(start, tmp_path, caplog):
    make(tmp_path, 1)
    manager = start()
    manager.apply(model(tmp_path), Deadline.after(60))
    (tmp_path / "1").rename(tmp_path / "moved")
    wait_until(lambda: "Refusing to unload all versions" in caplog.text, "the refusal")
    assert states(manager) == {1: "AVAILABLE"}


def test_a_model_without_versions_is_waited_for(start, tmp_path):
    manager = start()
    with pytest.raises(ServingError) as refused:
        manager.apply(model(tmp_path), Deadline.after(0.05))
    assert refused.value.code is Code.DEADLINE_EXCEEDED
    make(tmp_path, 1)
    wait_until(lambda: manager._available_numbers("m") == {1}, "1 loads")


def test_halt_ends_the_waiting(start, tmp_path):
    manager = start()
    refused = []

    def apply():
        with pytest.raises(ServingError) as error:
            manager.apply(model(tmp_path), Deadline())
        refused.append(error.value.code)

    waiting = threading.Thread(target=apply)
    waiting.start()
    manager.halt()
    waiting.join(60)
    assert refused == [Code.CANCELLED]


@pytest.mark.parametrize(
    "case",
    [
        (False, {}, {"stable": 1}, True),
        (False, {}, {"canary": 2}, False),
        (True, {}, {"canary": 2}, True),
        (True, {"stable": 1}, {"stable": 2}, False),
        (True, {"stable": 1}, {"stable": 1, "canary": 2}, True),
    ],
)
def test_labels(start, loads, tmp_path, case):
    """A label in use never moves to what cannot answer; a new one may wait when that is allowed."""
    early, present, label, fits = case
    loads.held[2] = threading.Event()
    make(tmp_path, 1)
    manager = start(ManagerSettings(retries=0, poll_seconds=0.01, early_labels=early))
    every = VersionPolicy(latest=None)
    manager.apply(model(tmp_path, every), Deadline.after(60))
    manager.apply(model(tmp_path, every, present), Deadline.after(60))
    if fits:
        manager.apply(model(tmp_path, every, label), Deadline.after(60))
    else:
        with pytest.raises(ServingError, match="not currently available for inference") as refused:
            manager.apply(model(tmp_path, every, label), Deadline.after(60))
        assert refused.value.code is Code.FAILED_PRECONDITION
    kept = label if fits else present
    for name, number in kept.items():
        if number == 1:
            with manager.borrow("m", label=name) as version:
                assert version.number == 1


def test_policies():
    versions = {number: Path(str(number)) for number in (1, 2, 10)}
    assert set(wanted(VersionPolicy(), versions)) == {10}
    assert set(wanted(VersionPolicy(latest=2), versions)) == {2, 10}
    assert set(wanted(VersionPolicy(latest=None), versions)) == {1, 2, 10}
    assert set(wanted(VersionPolicy(None, frozenset({1, 99})), versions)) == {1}
    assert wanted(VersionPolicy(None, frozenset()), versions) == {}


def test_versions_are_folders_with_numbers(tmp_path):
    make(tmp_path, 1, 20)
    for name in ("x", "-1", "1.5", ".incoming-3", "٣"):
        (tmp_path / name).mkdir()
    (tmp_path / "4").write_text("a file")
    assert set(versions_on_disk(tmp_path)) == {1, 20}
    assert versions_on_disk(tmp_path / "nowhere") == {}
