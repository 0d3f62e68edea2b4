"""The JSON of the REST API: instances or inputs to arrays, arrays to predictions or outputs."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import orjson

from serving.embedded.signatures import Signature, TensorSpec
from serving.embedded.status import ServingError, invalid
from serving.embedded.tensors import MAX_ELEMENTS, STRING, Array, DataType, data_type, type_name

_SHOWN: Final = 256  # characters of a wrong value in an error
_MAX_RANK: Final = 16
# JSON types by NumPy kind; bool is no int here, and 1.0 is no int either, as in TensorFlow Serving.
_ALLOWED: Final[dict[str, set[type]]] = {
    "f": {int, float},
    "i": {int},
    "u": {int},
    "b": {bool},
}


@dataclass(frozen=True)
class PredictDocument:
    """The body of a predict request, parsed but not yet held against a signature.

    Attributes:
        by_row: Whether it came as `instances`, which the answer then mirrors.
        content: The value of `instances` or `inputs`.
    """

    signature_name: str
    by_row: bool
    content: Any


def parse_body(body: bytes) -> dict[str, Any]:
    """Parses the body as a JSON object.

    Raises:
        ServingError: INVALID_ARGUMENT for anything else.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_shown(document)} Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {_shown(document)} not formatted correctly. 'signature_name' key must be "
            "a string value."
        )
    return document


def select_content(document: Mapping[str, Any]) -> PredictDocument:
    """Finds the one of `instances` and `inputs` that a body has.

    Raises:
        ServingError: INVALID_ARGUMENT for both, neither, or instances that are no filled list.
    """
    name = document.get("signature_name", "")
    if ("instances" in document) == ("inputs" in document):
        raise invalid(
            f"JSON Value: {_shown(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist "
        )
    if "inputs" in document:
        return PredictDocument(name, by_row=False, content=document["inputs"])
    instances = document["instances"]
    if not isinstance(instances, list):
        raise invalid(f"JSON Value: {_shown(document)} Expecting 'instances' to be an list/array")
    if not instances:
        raise invalid(f"JSON Value: {_shown(document)} No values in 'instances' array")
    return PredictDocument(name, by_row=True, content=instances)


def to_arrays(document: PredictDocument, signature: Signature) -> dict[str, Array]:
    """Reads the tensors of a signature from a body.

    Raises:
        ServingError: INVALID_ARGUMENT that says which value is of a wrong type, size or place.
    """
    columns = _columns_of_rows if document.by_row else _columns
    values = columns(document.content, signature)
    return {name: to_array(values[name], signature.inputs[name], name) for name in signature.inputs}


def to_array(value: Any, spec: TensorSpec, name: str) -> Array:
    """Reads nested lists as an array of a signature's type, row-major.

    Raises:
        ServingError: INVALID_ARGUMENT for ragged lists and for values of another type.
    """
    shape: list[int] = []
    probe = value
    while isinstance(probe, list):
        shape.append(len(probe))
        probe = probe[0] if probe else None
    if len(shape) > _MAX_RANK:
        raise invalid(f"Input {name} is nested {len(shape)} deep; at most {_MAX_RANK} are read.")
    leaves = [value]
    for level, size in enumerate(shape):
        _check_lists(leaves, level, size, name)
        leaves = list(chain.from_iterable(leaves))
    if len(leaves) > MAX_ELEMENTS:
        raise invalid(f"Input {name} has more than {MAX_ELEMENTS} elements.")
    return _converted(leaves, data_type(spec.dtype), name, len(shape)).reshape(shape)


def to_json(outputs: Mapping[str, Array], by_row: bool) -> bytes:
    """Writes outputs as `predictions` (a list of rows) or `outputs` (a column each).

    One output stands for itself; several become objects with their names as keys.

    Raises:
        ServingError: INVALID_ARGUMENT when rows are asked for and the outputs have none in common.
    """
    if by_row:
        return _dumped({"predictions": _rows(outputs)})
    columns = {name: _printable(name, values) for name, values in sorted(outputs.items())}
    return _dumped({"outputs": columns if len(columns) != 1 else next(iter(columns.values()))})


def _columns(content: Any, signature: Signature) -> dict[str, Any]:
    if not isinstance(content, dict) or _is_base64(content):
        return {_only_input(signature, "inputs is a plain value/list"): content}
    for name in signature.inputs:
        if name not in content:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return content


def _columns_of_rows(instances: list[Any], signature: Signature) -> dict[str, Any]:
    named = isinstance(instances[0], dict) and not _is_base64(instances[0])
    if not named:
        name = _only_input(signature, "instances is a plain list")
        return {name: instances}
    wanted = signature.inputs.keys()
    for index, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        if instance.keys() != wanted:
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{_shown(instance)} keys must be equal to: {','.join(sorted(wanted))}"
            )
    return {name: [instance[name] for instance in instances] for name in wanted}


def _only_input(signature: Signature, what: str) -> str:
    if len(signature.inputs) != 1:
        raise invalid(
            f"{what}, but expecting an object or list of objects as multiple input tensors "
            f"required as per tensorinfo_map: {','.join(sorted(signature.inputs))}"
        )
    return next(iter(signature.inputs))


def _check_lists(elements: list[Any], level: int, size: int, name: str) -> None:
    for element in elements:
        if not isinstance(element, list):
            raise invalid(
                f"JSON Value: {_shown(element)} of input {name} found at incorrect level: {level}"
            )
        if len(element) != size:
            raise invalid(
                f"Encountered list at unexpected size: {len(element)} at level: {level} expected "
                f"size: {size} in input {name}"
            )


def _converted(leaves: list[Any], kind: DataType, name: str, rank: int) -> Array:
    types = set(map(type, leaves))
    if list in types:
        raise invalid(
            f"Encountered list at unexpected level: {rank} expected < {rank} in input {name}"
        )
    if kind.number == STRING:
        return _strings(leaves, types)
    allowed = _ALLOWED[kind.numpy.kind]
    if not types <= allowed:
        wrong = next(leaf for leaf in leaves if type(leaf) not in allowed)
        raise _type_error(wrong, kind.number)
    try:
        with np.errstate(over="raise"):
            return np.array(leaves, kind.numpy)
    except (OverflowError, FloatingPointError) as error:
        raise invalid(f"Input {name} has a value outside {type_name(kind.number)}.") from error


def _strings(leaves: list[Any], types: set[type]) -> Array:
    array = np.empty(len(leaves), object)
    if types <= {str}:
        array[:] = [leaf.encode() for leaf in leaves]
    else:
        array[:] = [_string(leaf) for leaf in leaves]
    return array


def _string(leaf: Any) -> bytes:
    if isinstance(leaf, str):
        return leaf.encode()
    if not isinstance(leaf, dict):
        raise _type_error(leaf, STRING)
    if not _is_base64(leaf):
        raise invalid(f"JSON Value: {_shown(leaf)} not formatted correctly for base64 data")
    try:
        return base64.b64decode(leaf["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _rows(outputs: Mapping[str, Array]) -> list[Any]:
    sizes = {name: values.shape[0] if values.ndim else None for name, values in outputs.items()}
    if len(set(sizes.values())) != 1 or None in sizes.values():
        raise invalid(f"The outputs have no batch size in common: {sizes}; ask by 'inputs'.")
    columns = {name: _printable(name, values) for name, values in sorted(outputs.items())}
    if len(columns) == 1:
        return list(next(iter(columns.values())))
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _printable(name: str, values: Array) -> Any:
    """Returns what orjson can print: numbers stay an array, strings become nested lists."""
    if values.dtype != object:
        return np.ascontiguousarray(values) if values.ndim else values[()]
    printed = np.empty(values.shape, object)
    printed.ravel()[:] = _texts(name, values.ravel().tolist())
    return printed.tolist()


def _texts(name: str, values: list[bytes]) -> list[Any]:
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(value).decode()} for value in values]
    try:
        return list(map(bytes.decode, values))
    except UnicodeDecodeError:
        return [value.decode(errors="replace") for value in values]


def _dumped(answer: dict[str, Any]) -> bytes:
    printed = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in printed:  # orjson's word for NaN and infinities, which the real server prints
        return json.dumps(answer, default=lambda value: value.tolist()).encode()
    return printed


def _type_error(value: Any, dtype: int) -> ServingError:
    return invalid(
        f"JSON Value: {_shown(value)} Type: {_json_type(value)} is not of expected type: "
        f"{type_name(dtype)}"
    )


def _json_type(value: Any) -> str:
    names = {dict: "Object", list: "Array", str: "String", type(None): "Null"}
    if isinstance(value, bool):
        return str(value)
    return names.get(type(value), "Number")


def _shown(value: Any) -> str:
    printed = orjson.dumps(value).decode()
    return printed if len(printed) <= _SHOWN else printed[:_SHOWN]
