"""The protocol layer stands without TensorFlow and beside the genuine stubs."""

import json
import subprocess
import sys

from tests.serving.servers import ROOT

_BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"tensorflow", "keras", "tensorflow_serving"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
"""


def run(source: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_but_the_savedmodel_engine_imports_without_tensorflow():
    names = run(
        _BLOCKED
        + """
from pathlib import Path
import importlib
paths = sorted(Path("serving").rglob("*.py"))
names = [".".join(path.with_suffix("").parts) for path in paths if path.stem != "__init__"]
names.remove("serving.embedded.savedmodel_engine")
for name in names:
    importlib.import_module(name)
print(" ".join(names))
"""
    ).split()
    embedded = ("messages", "grpc_service", "rest_service", "litert_engine")
    assert {"serving.server", *(f"serving.embedded.{name}" for name in embedded)} <= set(names)


def test_the_blocker_of_these_tests_blocks():
    refused = run(
        _BLOCKED
        + """
try:
    import serving.embedded.savedmodel_engine
except ImportError as error:
    print(error)
"""
    )
    assert refused == "tensorflow is blocked\n"


_COMPARE = """
import json
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
from google.protobuf import descriptor_pool
from tensorflow_serving.apis import (
    get_model_metadata_pb2, get_model_status_pb2, model_management_pb2, predict_pb2,
    prediction_log_pb2,
)
from tensorflow.core.protobuf import saved_model_pb2
from serving.embedded import messages

OURS_ALONE = {"BatchingParameters", "MonitoringConfig", "PrometheusConfig"}  # no stub has them
genuine_pool = descriptor_pool.Default()
checked, wrong = [], []

def kind(field):
    named = field.message_type or field.enum_type
    # the genuine code of a status is tensorflow.error.Code; an enum is an enum on the wire
    return field.enum_type and "enum" or (named and named.full_name)

def compare(ours):
    if ours.full_name in checked or ours.name in OURS_ALONE:
        return
    checked.append(ours.full_name)
    genuine = genuine_pool.FindMessageTypeByName(ours.full_name)
    for field in ours.fields:
        other = genuine.fields_by_name[field.name]
        same = (field.number, field.type, field.is_repeated, kind(field)) == (
            other.number, other.type, other.is_repeated, kind(other))
        if not same:
            wrong.append(f"{ours.full_name}.{field.name}")
        if field.message_type:
            compare(field.message_type)
        if field.enum_type:
            values = {v.number: v.name for v in other.enum_type.values}
            wrong.extend(
                f"{field.enum_type.full_name}.{v.name}"
                for v in field.enum_type.values if values.get(v.number) != v.name)

for name in vars(messages).values():
    if hasattr(name, "DESCRIPTOR"):
        compare(name.DESCRIPTOR)
request = messages.PredictRequest()
request.model_spec.name = "next_item"
request.inputs["history"].string_val.extend([b"a", b"b"])
read = predict_pb2.PredictRequest.FromString(request.SerializeToString())
history = [value.decode() for value in read.inputs["history"].string_val]
print(json.dumps({"checked": checked, "wrong": wrong, "read": [read.model_spec.name, history]}))
"""


def test_our_messages_are_the_genuine_ones_in_part():
    """Field by field in one process with the stubs, which also proves that the pools are apart."""
    outcome = json.loads(run(_COMPARE).splitlines()[-1])
    assert outcome["wrong"] == []
    assert outcome["read"] == ["next_item", ["a", "b"]]
    assert {"tensorflow.TensorProto", "tensorflow.SavedModel"} <= set(outcome["checked"])
    assert {
        f"tensorflow.serving.{name}"
        for name in ("PredictRequest", "ModelConfig", "PredictionLog", "ModelVersionStatus")
    } <= set(outcome["checked"])
