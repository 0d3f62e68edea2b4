"""Bounds that the embedded server sets of its own, so that nobody fills its memory."""

import pytest

from serving.embedded.rest_service import MAX_BODY_BYTES

PREDICT = "/v1/models/next_item:predict"


@pytest.fixture(params=["savedmodel", "litert"])
def embedded(request):
    return request.getfixturevalue(request.param)


def test_a_body_that_says_that_it_is_too_large(embedded):
    answer = embedded.post(PREDICT, content=b"x" * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert str(MAX_BODY_BYTES) in answer.json()["error"]


def test_a_body_in_pieces_that_grows_too_large(embedded):
    pieces = (b"x" * 2**20 for _ in range(MAX_BODY_BYTES // 2**20 + 1))
    answer = embedded.http.post(embedded.rest_url + PREDICT, content=pieces)
    assert answer.status_code == 413


def test_the_engines_limits_are_named(litert, stubs):
    """A signature that LiteRT does not answer is one that the bundle does not have."""
    refused = stubs.call("predict", litert.grpc_address, spec={"signature": "busy"}, inputs={})
    assert refused["error"] == "FAILED_PRECONDITION"
    signatures = stubs.call("metadata", litert.grpc_address)["signatures"]
    assert signatures.keys() == {"serving_default", "recommend", "recommend_by_index"}
