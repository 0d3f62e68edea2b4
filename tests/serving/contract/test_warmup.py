"""Contract, group 8: a version is available only when its warm-up requests have been answered."""

import struct
from pathlib import Path

import pytest

from serving.embedded.messages import PredictionLog
from serving.embedded.tfrecord import masked_crc32c
from tests.serving.bundles import place, random_row

pytestmark = pytest.mark.lifecycle
ROW = random_row(7)
WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"


def record(data):
    header = struct.pack("<Q", len(data))
    return b"".join(
        (
            header,
            struct.pack("<I", masked_crc32c(header)),
            data,
            struct.pack("<I", masked_crc32c(data)),
        )
    )


def failing_request():
    log = PredictionLog()
    log.predict_log.request.model_spec.name = "next_item"
    log.predict_log.request.inputs["nonsense"].dtype = 1
    return record(log.SerializeToString())


BAD = {
    "corrupted": lambda good: good[:40] + bytes([good[40] ^ 1]) + good[41:],
    "truncated": lambda good: good[:-3],
    "unparsable": lambda good: good + record(b"\xff\xff\xff"),
    "failing": lambda good: good + failing_request(),
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_record_keeps_the_version_out_and_the_old_one_in(lifecycle, first, second, how):
    model = f"warm-{how}"
    place(first, lifecycle.base(model), 1)
    assert lifecycle.serve(model) == {"error_code": 0}
    spoilt = place(second, lifecycle.folder / "spoilt" / how, 2).folder
    (spoilt / WARMUP).write_bytes(BAD[how]((spoilt / WARMUP).read_bytes()))
    spoilt.rename(lifecycle.base(model) / "2")
    lifecycle.wait_state(model, 2, "END")
    statuses = lifecycle.stubs.call(
        "status", lifecycle.server.grpc_address, spec={"name": model, "version": 2}
    )
    assert statuses["versions"][0]["error_code"] != 0
    assert statuses["versions"][0]["error_message"]
    assert lifecycle.server.states(model) == {1: "AVAILABLE", 2: "END"}
    expected = first.expected(ROW)["scores"]
    assert lifecycle.scores(model, ROW) == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_a_version_without_warm_up_loads_too(lifecycle, first):
    bare = place(first, lifecycle.folder / "bare", 1)
    (bare.folder / WARMUP).unlink()
    assert lifecycle.serve("bare") == {"error_code": 0}
    assert len(lifecycle.scores("bare", ROW)) == 5


def test_a_repaired_version_loads_under_a_new_number(lifecycle, first, second):
    place(first, lifecycle.base("repair"), 1)
    assert lifecycle.serve("repair") == {"error_code": 0}
    broken = place(second, lifecycle.folder / "spoilt" / "repair", 2).folder
    (broken / WARMUP).write_bytes(b"no record at all")
    broken.rename(lifecycle.base("repair") / "2")
    lifecycle.wait_state("repair", 2, "END")
    place(second, lifecycle.base("repair"), 3)
    lifecycle.server.wait_available(3, model="repair")
    lifecycle.wait_state("repair", 1, "END")
