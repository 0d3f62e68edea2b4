"""Requests that a server replays while it loads a bundle, in TF Serving's own file format.

The file holds one TFRecord a request, each a `tensorflow.serving.PredictionLog`. Its three outer
messages are encoded here by hand, field numbers as in TF Serving's `prediction_log.proto`,
`predict.proto` and `model.proto`: the package that has them pulls in a second TensorFlow.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf


def predict_log(model: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """A PredictionLog that holds one PredictRequest."""
    specification = _field(1, model.encode()) + _field(3, signature.encode())
    request = _field(1, specification)
    for name in sorted(inputs):
        tensor = tf.make_tensor_proto(inputs[name]).SerializeToString(deterministic=True)
        request += _field(2, _field(1, name.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def write_warmup(path: Path, records: Iterable[bytes]) -> None:
    """Write the warm-up file."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field (wire type 2) of a protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
