"""Writes small bundles with the signatures of the design: `python build_bundle.py FOLDER SEED ...`.

Runs in a process of its own so that the tests never import TensorFlow. The scorer is simple enough
to be repeated in NumPy: user = sum of the item vectors of the history weighted by event type and
age, scores = log-softmax of (vectors @ user + popularity + 0.1 * frequent counts).
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

ITEMS, DIM, LENGTH, FREQUENT, TOP = 20, 8, 6, 4, 5
EVENT_TYPES = ["impression", "view", "click", "cart", "purchase", "search"]
INDEX_INPUTS = {
    "history": ("int32", LENGTH),
    "history_event_type": ("int32", LENGTH),
    "history_age_seconds": ("float32", LENGTH),
    "frequent_items": ("int32", FREQUENT),
    "frequent_counts": ("float32", FREQUENT),
}
STRING_INPUTS = {"history", "history_event_type", "frequent_items"}


def specs(text: bool) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec(
            [None, size], "string" if text and name in STRING_INPUTS else dtype, name=name
        )
        for name, (dtype, size) in INDEX_INPUTS.items()
    }


class Scorer(tf.Module):
    """The model in the world of indices and, around it, in the world of ids."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__()
        random = np.random.default_rng(seed)
        vectors = random.normal(size=(ITEMS + 1, DIM)).astype(np.float32)
        vectors[0] = 0
        popularity = random.normal(size=ITEMS + 1).astype(np.float32)
        np.savez(folder / "weights.npz", vectors=vectors, popularity=popularity)
        self.vectors, self.popularity = tf.Variable(vectors), tf.Variable(popularity)
        vocabulary = folder / "vocabulary.txt"
        vocabulary.write_text("".join(f"item{index}\n" for index in range(1, ITEMS + 1)))
        self.to_index = self.table(vocabulary, tf.int64, 1)
        self.to_id = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(vocabulary),
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
            ),
            "",
        )
        self.to_type = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                EVENT_TYPES, list(range(1, 7)), tf.string, tf.int64
            ),
            0,
        )

    @staticmethod
    def table(vocabulary: Path, dtype: tf.DType, offset: int) -> tf.lookup.StaticHashTable:
        return tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(vocabulary),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                dtype,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            -offset,
        )

    def embed(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        weight = tf.cast(inputs["history_event_type"], tf.float32)
        weight /= 1.0 + inputs["history_age_seconds"] / 3600.0
        gathered = tf.gather(self.vectors, inputs["history"])  # [B, L, D]
        return tf.reduce_sum(gathered * weight[:, :, None], axis=1)

    def scores(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        logits = tf.matmul(self.embed(inputs), self.vectors, transpose_b=True) + self.popularity
        items = tf.one_hot(inputs["frequent_items"], ITEMS + 1)
        logits += 0.1 * tf.reduce_sum(items * inputs["frequent_counts"][:, :, None], axis=1)
        padding = tf.one_hot(0, ITEMS + 1) * -1e9
        return tf.nn.log_softmax(logits + padding)

    def by_index(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        scores, items = tf.math.top_k(self.scores(inputs), TOP)
        known = tf.reduce_sum(tf.cast(inputs["history"] > 0, tf.int32), axis=1)
        return {"item_ids": items, "scores": scores, "known_items": known}

    def indices(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        # the table counts lines from 0 and answers -1 for an unknown id: + 1 makes both right
        looked_up = {
            "history": self.to_index.lookup(inputs["history"]) + 1,
            "history_event_type": self.to_type.lookup(inputs["history_event_type"]),
            "frequent_items": self.to_index.lookup(inputs["frequent_items"]) + 1,
        }
        return inputs | {name: tf.cast(value, tf.int32) for name, value in looked_up.items()}


def functions(scorer: Scorer) -> dict[str, tf.types.experimental.ConcreteFunction]:
    def recommend(**inputs):
        answer = scorer.by_index(scorer.indices(inputs))
        ids = scorer.to_id.lookup(tf.cast(answer["item_ids"], tf.int64) - 1)
        return answer | {"item_ids": ids}

    def recommend_by_index(**inputs):
        return scorer.by_index(inputs)

    def embed_user(**inputs):
        return {"user_vector": scorer.embed(scorer.indices(inputs))}

    def score_candidates(candidates, **inputs):
        index = tf.cast(scorer.to_index.lookup(candidates) + 1, tf.int32)
        return {"scores": tf.gather(scorer.scores(scorer.indices(inputs)), index, batch_dims=1)}

    def busy(iterations):
        """Counts that far, slowly: what a test needs to see a deadline, a full queue or a drain."""
        limit = tf.reduce_max(iterations)
        count = tf.while_loop(lambda i: i < limit, lambda i: [i + 1], [0], parallel_iterations=1)[0]
        return {"counted": tf.fill(tf.shape(iterations), count)}

    text = specs(text=True)
    candidates = tf.TensorSpec([None, None], "string", name="candidates")
    return {
        "recommend": tf.function(recommend).get_concrete_function(**text),
        "recommend_by_index": tf.function(recommend_by_index).get_concrete_function(**specs(False)),
        "embed_user": tf.function(embed_user).get_concrete_function(**text),
        "score_candidates": tf.function(score_candidates).get_concrete_function(
            candidates=candidates, **text
        ),
        "busy": tf.function(busy).get_concrete_function(
            iterations=tf.TensorSpec([None], "int32", name="iterations")
        ),
    }


def write_edge(scorer: Scorer, path: Path) -> None:
    fixed = {
        name: tf.TensorSpec([1, size], dtype, name=name)
        for name, (dtype, size) in INDEX_INPUTS.items()
    }

    def recommend(**inputs):
        return scorer.by_index(inputs)

    module = tf.Module()
    module.scorer = scorer
    folder = path.parent / "frozen"
    # constants instead of variables: an unfrozen function converts to an empty file
    frozen = convert_variables_to_constants_v2(
        tf.function(recommend).get_concrete_function(**fixed)
    )
    module = tf.Module()
    module.recommend = tf.function(
        lambda **inputs: dict(
            zip(sorted(["item_ids", "scores", "known_items"]), frozen(**inputs), strict=True)
        )
    )
    tf.saved_model.save(
        module, folder, {"serving_default": module.recommend.get_concrete_function(**fixed)}
    )
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert())
    tf.io.gfile.rmtree(str(folder))


def warmup_request(rows: int, signature: str) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest(
        model_spec=model_pb2.ModelSpec(name="next_item", signature_name=signature)
    )
    for name, (dtype, size) in INDEX_INPUTS.items():
        kind = np.object_ if name in STRING_INPUTS else dtype
        value = "" if name in STRING_INPUTS else 0
        array = np.full((rows, size), value, kind)
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return request


def write_warmup(folder: Path) -> None:
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as writer:
        for rows in (1, 2, 4):
            for signature in ("serving_default", "recommend"):
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(
                        request=warmup_request(rows, signature)
                    )
                )
                writer.write(log.SerializeToString())


def main(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    scorer = Scorer(folder, seed)
    signatures = functions(scorer)
    signatures["serving_default"] = signatures["recommend"]
    (folder / "edge").mkdir()
    write_edge(scorer, folder / "edge" / "model.tflite")
    tf.saved_model.save(scorer, str(folder), signatures)
    write_warmup(folder / "assets.extra")
    (folder / "vocabulary.txt").unlink()


if __name__ == "__main__":
    for target, number in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        main(Path(target), int(number))
