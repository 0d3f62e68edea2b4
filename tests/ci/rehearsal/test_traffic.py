"""What became of a load's requests is counted right, whatever came back and in whatever order."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.rehearsal.traffic import Request, Traffic


def request(due=0.0, took=0.01, version=1, *, host="host1", error=""):
    return Request(host, "anna", due, due, due + took, 0 if error else 200, version, error)


def traffic(*requests):
    return Traffic(requests, 0.0, 100.0)


requests = st.builds(
    request,
    due=st.floats(0, 99),
    took=st.floats(0, 30),
    version=st.integers(1, 3),
    host=st.sampled_from(["host1", "host2"]),
    error=st.sampled_from(["", "", "HTTP 503: busy"]),
)


@given(st.lists(requests, min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_the_least_latency_that_covers_its_share(made, share):
    value = traffic(*made).percentile(share)
    covered = sum(one.latency <= value for one in made)
    shorter = sum(one.latency < value for one in made)
    assert value in {one.latency for one in made}
    assert shorter < math.ceil(share * len(made)) <= covered


def test_percentiles_by_hand():
    made = traffic(*(request(took=n / 1000) for n in range(1, 201)))
    assert made.percentile(0.5) == 0.100
    assert made.percentile(0.99) == 0.198
    assert made.percentile(1) == 0.200


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_a_percentile_of_nothing_is_no_number_that_could_pass(share):
    with pytest.raises(ValueError, match="there are 1 and the share"):
        traffic(request()).percentile(share)
    with pytest.raises(ValueError, match="there are 0"):
        traffic().percentile(0.99)


@given(st.lists(requests), st.floats(0, 50), st.floats(50.5, 100))
def test_a_request_belongs_to_the_window_that_it_was_due_in(made, start, end):
    whole = traffic(*made)
    part = whole.between(start, end)
    assert set(part.requests) == {one for one in made if start <= one.due < end}
    assert (part.began, part.ended) == (start, end)
    assert sum(len(part.of(host).requests) for host in part.hosts) == len(part.requests)
    assert set(part.failures) == {one for one in part.requests if one.error}


@pytest.mark.parametrize("window", [(-1, 5), (5, 101), (5, 5), (6, 5)])
def test_a_window_without_load_is_refused(window):
    with pytest.raises(ValueError, match=r"lasted from 0\.00 to 100\.00.*let the load last longer"):
        traffic(request()).between(*window)


@given(st.lists(requests))
def test_gone_back_is_what_comparing_every_pair_finds(made):
    whole = traffic(*made)
    for host in ("host1", "host2"):
        answered = [one for one in made if one.host == host and not one.error]
        back = [
            late
            for late in answered
            if any(
                early.ended <= late.sent and early.model_version > late.model_version
                for early in answered
            )
        ]
        assert sorted(map(id, whole.gone_back(host))) == sorted(map(id, back))
        assert whole.monotonic(host) == (not back)


def test_an_older_release_may_end_later_but_not_begin_later():
    overlapping = traffic(request(0, took=5, version=1), request(1, took=1, version=2))
    assert overlapping.monotonic("host1")
    assert overlapping.releases("host1") == [2, 1]
    late = request(2.5, version=1)
    assert traffic(*overlapping.requests, late).gone_back("host1") == [late]


def test_hosts_are_followed_apart_and_failures_name_no_release():
    ahead, behind = request(0, version=2), request(1, version=1, host="host2")
    failed = request(2, version=1, error="HTTP 503: old and draining")
    both = traffic(ahead, behind, failed)
    assert both.monotonic("host1")
    assert both.monotonic("host2")
    assert both.releases("host1") == [2]


def test_the_summary_has_a_line_a_host_and_the_first_failures():
    failed = [request(n, took=2, host="host2", error=f"HTTP 503: {n}") for n in range(7)]
    made = traffic(request(0, took=0.010), request(1, took=0.020, version=2), *failed)
    head, one, two, *failures = made.summary().splitlines()
    assert head.split() == ["host", "sent", "failed", "p50", "ms", "p99", "ms", "releases"]
    assert re.split(r" {2,}", one) == ["host1", "2", "0", "10", "20", "1 → 2"]
    assert re.split(r" {2,}", two) == ["host2", "7", "7", "2000", "2000", ""]
    assert failures == [f"host2, anna: HTTP 503: {n}" for n in range(5)]
