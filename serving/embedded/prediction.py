"""One prediction, whatever the transport: check the inputs, run the model, keep what was asked."""

from collections.abc import Iterable, Mapping
from typing import Any

from serving.embedded.engine import Deadline, Model
from serving.embedded.signatures import Signature
from serving.embedded.tensors import Array, decode


def decoded_inputs(signature: Signature, tensors: Mapping[str, Any]) -> dict[str, Array]:
    """Reads the tensors of a PredictRequest that a signature takes.

    Raises:
        ServingError: INVALID_ARGUMENT for missing, extra or unreadable inputs.
    """
    signature.check_names(tensors)
    return {name: decode(tensors[name]) for name in signature.inputs}


def answer(
    model: Model,
    signature: Signature,
    inputs: Mapping[str, Array],
    output_filter: Iterable[str],
    deadline: Deadline,
) -> dict[str, Array]:
    """Runs a signature on inputs and returns the outputs that the filter names, empty meaning all.

    Raises:
        ServingError: what is wrong with the request, or what the model failed with.
    """
    outputs = signature.select(output_filter)
    signature.check(inputs)
    return model.predict(signature, inputs, outputs, deadline)
