"""Tensors on the wire: TensorProto to NumPy and back, typed fields and tensor_content alike."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from serving.embedded.messages import DATA_TYPES, TensorProto
from serving.embedded.status import Code, ServingError, invalid

Array = NDArray[Any]

# A request names the shape of its tensors; without a bound "[1000000000]" and one value would
# make the server fill four gigabytes. 2**22 elements are 2,000 rows of five inputs of length 400.
MAX_ELEMENTS: Final = 2**22


@dataclass(frozen=True)
class DataType:
    """One element type: its name in a signature, its NumPy type, its typed field on the wire."""

    name: str
    number: int
    numpy: np.dtype[Any]
    field: str


def _types() -> Iterator[DataType]:
    rows = (
        ("DT_FLOAT", np.float32, "float_val"),
        ("DT_DOUBLE", np.float64, "double_val"),
        ("DT_HALF", np.float16, "half_val"),
        ("DT_INT8", np.int8, "int_val"),
        ("DT_INT16", np.int16, "int_val"),
        ("DT_INT32", np.int32, "int_val"),
        ("DT_INT64", np.int64, "int64_val"),
        ("DT_UINT8", np.uint8, "int_val"),
        ("DT_UINT16", np.uint16, "int_val"),
        ("DT_UINT32", np.uint32, "uint32_val"),
        ("DT_UINT64", np.uint64, "uint64_val"),
        ("DT_BOOL", np.bool_, "bool_val"),
        ("DT_STRING", np.object_, "string_val"),
    )
    for name, numpy_type, field in rows:
        yield DataType(name, DATA_TYPES[name], np.dtype(numpy_type), field)


BY_NUMBER: Final = {data_type.number: data_type for data_type in _types()}
_BY_NUMPY: Final = {data_type.numpy: data_type for data_type in BY_NUMBER.values()}
_NAMES: Final = {number: name for name, number in DATA_TYPES.items()}
STRING: Final = DATA_TYPES["DT_STRING"]


def type_name(number: int) -> str:
    """Returns the name of an element type as TensorFlow prints it, such as `float`."""
    return _NAMES.get(number, f"type {number}").removeprefix("DT_").lower()


def data_type(number: int) -> DataType:
    """Returns an element type, or refuses one that this server does not carry.

    Raises:
        ServingError: INVALID_ARGUMENT for a type without a NumPy counterpart here.
    """
    if number not in BY_NUMBER:
        raise invalid(f"Tensors of type {type_name(number)} are not supported by this server.")
    return BY_NUMBER[number]


def decode(tensor: Any) -> Array:
    """Reads a TensorProto.

    Strings become an object array of `bytes`. As in TensorFlow, too few values are continued
    with the last one, and a tensor without values is all zeros or empty strings.

    Raises:
        ServingError: INVALID_ARGUMENT when shape, type and values do not belong together.
    """
    kind = data_type(tensor.dtype)
    shape = _shape(tensor)
    count = math.prod(shape)
    if count > MAX_ELEMENTS:
        raise invalid(f"Tensor of shape {list(shape)} has more than {MAX_ELEMENTS} elements.")
    if tensor.tensor_content:
        values = _from_content(kind, tensor.tensor_content, count)
    else:
        values = _from_field(kind, getattr(tensor, kind.field), count)
    return values.reshape(shape)


def encode(values: Array, as_content: bool = False) -> Any:
    """Writes an array as a TensorProto, in its typed field unless tensor_content is asked for."""
    kind = _BY_NUMPY.get(values.dtype)
    if kind is None:
        raise ServingError(Code.UNIMPLEMENTED, f"Output of type {values.dtype} cannot be sent.")
    tensor = TensorProto(dtype=kind.number)
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    if as_content and kind.number != STRING:
        tensor.tensor_content = values.tobytes()
    elif values.dtype == np.float16:
        tensor.half_val.extend(values.ravel().view(np.uint16).tolist())
    else:
        getattr(tensor, kind.field).extend(values.ravel().tolist())
    return tensor


def _shape(tensor: Any) -> tuple[int, ...]:
    if tensor.tensor_shape.unknown_rank:
        raise invalid("A tensor of a request needs a shape of known rank.")
    shape = tuple(dimension.size for dimension in tensor.tensor_shape.dim)
    if any(size < 0 for size in shape):
        raise invalid(f"A tensor of a request has the shape {list(shape)}: sizes must be >= 0.")
    return shape


def _from_content(kind: DataType, content: bytes, count: int) -> Array:
    if kind.number == STRING:
        return _strings_from_content(content, count)
    if len(content) != count * kind.numpy.itemsize:
        raise invalid(
            f"tensor_content has {len(content)} bytes; {count} elements of type "
            f"{type_name(kind.number)} need {count * kind.numpy.itemsize}."
        )
    return np.frombuffer(content, kind.numpy)


def _strings_from_content(content: bytes, count: int) -> Array:
    """Reads TensorFlow's packing of strings: all lengths as varints, then all bytes."""
    lengths, offset = [], 0
    for _ in range(count):
        length, offset = _varint(content, offset)
        lengths.append(length)
    if offset + sum(lengths) != len(content):
        raise invalid(f"tensor_content does not hold {count} strings.")
    values = np.empty(count, object)
    for index, length in enumerate(lengths):
        values[index] = content[offset : offset + length]
        offset += length
    return values


def _varint(content: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if offset >= len(content):
            raise invalid("tensor_content ends inside the length of a string.")
        byte = content[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, offset
    raise invalid("tensor_content has a string length of more than 64 bits.")


def _from_field(kind: DataType, field: Any, count: int) -> Array:
    if len(field) > count:
        raise invalid(f"{kind.field} has {len(field)} values for a shape of {count} elements.")
    missing = count - len(field)
    last = field[-1] if field else (b"" if kind.number == STRING else 0)
    values = list(field) + [last] * missing if missing else list(field)
    try:
        if kind.number == STRING:
            return _objects(values)
        if kind.numpy == np.float16:
            return np.array(values, np.uint16).view(np.float16)
        return np.array(values, kind.numpy)
    except (OverflowError, struct.error) as error:
        raise invalid(f"{kind.field} holds a value outside {type_name(kind.number)}.") from error


def _objects(values: list[bytes]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array
