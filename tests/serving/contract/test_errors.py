"""Contract, group 5: what is wrong with a request, and the code and words that say so."""

import json

import pytest

from tests.serving.bundles import random_row
from tests.serving.stubs import columns

pytestmark = pytest.mark.wire
ROW = random_row(1)
PREDICT = "/v1/models/next_item:predict"


def without(name):
    return {key: value for key, value in ROW.items() if key != name}


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/v1/models/nobody:predict", 404, "Servable not found for request: Latest(nobody)"),
        ("/v1/models/next_item/versions/99:predict", 404, "Servable not found for request"),
        (
            "/v1/models/next_item/labels/nowhere:predict",
            400,
            "Unrecognized servable version label: nowhere",
        ),
    ],
)
def test_rest_unknown_model_version_label(server, path, code, words):
    answer = server.post(path, {"instances": [ROW]})
    assert answer.status_code == code
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ({"name": "nobody"}, "NOT_FOUND", "Servable not found for request: Latest(nobody)"),
        ({"name": ""}, "INVALID_ARGUMENT", ""),
        ({"version": 99}, "NOT_FOUND", "Servable not found for request"),
        ({"label": "x"}, "INVALID_ARGUMENT", "Unrecognized servable version label: x"),
        ({"signature": "x"}, "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
    ],
)
def test_grpc_unknown_model_version_label_signature(server, stubs, spec, code, words):
    refused = stubs.predict(server.grpc_address, [ROW], spec=spec)
    assert refused["error"] == code
    assert words in refused["details"]


def test_grpc_without_a_model(server, stubs):
    refused = stubs.call("predict", server.grpc_address, inputs=columns([ROW]))
    assert refused["error"] == "INVALID_ARGUMENT"


def test_rest_unknown_signature_is_another_code_than_grpcs(server):
    answer = server.post(PREDICT, {"signature_name": "x", "instances": [ROW]})
    assert answer.status_code == 400
    assert "signature" in answer.json()["error"]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (columns([without("history")]), "Missing but required: {history}"),
        (columns([ROW | {"surplus": [1.0]}]), "Sent extra: {surplus}"),
    ],
)
def test_grpc_missing_or_extra_input(server, stubs, inputs, words):
    refused = stubs.predict(server.grpc_address, [ROW], inputs=inputs)
    assert refused["error"] == "INVALID_ARGUMENT"
    assert "input size does not match signature" in refused["details"]
    assert words in refused["details"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"dtype": "int32", "values": [[1] * 6]},
        {"dtype": "string", "values": [["a", "b"]]},
        {"dtype": "string", "values": ["a"] * 6},
        {"dtype": "string", "values": [[["a"] * 6]]},
    ],
    ids=["type", "length", "rank-1", "rank-3"],
)
def test_grpc_wrong_type_or_shape(server, stubs, wrong):
    inputs = columns([ROW]) | {"history": wrong}
    refused = stubs.predict(server.grpc_address, [ROW], inputs=inputs)
    assert refused["error"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        json.dumps({"instances": []}).encode(),
        json.dumps({"instances": {}}).encode(),
        json.dumps({"instances": [ROW], "inputs": {}}).encode(),
        json.dumps({"instances": [ROW], "signature_name": 7}).encode(),
        json.dumps({"instances": [without("history")]}).encode(),
        json.dumps({"instances": [ROW | {"surplus": [1]}]}).encode(),
        json.dumps({"instances": [ROW, [1]]}).encode(),
        json.dumps({"instances": [[1, 2]]}).encode(),
        json.dumps({"instances": [ROW | {"history": [1] * 6}]}).encode(),
        json.dumps({"instances": [ROW | {"history": [None] * 6}]}).encode(),
        json.dumps({"instances": [ROW | {"history": ["a"]}]}).encode(),
        json.dumps({"instances": [ROW | {"history": [["a"]] * 6}]}).encode(),
        json.dumps({"instances": [ROW | {"history": ["a", ["b"], "c", "d", "e", "f"]}]}).encode(),
        json.dumps({"instances": [ROW | {"history": [{"b64": "?"}] * 6}]}).encode(),
        json.dumps({"instances": [ROW | {"frequent_counts": ["1"] * 4}]}).encode(),
        json.dumps({"instances": [ROW | {"frequent_counts": [True] * 4}]}).encode(),
        json.dumps({"instances": [ROW, ROW | {"history": ["a"] * 5}]}).encode(),
        json.dumps({"inputs": without("history")}).encode(),
        json.dumps({"inputs": [1]}).encode(),
    ],
)
def test_rest_bad_body(server, body):
    answer = server.post(PREDICT, content=body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    assert isinstance(answer.json()["error"], str)


def test_ragged_instances_name_the_size(server):
    ragged = {"instances": [ROW, ROW | {"history": ["a"] * 5}]}
    assert "size" in server.post(PREDICT, ragged).json()["error"]


def test_malformed_path(server):
    answer = server.post("/v1/models/next_item:guess", {"instances": [ROW]})
    assert answer.status_code == 400
    assert "Malformed request" in answer.json()["error"]
    assert server.http.put(server.rest_url + PREDICT, json={}).status_code == 400


def test_paths_outside_the_api_are_not_found(server):
    assert server.get("/").status_code == 404
