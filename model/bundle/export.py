"""Writes a trained model as the immutable folder that is served, and reads it back."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from model.bundle.canonical import canonicalise
from model.bundle.card import BATCH_SIZES, Lineage, golden, golden_requests, read_card, write_card
from model.bundle.edge import convert_edge, load_edge
from model.bundle.reference import index_inputs, reference_answers
from model.bundle.signatures import IndexRanking, Lengths, Vocabulary, endpoints
from model.bundle.warmup import predict_log, write_warmup
from model.schema import INPUTS, Input, Output

VOCABULARY = Path("assets", "vocabulary.txt")
WARMUP = Path("assets.extra", "tf_serving_warmup_requests")
EDGE = Path("edge", "model.tflite")
# Operations that call back into Python or into code that a stock server does not have.
_FOREIGN_OPERATIONS = ("PyFunc", "EagerPyFunc", "PyFuncStateless", "NumpyFunction", "CustomOp")

Predict = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def export_bundle(
    model: keras.Model,
    vocabulary: Sequence[str],
    directory: Path,
    *,
    lineage: Lineage,
    golden_inputs: Mapping[str, np.ndarray],
    lengths: Lengths,
) -> None:
    """Write a bundle whole or not at all, its files read-only.

    Args:
        model: A trained model: a dictionary of the five index inputs to `scores`
            (batch, items + 1) and, when it has an encoder, `user_vector`.
        vocabulary: Item ids; index = place + 1.
        directory: The folder to make; it must not exist.
        lineage: Where the model comes from.
        golden_inputs: String inputs whose answers the bundle must repeat wherever it is served.
        lengths: Sizes of the tensors; an answer has min(top_k, items) items.

    Raises:
        ValueError: The model breaks its contract, the vocabulary cannot be written as lines, or
            a golden answer is not finite.
        FileExistsError: `directory` exists: a bundle is never changed.
    """
    if directory.exists():
        raise FileExistsError(f"{directory} exists and a bundle is never changed: name another.")
    _check_model(model, len(vocabulary))
    _check_vocabulary(vocabulary)
    answers = reference_answers(model, golden_inputs, vocabulary, lengths.top_k)
    directory.parent.mkdir(parents=True, exist_ok=True)
    # On the same file system, so that a server that polls never loads half a bundle.
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        ranking = IndexRanking(model, len(vocabulary), lengths)
        _write_edge(scratch / EDGE, ranking, lengths)
        facts = _write_saved_model(scratch, ranking, vocabulary, lengths)
        _write_warmup(scratch / WARMUP, lineage.task, golden_inputs, vocabulary, facts)
        goldens = {"golden": golden(golden_inputs, answers), "items": len(vocabulary)}
        write_card(scratch, lineage, {**facts, **goldens, **_lengths(lengths, ranking)})
        for path in scratch.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o444)
        scratch.chmod(0o755)
        scratch.rename(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def load_bundle(bundle: Path, engine: str = "savedmodel", signature: str = "recommend") -> Predict:
    """A bundle as a function of its inputs, in this process.

    Args:
        bundle: The folder.
        engine: `savedmodel` or `litert` (which has `recommend` only).
        signature: Which signature of the SavedModel.

    Returns:
        A function from input arrays to output arrays; item ids are text (object arrays of str).
    """
    if engine == "litert":
        return _edge_predictor(bundle)
    loaded = tf.saved_model.load(str(bundle))

    def predict(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        # Looked up here: a signature alone would not keep its model's variables alive.
        outputs = loaded.signatures[signature](**tensors)
        return {name: _decoded(value.numpy()) for name, value in outputs.items()}

    return predict


def _edge_predictor(bundle: Path) -> Predict:
    vocabulary = (bundle / VOCABULARY).read_text("utf-8").split("\n")[:-1]
    ids = np.array(["", *vocabulary], dtype=object)
    run = load_edge(bundle / EDGE)

    def predict(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = run(index_inputs(inputs, vocabulary))
        return {**outputs, Output.ITEM_IDS: ids[outputs[Output.ITEM_IDS]]}

    return predict


def _write_edge(path: Path, ranking: IndexRanking, lengths: Lengths) -> None:
    path.parent.mkdir()
    path.write_bytes(convert_edge(ranking, lengths))


def _write_saved_model(
    folder: Path, ranking: IndexRanking, vocabulary: Sequence[str], lengths: Lengths
) -> dict[str, Any]:
    """Write the SavedModel and return what its file says about itself."""
    with tempfile.TemporaryDirectory() as source:
        lines = Path(source, VOCABULARY.name)
        lines.write_text("".join(f"{item}\n" for item in vocabulary), "utf-8", newline="\n")
        tables = Vocabulary(lines)
        served = tf.Module()
        served.weights = [variable.value for variable in ranking.model.variables]
        served.tables = [tables.index_of, tables.id_of]
        found = {
            endpoint.name: tf.function(
                endpoint.function, input_signature=[endpoint.inputs]
            ).get_concrete_function()
            for endpoint in endpoints(ranking, tables, lengths)
        }
        # Not keras.export.ExportArchive: it orders the weights by their addresses in memory, so
        # that no two exports of one model were equal.
        tf.saved_model.save(served, str(folder), {"serving_default": found["recommend"], **found})
        canonicalise(folder, lines)
    return saved_model_facts(folder)


def saved_model_facts(bundle: Path) -> dict[str, Any]:
    """Signatures, operations and versions that a bundle's `saved_model.pb` declares.

    Raises:
        ValueError: It holds an operation that a stock server does not have.
    """
    saved = saved_model_pb2.SavedModel.FromString((bundle / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    functions = {function.signature.name for function in graph.library.function}
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    operations = sorted({node.op for node in nodes} - functions)
    foreign = [name for name in operations if name in _FOREIGN_OPERATIONS]
    if foreign:
        raise ValueError(
            f"The model calls {', '.join(foreign)}, which no stock TensorFlow server has. "
            "Express it in TensorFlow or Keras operations."
        )
    return {
        "ops": operations,
        "producer": graph.versions.producer,
        "min_consumer": graph.versions.min_consumer,
        "tensorflow": saved.meta_graphs[0].meta_info_def.tensorflow_version,
        "signatures": {
            name: {"inputs": _tensors(definition.inputs), "outputs": _tensors(definition.outputs)}
            for name, definition in sorted(saved.meta_graphs[0].signature_def.items())
            if not name.startswith("__")
        },
    }


def _tensors(infos: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {
            "dtype": tf.dtypes.as_dtype(info.dtype).name,
            "shape": [dimension.size for dimension in info.tensor_shape.dim],
        }
        for name, info in sorted(infos.items())
    }


def _write_warmup(
    path: Path,
    task: str,
    inputs: Mapping[str, np.ndarray],
    vocabulary: Sequence[str],
    facts: Mapping[str, Any],
) -> None:
    """One request for each signature and batch size, made from the golden ones."""
    indices = index_inputs(inputs, vocabulary)
    records = []
    for name, signature in facts["signatures"].items():
        source: dict[str, np.ndarray] = dict(inputs)
        if signature["inputs"][Input.HISTORY]["dtype"] == "int32":
            source = indices
        elif Input.CANDIDATES in signature["inputs"]:
            wanted = signature["inputs"][Input.CANDIDATES]["shape"][1]
            row = np.resize(np.array(vocabulary, dtype=object), wanted)
            source[Input.CANDIDATES] = np.tile(row, (len(inputs[Input.HISTORY]), 1))
        for size in BATCH_SIZES:
            rows = np.arange(size) % len(inputs[Input.HISTORY])
            batch = {key: source[key][rows] for key in signature["inputs"]}
            records.append(predict_log(task, name, batch))
    path.parent.mkdir()
    write_warmup(path, records)


def _lengths(lengths: Lengths, ranking: IndexRanking) -> dict[str, int]:
    return {
        "history_length": lengths.history,
        "frequent_length": lengths.frequent,
        "top_k": ranking.top_k,
    }


def _check_model(model: keras.Model, items: int) -> None:
    if not isinstance(model.input, dict) or set(model.input) != set(INPUTS):
        seen = sorted(model.input) if isinstance(model.input, dict) else model.input
        raise ValueError(f"The model must take a dictionary of {sorted(INPUTS)}, it takes {seen}.")
    if not isinstance(model.output, dict) or Output.SCORES not in model.output:
        raise ValueError(
            f"The model must give a dictionary with {Output.SCORES!r}, it gives {model.output}."
        )
    columns = model.output[Output.SCORES].shape[-1]
    if columns != items + 1:
        raise ValueError(
            f"The model scores {columns} columns, but the vocabulary has {items} items and the "
            f"padding makes {items + 1}. Train it on the dataset it is exported with."
        )


def _check_vocabulary(vocabulary: Sequence[str]) -> None:
    unfit = [item for item in vocabulary if item == "" or "\n" in item or "\r" in item]
    if unfit:
        raise ValueError(
            f"{len(unfit)} item ids cannot stand on a line of their own, the first is "
            f"{unfit[0]!r}. Remove line breaks and empty ids in `prepare`."
        )
    if len(set(vocabulary)) != len(vocabulary):
        raise ValueError(
            f"The vocabulary has {len(vocabulary)} ids but only {len(set(vocabulary))} different "
            "ones; an id can have one index only."
        )


def _decoded(values: np.ndarray) -> np.ndarray:
    if values.dtype != object:
        return values
    flat = [value.decode("utf-8") for value in values.ravel()]
    return np.array(flat, dtype=object).reshape(values.shape)


__all__ = ["export_bundle", "golden_requests", "load_bundle", "read_card", "saved_model_facts"]
