"""Contract, group 7: configurations by RPC, and what is wrong with one."""

import pytest

from tests.serving.bundles import place, random_row
from tests.serving.servers import entry, specific

pytestmark = pytest.mark.lifecycle
ROW = random_row(6)


def test_a_model_that_is_not_listed_is_unloaded(lifecycle, first):
    place(first, lifecycle.base("leaving"), 1)
    assert lifecycle.serve("leaving") == {"error_code": 0}
    assert len(lifecycle.scores("leaving", ROW)) == 5
    assert lifecycle.drop("leaving") == {"error_code": 0}
    lifecycle.wait_state("leaving", 1, "END")
    assert lifecycle.scores("leaving", ROW).status_code == 404


def test_a_model_comes_back(lifecycle, first):
    place(first, lifecycle.base("back"), 1)
    for _ in range(2):
        assert lifecycle.serve("back") == {"error_code": 0}
        assert len(lifecycle.scores("back", ROW)) == 5
        assert lifecycle.drop("back") == {"error_code": 0}
        lifecycle.wait_state("back", 1, "END")


@pytest.mark.parametrize(
    "entries",
    [
        [entry("/srv/a"), entry("/srv/b")],
        [entry("relative/path")],
        [entry("/srv/a", platform="sklearn")],
        [entry("/srv/a", platform="")],
    ],
    ids=["twice", "relative", "platform", "no-platform"],
)
def test_a_wrong_configuration_changes_nothing(lifecycle, first, entries):
    if not lifecycle.base("staying").exists():
        place(first, lifecycle.base("staying"), 1)
    assert lifecycle.serve("staying") == {"error_code": 0}
    refused = lifecycle.reload(dict(enumerate(entries)))
    assert refused["error"] == "INVALID_ARGUMENT"
    assert len(lifecycle.scores("staying", ROW)) == 5


def test_a_request_without_a_list_is_refused(lifecycle):
    refused = lifecycle.stubs.call("reload", lifecycle.server.grpc_address, config="")
    assert refused["error"] == "INVALID_ARGUMENT"


def test_a_new_model_that_cannot_be_loaded_is_the_answer(lifecycle):
    (lifecycle.base("hollow") / "1").mkdir(parents=True)
    refused = lifecycle.serve("hollow")
    assert refused["error"] == "UNKNOWN"
    assert "did not become available" in refused["details"]
    assert lifecycle.server.states("hollow") == {1: "END"}
    assert lifecycle.reload(lifecycle.entries) == {"error_code": 0}


def test_a_label_may_be_listed_again_as_it_is(lifecycle, first):
    place(first, lifecycle.base("same"), 1)
    assert lifecycle.serve("same", specific(1)) == {"error_code": 0}
    for _ in range(2):
        assert lifecycle.serve("same", specific(1), {"stable": 1}) == {"error_code": 0}
