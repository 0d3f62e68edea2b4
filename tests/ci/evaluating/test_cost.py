"""Cost of serving: the ratio by hand, and real bundles side by side."""

import json

import keras
import numpy as np
import pytest

from ci.errors import PushcartError
from ci.evaluating.cost import measure_cost, ratio_of
from ci.evaluating.cost_worker import single_requests
from ci.workspace import size_of
from model.bundle.export import export_bundle
from model.schema import Input
from tests.tiny import LENGTHS, LINEAGE, VOCABULARY, copy_bundle, export_tiny, requests, tiny_model


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return export_tiny(tmp_path_factory.mktemp("bundles") / "1")


@keras.saving.register_keras_serializable(package="tests")
class Detour(keras.layers.Layer):
    """Multiplies a large matrix for nothing: 2 * 400^3 operations, 128 million, a call."""

    def call(self, scores):
        square = keras.ops.ones((400, 400)) * keras.ops.mean(scores)
        return scores + 0.0 * keras.ops.mean(keras.ops.matmul(square, square))


def slowed() -> keras.Model:
    model = tiny_model()
    scores = Detour()(model.output["scores"])
    return keras.Model(model.input, {**model.output, "scores": scores})


def test_the_ratio_by_hand():
    ratio = ratio_of([2.0, 3.0, 8.0], [1.0, 2.0, 2.0], seed=1)  # ratios 2, 1.5 and 4
    assert ratio.median == 2.0
    assert (ratio.lower, ratio.upper) == (1.5, 4.0)
    assert ratio_of([5.0], [2.0], seed=1).upper == 2.5


def test_a_bundle_against_itself_is_as_fast(bundle):
    cost = measure_cost(bundle, bundle, "litert")
    assert cost["cpu_ratio"]["lower"] <= cost["cpu_ratio"]["median"] <= cost["cpu_ratio"]["upper"]
    assert 0.5 < cost["cpu_ratio"]["median"] < 2.0
    assert cost["challenger"]["bundle_bytes"] == cost["live"]["bundle_bytes"] == size_of(bundle)
    assert cost["live"]["memory_mb"] > 10


def test_a_slowed_bundle_is_seen_as_slow(bundle, tmp_path):
    export_bundle(
        slowed(),
        VOCABULARY,
        tmp_path / "2",
        lineage=LINEAGE,
        golden_inputs=requests(),
        lengths=LENGTHS,
    )
    cost = measure_cost(tmp_path / "2", bundle)
    assert cost["cpu_ratio"]["lower"] > 1.2
    assert cost["challenger"]["cold_start_seconds"] > 0
    assert set(cost["challenger"]) == {
        "cpu_ms_per_request",
        "bundle_bytes",
        "memory_mb",
        "cold_start_seconds",
    }
    assert json.loads(json.dumps(cost)) == cost


def test_without_a_live_bundle_there_is_no_ratio(bundle):
    cost = measure_cost(bundle, None, "litert")
    assert cost["live"] is None
    assert cost["cpu_ratio"] is None
    assert cost["challenger"]["cpu_ms_per_request"] > 0


def test_a_bundle_that_does_not_load_is_named(bundle, tmp_path):
    broken = copy_bundle(bundle, tmp_path / "3")
    (broken / "edge" / "model.tflite").write_bytes(b"not a model")
    with pytest.raises(PushcartError, match=r"/3 cannot be measured: .*model\.tflite"):
        measure_cost(broken, None, "litert")


def test_requests_are_single_rows_of_bytes(bundle):
    rows = single_requests(bundle)
    assert len(rows) == 5
    assert rows[1][Input.HISTORY].tolist() == [[b"", b"", b"", b"item-3", b"item-7", b"item-3"]]
    assert rows[1][Input.HISTORY_AGE_SECONDS].dtype == np.float32


def test_memory_is_the_bundles_own_and_not_the_parents(bundle):
    """A parent that once held much hands its peak down to children in `getrusage`."""
    ballast = bytearray(700 << 20)
    cost = measure_cost(bundle, None, "litert")
    assert len(ballast) == 700 << 20
    assert cost["challenger"]["memory_mb"] < 400
