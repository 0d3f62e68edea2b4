"""Warm-up on a real bundle, with a LiteRT model whose runs are written down."""

import struct

import numpy as np
import pytest

from serving.embedded.litert_engine import LiteRtEngine
from serving.embedded.messages import PredictionLog
from serving.embedded.status import Code, ServingError
from serving.embedded.tensors import encode
from serving.embedded.tfrecord import masked_crc32c
from serving.embedded.warmup import MAX_RECORDS, WARMUP_FILE, replay
from tests.serving.bundles import empty_row, place
from tests.serving.stubs import columns


class Recorded:
    """A loaded model that keeps the signature and the rows of every run."""

    def __init__(self, model):
        self.model = model
        self.signatures = model.signatures
        self.not_answered = model.not_answered
        self.runs = []

    def predict(self, signature, inputs, outputs, deadline):
        answer = self.model.predict(signature, inputs, outputs, deadline)
        self.runs.append((signature.name, len(answer["scores"])))
        return answer


@pytest.fixture
def folder(first, tmp_path):
    return place(first, tmp_path, 1).folder


@pytest.fixture
def model(folder):
    return Recorded(LiteRtEngine(1).load(folder))


def record(signature, rows=1):
    log = PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "next_item"
    request.model_spec.signature_name = signature
    for name, described in columns([empty_row()] * rows).items():
        text = described["dtype"] == "string"
        values = np.array(described["values"], object if text else np.float32)
        if text:
            values = np.vectorize(str.encode, otypes=[object])(values)
        request.inputs[name].CopyFrom(encode(values))
    return log.SerializeToString()


def write(folder, *records):
    parts = []
    for data in records:
        size = struct.pack("<Q", len(data))
        sums = [struct.pack("<I", masked_crc32c(part)) for part in (size, data)]
        parts += [size, sums[0], data, sums[1]]
    (folder / WARMUP_FILE).write_bytes(b"".join(parts))


def test_each_record_runs_and_then_each_size_of_each_signature(folder, model):
    assert replay(folder, model, batch_sizes=(1, 2, 8)) == 6
    names = ("serving_default", "recommend")
    assert model.runs[:6] == [(name, rows) for rows in (1, 2, 4) for name in names]
    assert sorted(model.runs[6:]) == sorted((name, rows) for rows in (1, 2, 8) for name in names)


def test_iterations(folder, model):
    write(folder, record("recommend", rows=3))
    assert replay(folder, model, iterations=4) == 1
    assert model.runs == [("recommend", 3)] * 4


def test_no_file_is_no_work(folder, model):
    (folder / WARMUP_FILE).unlink()
    assert replay(folder, model, batch_sizes=(1,)) == 0
    assert model.runs == []


def test_what_the_engine_does_not_answer_is_passed_over(folder, model):
    """The bundle's own records speak of all its signatures, the edge file has some of them."""
    write(folder, record("embed_user"), record("recommend"))
    assert replay(folder, model) == 2
    assert model.runs == [("recommend", 1)]


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([record("nobody")], Code.FAILED_PRECONDITION),
        ([b"\xff\xff\xff"], Code.INVALID_ARGUMENT),
        ([PredictionLog().SerializeToString()], Code.UNIMPLEMENTED),
        ([record("embed_user")] * (MAX_RECORDS + 1), Code.INVALID_ARGUMENT),
    ],
    ids=["signature", "garbage", "no-predict-log", "too-many"],
)
def test_a_bad_record_fails(folder, model, records, code):
    write(folder, *records)
    with pytest.raises(ServingError) as refused:
        replay(folder, model)
    assert refused.value.code is code
