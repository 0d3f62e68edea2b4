"""Contract, group 6: policies, labels, and transitions under load without a failed request."""

import pytest

from tests.serving.bundles import place, random_row
from tests.serving.lifecycles import distinct
from tests.serving.servers import specific, wait_until

pytestmark = pytest.mark.lifecycle
ROW = random_row(5)


def near(scores, bundle):
    return scores == pytest.approx(bundle.expected(ROW)["scores"], rel=1e-4, abs=1e-3)


def test_a_newer_version_replaces_the_old_without_a_failed_request(lifecycle, first, second):
    place(first, lifecycle.base("newer"), 1)
    assert lifecycle.serve("newer") == {"error_code": 0}
    assert near(lifecycle.scores("newer", ROW), first)
    with lifecycle.load("newer", ROW) as seen:
        wait_until(lambda: len(seen) > 20, "20 answers of the old version")
        place(second, lifecycle.base("newer"), 2)
        lifecycle.wait_state("newer", 1, "END")
        asked = len(seen)
        wait_until(lambda: len(seen) > asked + 20, "20 answers of the new version")
    assert lifecycle.server.states("newer") == {2: "AVAILABLE", 1: "END"}
    old, new = seen[0], seen[-1]
    assert near(old, first)
    assert near(new, second)
    assert distinct(seen).keys() == {str(old), str(new)}


def test_labels_flip_under_load_and_the_old_version_unloads(lifecycle, first, second):
    place(first, lifecycle.base("flip"), 1)
    place(second, lifecycle.base("flip"), 2)
    assert lifecycle.serve("flip", specific(1)) == {"error_code": 0}
    assert lifecycle.serve("flip", specific(1, 2), {"stable": 1}) == {"error_code": 0}
    lifecycle.wait_state("flip", 2, "AVAILABLE")
    both = {"stable": 1, "canary": 2}
    assert lifecycle.serve("flip", specific(1, 2), both) == {"error_code": 0}
    assert near(lifecycle.scores("flip/labels/canary", ROW), second)
    with lifecycle.load("flip/labels/stable", ROW) as seen:
        wait_until(lambda: len(seen) > 20, "20 answers before the flip")
        assert lifecycle.serve("flip", specific(1, 2), {"stable": 2}) == {"error_code": 0}
        after = len(seen) + 2  # two threads: each may have one request under way
        assert lifecycle.serve("flip", specific(2), {"stable": 2}) == {"error_code": 0}
        lifecycle.wait_state("flip", 1, "END")
        wait_until(lambda: len(seen) > after + 20, "20 answers after the flip")
    assert near(seen[0], first)
    assert all(near(scores, second) for scores in seen[after:])
    assert len(distinct(seen)) == 2
    assert lifecycle.scores("flip/versions/1", ROW).status_code == 404
    assert lifecycle.scores("flip/labels/canary", ROW).status_code == 400


def test_a_label_on_a_version_that_does_not_answer_is_refused(lifecycle, first):
    place(first, lifecycle.base("early"), 1)
    assert lifecycle.serve("early", specific(1)) == {"error_code": 0}
    assert lifecycle.serve("early", specific(1), {"stable": 1}) == {"error_code": 0}
    refused = lifecycle.serve("early", specific(1, 2), {"stable": 2})
    assert refused["error"] == "FAILED_PRECONDITION"
    assert "not currently available for inference" in refused["details"]
    assert near(lifecycle.scores("early/labels/stable", ROW), first)


def test_latest_serves_as_many_as_asked_and_all_serves_all(lifecycle, first):
    for version in (1, 2, 3):
        place(first, lifecycle.base("several"), version)
    latest = "model_version_policy { latest { num_versions: 2 } }"
    assert lifecycle.serve("several", latest) == {"error_code": 0}
    lifecycle.server.wait_available(2, 3, model="several")
    assert set(lifecycle.server.states("several")) == {2, 3}
    assert lifecycle.serve("several", "model_version_policy { all {} }") == {"error_code": 0}
    lifecycle.server.wait_available(1, 2, 3, model="several")


def test_a_folder_without_a_number_is_no_version(lifecycle, first):
    place(first, lifecycle.base("numbers"), 7)
    (lifecycle.base("numbers") / "9.incoming").mkdir()
    (lifecycle.base("numbers") / "8").write_text("a file is no version")
    assert lifecycle.serve("numbers") == {"error_code": 0}
    assert lifecycle.server.states("numbers") == {7: "AVAILABLE"}
