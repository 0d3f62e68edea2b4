"""Reads a warm-up file with the genuine TF Serving messages and replays it, printing what it saw.

Run as a program by test_warmup.py: `python read_warmup.py BUNDLE`.
"""

import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import tensorflow as tf  # noqa: E402
from tensorflow_serving.apis import prediction_log_pb2  # noqa: E402


def main(bundle: Path) -> None:
    """Print one line a record: model, signature, rows, and the shapes of the answer."""
    loaded = tf.saved_model.load(str(bundle))
    path = bundle / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {
            name: tf.constant(tf.make_ndarray(value), dtype=tf.dtypes.as_dtype(value.dtype))
            for name, value in request.inputs.items()
        }
        answer = loaded.signatures[request.model_spec.signature_name](**inputs)
        print(
            json.dumps(
                {
                    "model": request.model_spec.name,
                    "signature": request.model_spec.signature_name,
                    "rows": int(inputs["history"].shape[0]),
                    "answered": sorted({int(value.shape[0]) for value in answer.values()}),
                }
            )
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
