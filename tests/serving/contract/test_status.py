"""Contract, group 1: the status of a model by REST and gRPC."""

import pytest

pytestmark = pytest.mark.wire


def test_rest_status_has_the_real_shape(server):
    answer = server.get("/v1/models/next_item")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "model_version_status": [
            {
                "version": "1",  # an int64 is a string in protobuf's JSON
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }


def test_grpc_status_says_the_same(server, stubs):
    answer = stubs.call("status", server.grpc_address)
    available = {"version": 1, "state": "AVAILABLE", "error_code": 0, "error_message": ""}
    assert answer == {"versions": [available]}
    assert stubs.call("status", server.grpc_address, spec={"version": 1}) == answer


@pytest.mark.parametrize("path", ["/v1/models/next_item/versions/1", "/V1/MODELS/next_item"])
def test_paths_to_one_version_and_in_capitals(server, path):
    assert server.get(path).json() == server.get("/v1/models/next_item").json()


def test_unknown_model_is_not_found(server, stubs):
    words = "Could not find any versions of model nobody"
    answer = server.get("/v1/models/nobody")
    assert answer.status_code == 404
    assert words in answer.json()["error"]
    refused = stubs.call("status", server.grpc_address, spec={"name": "nobody"})
    assert refused["error"] == "NOT_FOUND"
    assert words in refused["details"]


def test_unknown_version_is_not_found(server, stubs):
    assert server.get("/v1/models/next_item/versions/99").status_code == 404
    refused = stubs.call("status", server.grpc_address, spec={"version": 99})
    assert refused["error"] == "NOT_FOUND"


def test_a_model_name_is_needed(server):
    answer = server.get("/v1/models")
    assert answer.status_code == 400
    assert "Missing model name" in answer.json()["error"]
