"""Replays a bundle's warm-up requests before it is called available."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from serving.embedded.engine import Deadline, Model
from serving.embedded.messages import PredictionLog
from serving.embedded.prediction import answer, decoded_inputs
from serving.embedded.signatures import DEFAULT_SIGNATURE, find
from serving.embedded.status import Code, ServingError, invalid
from serving.embedded.tensors import Array
from serving.embedded.tfrecord import read_records

WARMUP_FILE: Final = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS: Final = 1000


def replay(folder: Path, model: Model, batch_sizes: Sequence[int] = (), iterations: int = 1) -> int:
    """Runs every warm-up record, then each batch size once per signature that has a record.

    The first run of a graph at a new batch size takes a hundred times as long as the next ones, so
    that a server that batches must have seen all its sizes. Records of a signature that the bundle
    has but the engine does not answer are passed over.

    Args:
        folder: The version's folder; no warm-up file means nothing to do.
        model: What answers.
        batch_sizes: The sizes that batching will make.
        iterations: Runs per record.

    Returns:
        How many records ran.

    Raises:
        ServingError: an unparsable or failing record; the load fails with it.
    """
    path = folder / WARMUP_FILE
    if not path.is_file():
        return 0
    examples: dict[str, dict[str, Array]] = {}
    count = 0
    for count, record in enumerate(read_records(path), start=1):
        if count > MAX_RECORDS:
            raise invalid(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}")
        request = _request(record, path)
        signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if signature_name in model.not_answered:
            continue
        for _ in range(iterations):
            signature = find(model.signatures, signature_name)
            inputs = decoded_inputs(signature, request.inputs)
            answer(model, signature, inputs, request.output_filter, Deadline())
        examples[signature_name] = inputs
    for signature_name, inputs in examples.items():
        _run_sizes(model, signature_name, inputs, batch_sizes)
    return count


def _request(record: bytes, path: Path) -> Any:
    try:
        log = PredictionLog.FromString(record)
    except DecodeError as error:
        raise invalid(f"Failed to parse warmup record from {path}: {error}") from error
    if log.WhichOneof("log_type") != "predict_log":
        raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup in {path}")
    return log.predict_log.request


def _run_sizes(
    model: Model, name: str, inputs: Mapping[str, Array], batch_sizes: Sequence[int]
) -> None:
    signature = find(model.signatures, name)
    for size in batch_sizes:
        rows = {key: np.resize(value, (size, *value.shape[1:])) for key, value in inputs.items()}
        answer(model, signature, rows, (), Deadline())
