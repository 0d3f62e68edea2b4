"""The LiteRT engine: `edge/model.tflite` and the vocabulary answer the recommending signatures."""

import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from model.schema import EVENT_TYPE_INDEX, INPUTS, Input, Output
from serving.embedded.engine import Deadline
from serving.embedded.signatures import DEFAULT_SIGNATURE, Signature, parse, read_definitions
from serving.embedded.status import Code, ServingError
from serving.embedded.tensors import Array

# The others need tables or outputs that the edge file leaves out.
ANSWERED: Final = (DEFAULT_SIGNATURE, "recommend", "recommend_by_index")


@dataclass(frozen=True)
class LiteRtEngine:
    """Loads `edge/model.tflite`, one interpreter a thread over one mapping of the file.

    Args:
        interpreters: Requests that run side by side; an interpreter is used by one at a time.
    """

    interpreters: int = 2

    def load(self, folder: Path) -> "LiteRtModel":
        """Loads one version from its folder.

        Raises:
            ServingError: NOT_FOUND for a missing file, INVALID_ARGUMENT for a broken one.
        """
        model, vocabulary = folder / "edge" / "model.tflite", folder / "assets" / "vocabulary.txt"
        for path in (model, vocabulary):
            if not path.is_file():
                raise ServingError(Code.NOT_FOUND, f"The LiteRT engine needs {path}.")
        try:
            runners = [_Runner(model) for _ in range(self.interpreters)]
        except (ValueError, RuntimeError) as error:
            raise ServingError(Code.INVALID_ARGUMENT, f"{model}: {error}") from error
        ids = vocabulary.read_bytes().removesuffix(b"\n").split(b"\n")
        return LiteRtModel(runners, ids, read_definitions(folder))


class LiteRtModel:
    """One loaded edge model with the ids of its items.

    Args:
        runners: The interpreters.
        ids: Item ids as bytes; line n of the vocabulary is index n, counted from 1.
        definitions: The SignatureDefs of the bundle, by name.
    """

    def __init__(
        self, runners: Sequence["_Runner"], ids: Sequence[bytes], definitions: Mapping[str, Any]
    ) -> None:
        self.definitions = {
            name: definition for name, definition in definitions.items() if name in ANSWERED
        }
        self.signatures = parse(self.definitions)
        self.not_answered = frozenset(definitions) - frozenset(self.definitions)
        self._idle: queue.SimpleQueue[_Runner] = queue.SimpleQueue()
        for runner in runners:
            self._idle.put(runner)
        self._index = {item_id: index for index, item_id in enumerate(ids, start=1)}
        self._types = {name.encode(): index for name, index in EVENT_TYPE_INDEX.items()}
        self._ids = np.empty(len(ids) + 1, object)
        self._ids[:] = [b"", *ids]

    def predict(
        self,
        signature: Signature,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        deadline: Deadline,
    ) -> dict[str, Array]:
        """Answers row by row: the edge graph has a batch of one, and larger ones gain nothing.

        Raises:
            ServingError: DEADLINE_EXCEEDED between two rows.
        """
        text = signature.inputs[Input.HISTORY].dtype != _INT32
        indices = self._to_indices(inputs) if text else inputs
        rows = self._rows(indices, deadline)
        answers = {name: self._stacked(signature, name, rows) for name in outputs}
        if text and Output.ITEM_IDS in answers:
            answers[Output.ITEM_IDS] = self._ids[answers[Output.ITEM_IDS]]
        return answers

    def close(self) -> None:
        """The interpreters go with the last reference to this object."""

    def _to_indices(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        tables = {
            Input.HISTORY: self._index,
            Input.FREQUENT_ITEMS: self._index,
            Input.HISTORY_EVENT_TYPE: self._types,
        }
        return {
            name: _looked_up(tables[name], values) if name in tables else values
            for name, values in inputs.items()
        }

    def _rows(self, inputs: Mapping[str, Array], deadline: Deadline) -> list[dict[str, Array]]:
        batch = len(inputs[Input.HISTORY])
        rows = []
        for row in range(batch):
            with self._runner(deadline) as runner:
                rows.append(runner.run({name: inputs[name][row : row + 1] for name in INPUTS}))
        return rows

    @contextmanager
    def _runner(self, deadline: Deadline) -> Iterator["_Runner"]:
        try:
            runner = self._idle.get(timeout=deadline.remaining())
        except queue.Empty:
            raise ServingError(
                Code.DEADLINE_EXCEEDED, "No interpreter was free before the deadline."
            ) from None
        try:
            yield runner
        finally:
            self._idle.put(runner)

    def _stacked(self, signature: Signature, name: str, rows: list[dict[str, Array]]) -> Array:
        if rows:
            return np.concatenate([row[name] for row in rows])
        inner = signature.outputs[name].shape or ()
        return np.zeros((0, *(size or 0 for size in inner[1:])), np.float32)


class _Runner:
    """One interpreter and its only signature."""

    def __init__(self, model: Path) -> None:
        self._interpreter = Interpreter(str(model), num_threads=1)
        self._run = self._interpreter.get_signature_runner()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        answers: dict[str, Array] = self._run(**inputs)
        return answers


_INT32: Final = 3  # tensorflow.DataType


def _looked_up(table: Mapping[bytes, int], values: Array) -> Array:
    """Maps ids to indices; an id outside the table is padding, as in the SavedModel."""
    found = [table.get(value, 0) for value in values.ravel().tolist()]
    return np.array(found, np.int32).reshape(values.shape)
