"""JSON bodies to arrays and back, worked out by hand."""

import json
import math

import numpy as np
import pytest

from serving.embedded.json_tensors import parse_body, select_content, to_array, to_arrays, to_json
from serving.embedded.messages import DATA_TYPES
from serving.embedded.signatures import Signature, TensorSpec
from serving.embedded.status import Code, ServingError


def spec(kind):
    return TensorSpec("x:0", DATA_TYPES[kind], None)


def signature(**kinds):
    return Signature("s", {name: spec(kind) for name, kind in kinds.items()}, {}, None)


def arrays(body, wanted):
    found = to_arrays(select_content(parse_body(json.dumps(body).encode())), wanted)
    return {name: values.tolist() for name, values in found.items()}


def test_rows_and_columns_are_the_same_arrays():
    two = signature(a="DT_FLOAT", b="DT_STRING")
    rows = {"instances": [{"a": [1, 2], "b": "x"}, {"a": [3, 4.5], "b": "y"}]}
    columns = {"inputs": {"a": [[1, 2], [3, 4.5]], "b": ["x", "y"]}}
    expected = {"a": [[1, 2], [3, 4.5]], "b": [b"x", b"y"]}
    assert arrays(rows, two) == arrays(columns, two) == expected


def test_one_input_needs_no_name():
    one = signature(a="DT_INT32")
    lists, named = [[1], [2]], [{"a": [1]}, {"a": [2]}]
    for body in ({"instances": lists}, {"inputs": lists}, {"instances": named}):
        assert arrays(body, one) == {"a": [[1], [2]]}


def test_base64_strings():
    one = signature(a="DT_STRING")
    assert arrays({"instances": [{"b64": "aGk="}, {"b64": ""}]}, one) == {"a": [b"hi", b""]}
    assert arrays({"inputs": {"b64": "aGk="}}, one) == {"a": b"hi"}


def test_columns_that_the_signature_lacks_are_passed_over():
    """As TensorFlow Serving does with `inputs`; `instances` must match exactly."""
    body = {"inputs": {"a": [1], "surplus": [2]}}
    assert arrays(body, signature(a="DT_INT32")) == {"a": [1]}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("DT_INT32", 1.0),
        ("DT_INT32", True),
        ("DT_INT32", 2**31),
        ("DT_INT32", None),
        ("DT_UINT64", -1),
        ("DT_FLOAT", "1"),
        ("DT_FLOAT", True),
        ("DT_FLOAT", None),
        ("DT_FLOAT", 1e39),
        ("DT_BOOL", 1),
        ("DT_STRING", 1),
        ("DT_STRING", {"b65": "aGk="}),
        ("DT_STRING", {"b64": "no!"}),
        ("DT_COMPLEX64", 1),
    ],
)
def test_a_value_of_another_type_is_refused(kind, value):
    with pytest.raises(ServingError) as refused:
        to_array([value], spec(kind), "a")
    assert refused.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("DT_INT64", 2**63 - 1),
        ("DT_UINT64", 2**64 - 1),
        ("DT_INT8", -128),
        ("DT_DOUBLE", 1e300),
        ("DT_FLOAT", 7),
        ("DT_BOOL", False),
    ],
)
def test_extreme_values_are_read(kind, value):
    assert to_array([value], spec(kind), "a").tolist() == [value]


@pytest.mark.parametrize("value", [[[1], 2], [1, [2]], [[1, 2], [3]], [[[1]], [2]], [[], [1]]])
def test_ragged_lists_are_refused(value):
    with pytest.raises(ServingError, match=r"list|level"):
        to_array(value, spec("DT_INT32"), "a")


def test_empty_lists_have_a_shape():
    assert to_array([[], []], spec("DT_INT32"), "a").shape == (2, 0)
    assert to_array(3, spec("DT_INT32"), "a").shape == ()


def test_answers_by_row_and_by_column():
    outputs = {
        "ids": np.array([[b"a", b"\xe6\x97\xa5"]], object),
        "scores": np.array([[0.1, 2]], np.float32),
    }
    row = {"ids": ["a", "日"], "scores": [0.1, 2.0]}
    assert json.loads(to_json(outputs, by_row=True)) == {"predictions": [row]}
    assert b'"scores":[0.1,2.0]' in to_json(outputs, by_row=True)  # the shortest float32
    columns = {name: [value] for name, value in row.items()}
    assert json.loads(to_json(outputs, by_row=False)) == {"outputs": columns}


def test_one_output_stands_for_itself():
    outputs = {"scores": np.array([1, 2], np.int32)}
    assert json.loads(to_json(outputs, by_row=True)) == {"predictions": [1, 2]}
    assert json.loads(to_json(outputs, by_row=False)) == {"outputs": [1, 2]}


def test_bytes_outputs_are_base64():
    outputs = {"image_bytes": np.array([b"\xff"], object)}
    assert json.loads(to_json(outputs, by_row=True)) == {"predictions": [{"b64": "/w=="}]}


def test_bytes_that_are_no_text_do_not_break_the_answer():
    printed = json.loads(to_json({"ids": np.array([b"\xff", b"ok"], object)}, by_row=True))
    assert printed == {"predictions": ["\ufffd", "ok"]}


def test_not_a_number_is_printed_as_the_real_server_does():
    printed = to_json({"scores": np.array([np.nan, -np.inf], np.float32)}, by_row=True)
    assert printed == b'{"predictions": [NaN, -Infinity]}'
    assert math.isnan(json.loads(printed)["predictions"][0])


def test_rows_need_a_batch():
    with pytest.raises(ServingError, match="no batch size in common"):
        to_json({"a": np.zeros(2), "b": np.zeros(3)}, by_row=True)
    with pytest.raises(ServingError, match="no batch size in common"):
        to_json({"a": np.array(1.0)}, by_row=True)
