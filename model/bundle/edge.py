"""The bundle's table-free twin for LiteRT: one shopper, index ids, float32."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from model.bundle.signatures import IndexRanking, Lengths, input_specs
from model.schema import INPUTS, Output

OUTPUTS = (Output.ITEM_IDS, Output.KNOWN_ITEMS, Output.SCORES)


def convert_edge(ranking: IndexRanking, lengths: Lengths) -> bytes:
    """Convert `recommend_by_index` for a batch of one to a LiteRT flat buffer.

    Raises:
        ValueError: The model holds an operation that LiteRT lacks.
    """
    call = tf.function(ranking.recommend, input_signature=[input_specs(lengths, tf.int32, batch=1)])
    # Keras variables are invisible to the converter: untracked, it writes a file without weights.
    tracked = tf.Module()
    tracked.weights = [variable.value for variable in ranking.model.variables]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [call.get_concrete_function()], tracked
    )
    try:
        content: bytes = converter.convert()
    except Exception as error:  # the converter raises its own and bare MLIR errors alike
        raise ValueError(
            f"The model cannot be converted to LiteRT: {str(error).splitlines()[0]}. "
            "Use stock TensorFlow operations that have a LiteRT counterpart."
        ) from error
    return content


def load_edge(path: Path) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
    """The model of a bundle's `edge/` folder as a function of index inputs of any batch size."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  (0.3 s, only for this engine)

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    runner = interpreter.get_signature_runner()

    def predict(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows: list[dict[str, Any]] = [
            runner(**{name: inputs[name][row : row + 1] for name in INPUTS})
            for row in range(len(inputs[INPUTS[0]]))
        ]
        return {name: np.concatenate([row[name] for row in rows]) for name in OUTPUTS}

    return predict
