"""Tensors to and from the wire, held to bytes written by hand and to round trips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.embedded.messages import DATA_TYPES, TensorProto
from serving.embedded.status import Code, ServingError
from serving.embedded.tensors import BY_NUMBER, decode, encode


def tensor(kind, shape, **fields):
    proto = TensorProto(dtype=DATA_TYPES[kind], **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def test_tensor_content_is_little_endian_in_row_order():
    content = bytes.fromhex("01000000 02000000 03000000 ffffffff")
    assert decode(tensor("DT_INT32", (2, 2), tensor_content=content)).tolist() == [[1, 2], [3, -1]]
    content = bytes.fromhex("0000803f")
    assert decode(tensor("DT_FLOAT", (), tensor_content=content)).tolist() == 1.0


def test_strings_in_tensor_content_are_lengths_then_bytes():
    long = b"x" * 300  # its length takes two bytes: 0xac 0x02
    content = bytes([1, 0xAC, 0x02, 0]) + b"a" + long
    read = decode(tensor("DT_STRING", (3,), tensor_content=content))
    assert read.tolist() == [b"a", long, b""]


def test_half_values_are_bit_patterns():
    assert decode(tensor("DT_HALF", (2,), half_val=[0x3C00, 0xC000])).tolist() == [1.0, -2.0]
    assert list(encode(np.array([1, -2], np.float16)).half_val) == [0x3C00, 0xC000]


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("DT_INT64", {"int64_val": [5]}, [5, 5, 5]),
        ("DT_FLOAT", {"float_val": [1, 2]}, [1, 2, 2]),
        ("DT_STRING", {"string_val": [b"a"]}, [b"a", b"a", b"a"]),
        ("DT_INT32", {}, [0, 0, 0]),
        ("DT_STRING", {}, [b"", b"", b""]),
        ("DT_BOOL", {"bool_val": [True]}, [True, True, True]),
    ],
)
def test_missing_values_repeat_the_last_one(kind, fields, expected):
    assert decode(tensor(kind, (3,), **fields)).tolist() == expected


@pytest.mark.parametrize(
    ("proto", "words"),
    [
        (tensor("DT_INT32", (2,), tensor_content=b"1234567"), "7 bytes"),
        (tensor("DT_INT32", (1,), int_val=[1, 2]), "2 values for a shape of 1"),
        (tensor("DT_INT32", (-1,)), "sizes must be >= 0"),
        (tensor("DT_INT32", (2**40,)), "more than"),
        (tensor("DT_INT32", (2**20, 2**20), int_val=[1]), "more than"),
        (tensor("DT_STRING", (2,), tensor_content=b"\x05\x01ab"), "does not hold 2 strings"),
        (tensor("DT_STRING", (2,), tensor_content=b"\x80"), "ends inside"),
        (tensor("DT_STRING", (1,), tensor_content=b"\xff" * 12), "64 bits"),
        (tensor("DT_INT8", (1,), int_val=[300]), "outside int8"),
        (tensor("DT_COMPLEX64", (1,)), "complex64 are not supported"),
        (TensorProto(), "invalid are not supported"),
        (TensorProto(dtype=999), "type 999 are not supported"),
        (TensorProto(dtype=1, tensor_shape={"unknown_rank": True}), "known rank"),
    ],
)
def test_what_does_not_belong_together_is_refused(proto, words):
    with pytest.raises(ServingError, match=words) as refused:
        decode(proto)
    assert refused.value.code is Code.INVALID_ARGUMENT


numbers = st.sampled_from([kind.numpy for kind in BY_NUMBER.values() if kind.name != "DT_STRING"])


@given(numbers.flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=3))))
@pytest.mark.parametrize("as_content", [True, False])
def test_numbers_come_back_as_they_went(as_content, array):
    back = decode(encode(array, as_content))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@given(st.lists(st.binary(max_size=5), max_size=6))
def test_strings_come_back_as_they_went(values):
    array = np.empty(len(values), object)
    array[:] = values
    assert decode(encode(array)).tolist() == values


def test_an_output_type_without_a_wire_type_is_unimplemented():
    with pytest.raises(ServingError) as refused:
        encode(np.zeros(1, np.complex128))
    assert refused.value.code is Code.UNIMPLEMENTED
