"""No body, path or bytes from outside kill the server, and each gets an answer of its own fault."""

import json
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.bundles import LENGTH, random_row

pytestmark = pytest.mark.wire
ROW = random_row(1)
PREDICT = "/v1/models/next_item:predict"
FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.builds(lambda text: {"b64": text}, st.text(max_size=8)),
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=25,
)
names = st.sampled_from([*ROW, "surplus"])
# a valid row with some of its values replaced: deeper into the code than pure noise gets
almost = st.dictionaries(names, values | st.lists(leaves, min_size=LENGTH, max_size=LENGTH)).map(
    lambda wrong: ROW | wrong
)
bodies = st.one_of(
    values,
    st.fixed_dictionaries(
        {},
        optional={
            "instances": values | st.lists(almost, max_size=3),
            "inputs": values | almost,
            "signature_name": st.sampled_from(["recommend", "embed_user", "", "recommend_by_index"])
            | leaves,
        },
    ),
)


def assert_answered(server, answer):
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
    if answer.status_code != 200:
        assert set(answer.json()) == {"error"}
    assert server.process is None or server.process.poll() is None


@FUZZ
@given(body=bodies)
def test_any_json_body(server, body):
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    assert_answered(server, server.post(PREDICT, content=content))


@FUZZ
@given(content=st.binary(max_size=200))
def test_any_bytes_as_a_body(server, content):
    assert_answered(server, server.post(PREDICT, content=content))


@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
    path=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"))
    | st.from_regex(r"/(versions|labels)/[$->@-~]{1,30}(/metadata|:predict)?", fullmatch=True),
)
def test_any_path(server, method, path):
    answer = server.http.request(method, f"{server.rest_url}/v1/models/next_item{path}")
    assert_answered(server, answer)


@settings(FUZZ, max_examples=40)
@given(content=st.binary(min_size=1, max_size=200))
def test_any_bytes_on_the_wire(server, content):
    """What is no HTTP at all ends the connection, not the server."""
    host, _, port = server.rest_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(content + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    assert server.get("/v1/models/next_item").status_code == 200


@pytest.mark.parametrize("depth", [100, 5000, 100_000])
def test_deep_nesting(server, depth):
    content = b'{"instances": ' + b"[" * depth + b"]" * depth + b"}"
    assert_answered(server, server.post(PREDICT, content=content))


def test_a_huge_tensor_of_few_bytes_is_refused(server, stubs):
    """Ten bytes that stand for four gigabytes."""
    inputs = {"iterations": {"dtype": "int32", "values": 1, "shape": [2**30]}}
    line = {"spec": {"signature": "recommend_by_index"}, "inputs": inputs}
    assert stubs.call("predict", server.grpc_address, **line)["error"] == "INVALID_ARGUMENT"
    row = {"dtype": "string", "values": "a", "shape": [2**27, LENGTH]}
    described = {"history": row, **{name: row for name in ROW if name != "history"}}
    refused = stubs.call("predict", server.grpc_address, spec={}, inputs=described)
    assert refused["error"] == "INVALID_ARGUMENT"
    assert server.get("/v1/models/next_item").status_code == 200
