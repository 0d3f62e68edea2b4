"""The signatures of a bundle, read without TensorFlow, and the check of inputs against them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError

from serving.embedded.messages import SavedModel
from serving.embedded.status import Code, ServingError, failed_precondition, invalid
from serving.embedded.tensors import Array, data_type, type_name

DEFAULT_SIGNATURE: Final = "serving_default"


@dataclass(frozen=True)
class TensorSpec:
    """What a signature promises of one tensor; None is a free size, shape None a free rank."""

    tensor_name: str  # in the graph, such as `serving_default_history:0`
    dtype: int
    shape: tuple[int | None, ...] | None

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Says whether an array of that shape may be fed."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            free is None or free == size for free, size in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True)
class Signature:
    """One entry point of a bundle."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    definition: Any  # the SignatureDef as GetModelMetadata answers it

    def check(self, inputs: Mapping[str, Array]) -> None:
        """Refuses inputs that the signature does not take.

        Raises:
            ServingError: INVALID_ARGUMENT that names the missing, extra or misshapen input.
        """
        self.check_names(inputs)
        for name, values in inputs.items():
            spec = self.inputs[name]
            expected = data_type(spec.dtype)
            if values.dtype != expected.numpy:
                raise invalid(
                    f"Expects arg[{name}] to be {type_name(spec.dtype)} "
                    f"but {_element_type(values)} is provided"
                )
            if not spec.accepts(values.shape):
                raise invalid(
                    f"Input {name} has the shape {list(values.shape)}; the signature "
                    f"{self.name} takes {_printed(spec.shape)}."
                )

    def check_names(self, names: Iterable[str]) -> None:
        """Refuses a set of inputs that is not the signature's, in TensorFlow Serving's words."""
        sent, wanted = set(names), set(self.inputs)
        if sent == wanted:
            return
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({{{_joined(sent)}}}) != len({{{_joined(wanted)}}}). "
            f"Sent extra: {{{_joined(sent - wanted)}}}. "
            f"Missing but required: {{{_joined(wanted - sent)}}}."
        )

    def select(self, output_filter: Iterable[str]) -> list[str]:
        """Returns the names of the outputs to answer; an empty filter means all.

        Raises:
            ServingError: INVALID_ARGUMENT for an unknown or repeated output.
        """
        chosen: list[str] = []
        for name in output_filter:
            if name not in self.outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {name} Outputs expected to be "
                    f"in the set {{{_joined(self.outputs)}}}."
                )
            if name in chosen:
                raise invalid(f"duplicate output tensor alias: {name}")
            chosen.append(name)
        return chosen or list(self.outputs)


def find(signatures: Mapping[str, Signature], name: str) -> Signature:
    """Returns a signature by name; the empty name means `serving_default`.

    Raises:
        ServingError: FAILED_PRECONDITION when the bundle has none of that name.
    """
    key = name or DEFAULT_SIGNATURE
    if key not in signatures:
        raise failed_precondition(f'Serving signature key "{key}" not found.')
    return signatures[key]


def read_definitions(folder: Path, tag: str = "serve") -> dict[str, Any]:
    """Reads the SignatureDefs of a SavedModel's meta graph.

    Raises:
        ServingError: NOT_FOUND without a saved_model.pb or without that tag; DATA_LOSS when it
            cannot be parsed.
    """
    path = folder / "saved_model.pb"
    if not path.is_file():
        raise ServingError(
            Code.NOT_FOUND, f"Could not find SavedModel .pb at supplied export directory: {folder}"
        )
    try:
        saved_model = SavedModel.FromString(path.read_bytes())
    except DecodeError as error:
        raise ServingError(Code.DATA_LOSS, f"Cannot parse {path} as a SavedModel.") from error
    for graph in saved_model.meta_graphs:
        if tag in graph.meta_info_def.tags:
            return {name: _copy(definition) for name, definition in graph.signature_def.items()}
    raise ServingError(Code.NOT_FOUND, f"{path} has no meta graph tagged {tag!r}.")


def parse(definitions: Mapping[str, Any]) -> dict[str, Signature]:
    """Returns what can be called: the definitions that have outputs with names in the graph.

    `__saved_model_init_op`, which TensorFlow writes beside the signatures, is not among them.
    """
    return {
        name: Signature(name, _specs(definition.inputs), _specs(definition.outputs), definition)
        for name, definition in definitions.items()
        if not name.startswith("__")
    }


def _copy(definition: Any) -> Any:
    copy = type(definition)()
    copy.CopyFrom(definition)
    return copy


def _specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(infos[name].name, infos[name].dtype, _dims(infos[name].tensor_shape))
        for name in sorted(infos)
    }


def _dims(shape: Any) -> tuple[int | None, ...] | None:
    if shape.unknown_rank:
        return None
    return tuple(None if dimension.size < 0 else dimension.size for dimension in shape.dim)


def _joined(names: Iterable[str]) -> str:
    return ",".join(sorted(names))


def _printed(shape: tuple[int | None, ...] | None) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape or ()) + "]"


def _element_type(values: Array) -> str:
    return "string" if values.dtype == object else str(values.dtype)
