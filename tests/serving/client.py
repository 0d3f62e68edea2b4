"""A client of the genuine tensorflow-serving-api stubs, driven by JSON lines: one in, one out.

It lives in a process of its own: the stubs import TensorFlow, and the server's messages have the
same names in a pool of their own. Each line is `{"call": ..., "address": ..., ...}`.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

_channels: dict[str, grpc.Channel] = {}


def channel(address: str) -> grpc.Channel:
    if address not in _channels:
        _channels[address] = grpc.insecure_channel(address)
    return _channels[address]


def fill_spec(spec: Any, wanted: dict[str, Any]) -> None:
    spec.name = wanted.get("name", "next_item")
    spec.signature_name = wanted.get("signature", "")
    if "version" in wanted:
        spec.version.value = wanted["version"]
    if "label" in wanted:
        spec.version_label = wanted["label"]


def tensor(described: dict[str, Any]) -> Any:
    """`values` with `dtype`, sent as `form`: typed fields or tensor_content."""
    dtype = tf.as_dtype(described["dtype"])
    array = np.array(described["values"], dtype.as_numpy_dtype)
    proto = tf.make_tensor_proto(array, dtype=dtype, shape=described.get("shape", array.shape))
    if described.get("form", "typed") == "typed" and dtype != tf.string and proto.tensor_content:
        proto.ClearField("tensor_content")
        field = {"float32": "float_val", "int32": "int_val", "int64": "int64_val"}[dtype.name]
        getattr(proto, field).extend(array.ravel().tolist())
    return proto


def read(proto: Any) -> dict[str, Any]:
    array = tf.make_ndarray(proto)
    values = array.tolist()
    if array.dtype == object:
        values = np.vectorize(bytes.decode, otypes=[object])(array).tolist()
    return {
        "dtype": tf.as_dtype(proto.dtype).name,
        "values": values,
        "tensor_content": bool(proto.tensor_content),
    }


def predict(address: str, line: dict[str, Any]) -> dict[str, Any]:
    request = predict_pb2.PredictRequest()
    if "spec" in line:
        fill_spec(request.model_spec, line["spec"])
    for name, described in line["inputs"].items():
        request.inputs[name].CopyFrom(tensor(described))
    request.output_filter.extend(line.get("filter", []))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel(address))
    response = stub.Predict(request, timeout=line.get("timeout", 60))
    return {
        "version": response.model_spec.version.value,
        "signature": response.model_spec.signature_name,
        "outputs": {name: read(proto) for name, proto in response.outputs.items()},
    }


def predict_many(address: str, line: dict[str, Any]) -> dict[str, Any]:
    """Sends all requests at the same time; the answers come in their order."""
    with ThreadPoolExecutor(len(line["requests"])) as pool:
        answers = pool.map(lambda one: answered(predict, address, one), line["requests"])
        return {"answers": list(answers)}


def metadata(address: str, line: dict[str, Any]) -> dict[str, Any]:
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        metadata_field=line.get("fields", ["signature_def"])
    )
    fill_spec(request.model_spec, line.get("spec", {}))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel(address))
    response = stub.GetModelMetadata(request, timeout=60)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)

    def infos(tensors: Any) -> dict[str, Any]:
        return {
            name: [tf.as_dtype(info.dtype).name, [d.size for d in info.tensor_shape.dim]]
            for name, info in tensors.items()
        }

    return {
        "version": response.model_spec.version.value,
        "signatures": {
            name: {"inputs": infos(signature.inputs), "outputs": infos(signature.outputs)}
            for name, signature in signatures.signature_def.items()
            if not name.startswith("__")
        },
    }


def status(address: str, line: dict[str, Any]) -> dict[str, Any]:
    request = get_model_status_pb2.GetModelStatusRequest()
    fill_spec(request.model_spec, line.get("spec", {}))
    stub = model_service_pb2_grpc.ModelServiceStub(channel(address))
    response = stub.GetModelStatus(request, timeout=60)
    state = get_model_status_pb2.ModelVersionStatus.State
    return {
        "versions": [
            {
                "version": one.version,
                "state": state.Name(one.state),
                "error_code": one.status.error_code,
                "error_message": one.status.error_message,
            }
            for one in response.model_version_status
        ]
    }


def reload(address: str, line: dict[str, Any]) -> dict[str, Any]:
    request = model_management_pb2.ReloadConfigRequest()
    request.config.CopyFrom(
        text_format.Parse(line["config"], model_server_config_pb2.ModelServerConfig())
    )
    stub = model_service_pb2_grpc.ModelServiceStub(channel(address))
    response = stub.HandleReloadConfigRequest(request, timeout=line.get("timeout", 60))
    return {"error_code": response.status.error_code}


def health(address: str, line: dict[str, Any]) -> dict[str, Any]:
    stub = health_pb2_grpc.HealthStub(channel(address))
    request = health_pb2.HealthCheckRequest(service=line.get("service", ""))
    response = stub.Check(request, timeout=60)
    return {"status": health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)}


_loaded: dict[str, Any] = {}


def in_process(folder: str, line: dict[str, Any]) -> dict[str, Any]:
    """Calls a SavedModel in this process: what every server has to equal."""
    if folder not in _loaded:
        _loaded[folder] = tf.saved_model.load(folder)
    inputs = {
        name: tf.constant(described["values"], tf.as_dtype(described["dtype"]))
        for name, described in line["inputs"].items()
    }
    outputs = _loaded[folder].signatures[line.get("signature", "serving_default")](**inputs)
    return {"outputs": {name: read(tf.make_tensor_proto(value)) for name, value in outputs.items()}}


CALLS = {
    call.__name__: call
    for call in (predict, predict_many, metadata, status, reload, health, in_process)
}


def answered(call: Any, address: str, line: dict[str, Any]) -> dict[str, Any]:
    try:
        return call(address, line)
    except (text_format.ParseError, TypeError, ValueError, KeyError) as error:
        return {"broken": repr(error)}
    except grpc.RpcError as error:
        return {"error": error.code().name, "details": error.details()}


def main() -> None:
    for text in sys.stdin:
        line = json.loads(text)
        answer = answered(CALLS[line["call"]], line["address"], line)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
