"""Contract, group 2: signatures, types and shapes as GetModelMetadata and REST tell them."""

import pytest

from tests.serving.bundles import FREQUENT, LENGTH, TOP

pytestmark = pytest.mark.wire

RECOMMEND = {
    "inputs": {
        "history": ["string", [-1, LENGTH]],
        "history_event_type": ["string", [-1, LENGTH]],
        "history_age_seconds": ["float32", [-1, LENGTH]],
        "frequent_items": ["string", [-1, FREQUENT]],
        "frequent_counts": ["float32", [-1, FREQUENT]],
    },
    "outputs": {
        "item_ids": ["string", [-1, TOP]],
        "scores": ["float32", [-1, TOP]],
        "known_items": ["int32", [-1]],
    },
}
_TYPES = {"DT_STRING": "string", "DT_FLOAT": "float32", "DT_INT32": "int32"}


def test_grpc_metadata(server, stubs):
    answer = stubs.call("metadata", server.grpc_address)
    assert answer["version"] == 1
    assert answer["signatures"]["serving_default"] == RECOMMEND
    assert answer["signatures"]["recommend"] == RECOMMEND
    by_index = answer["signatures"]["recommend_by_index"]
    assert by_index["inputs"]["history"] == ["int32", [-1, LENGTH]]
    assert by_index["outputs"]["item_ids"] == ["int32", [-1, TOP]]


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_rest_metadata(server, version):
    answer = server.get(f"/v1/models/next_item{version}/metadata").json()
    assert answer["model_spec"] == {"name": "next_item", "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    for direction in ("inputs", "outputs"):
        told = {
            name: [
                _TYPES[info["dtype"]],
                [int(dimension["size"]) for dimension in info["tensor_shape"]["dim"]],
            ]
            for name, info in signatures["serving_default"][direction].items()
        }
        assert told == RECOMMEND[direction]


def test_metadata_of_an_unknown_model(server, stubs):
    assert server.get("/v1/models/nobody/metadata").status_code == 404
    refused = stubs.call("metadata", server.grpc_address, spec={"name": "nobody"})
    assert refused["error"] == "NOT_FOUND"


@pytest.mark.parametrize("fields", [[], ["weights"]])
def test_only_signatures_can_be_asked_for(server, stubs, fields):
    refused = stubs.call("metadata", server.grpc_address, fields=fields)
    assert refused["error"] == "INVALID_ARGUMENT"
