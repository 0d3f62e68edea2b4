"""Micro-batching: requests that arrive together share one run of the model."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from serving.embedded.config_files import BatchingSettings
from serving.embedded.engine import Deadline, Model
from serving.embedded.signatures import Signature
from serving.embedded.status import Code, ServingError, failed_precondition, invalid
from serving.embedded.tensors import Array

_LOG: Final = logging.getLogger(__name__)
# What requests of one batch share: signature, outputs, and the shape of a row of each input.
_Key = tuple[str, tuple[str, ...], tuple[tuple[int, ...], ...]]


@dataclass
class _Task:
    inputs: Mapping[str, Array]
    rows: int
    deadline: Deadline
    answer: Future[dict[str, Array]] = field(default_factory=Future)


@dataclass
class _Batch:
    key: _Key
    signature: Signature
    due: float  # on the monotonic clock: it does not wait for others any longer
    tasks: list[_Task] = field(default_factory=list)
    rows: int = 0


class BatchedModel:
    """A model that runs requests of one signature and shape together.

    Args:
        model: What runs the batches.
        settings: Sizes, waiting time, threads and the bound of the queue.
    """

    def __init__(self, model: Model, settings: BatchingSettings) -> None:
        self._model = model
        self._settings = settings
        self._waiting: list[_Batch] = []  # in the order in which they were opened
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{index}", daemon=True)
            for index in range(settings.threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures of the model."""
        return self._model.signatures

    @property
    def not_answered(self) -> frozenset[str]:
        """Signatures of the bundle that the engine does not answer."""
        return self._model.not_answered

    @property
    def definitions(self) -> Mapping[str, Any]:
        """The SignatureDefs of the model."""
        return self._model.definitions

    def predict(
        self,
        signature: Signature,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        deadline: Deadline,
    ) -> dict[str, Array]:
        """Waits for the run of the batch that takes these inputs, and returns their rows of it.

        Raises:
            ServingError: INVALID_ARGUMENT for more rows than a batch may have, UNAVAILABLE when
                the queue is full, DEADLINE_EXCEEDED, or what the model failed with.
        """
        rows = _common_rows(inputs)
        if not rows:
            return self._model.predict(signature, inputs, outputs, deadline)
        if rows > self._settings.max_batch_size:
            raise invalid(
                f"Task size {rows} is larger than maximum input batch size "
                f"{self._settings.max_batch_size}"
            )
        task = _Task(inputs, rows, deadline)
        self._enqueue(signature, tuple(outputs), task)
        try:
            return task.answer.result(deadline.remaining())
        except TimeoutError:
            task.answer.cancel()
            raise ServingError(
                Code.DEADLINE_EXCEEDED, "The deadline passed while the request waited in a batch."
            ) from None

    def close(self) -> None:
        """Runs what waits, ends the threads and closes the model."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._model.close()

    def _enqueue(self, signature: Signature, outputs: tuple[str, ...], task: _Task) -> None:
        key = (signature.name, outputs, tuple(task.inputs[name].shape[1:] for name in task.inputs))
        with self._changed:
            queue = [batch for batch in self._waiting if batch.key == key]
            if not queue or queue[-1].rows + task.rows > self._settings.max_batch_size:
                if len(queue) >= self._settings.max_enqueued:
                    raise ServingError(
                        Code.UNAVAILABLE,
                        "The batch scheduling queue to which this task was submitted is full; "
                        f"currently {len(queue)} batches wait",
                    )
                due = time.monotonic() + self._settings.timeout_seconds
                queue.append(_Batch(key, signature, due))
                self._waiting.append(queue[-1])
            queue[-1].tasks.append(task)
            queue[-1].rows += task.rows
            self._changed.notify()

    def _work(self) -> None:
        for batch in self._batches():
            tasks = [task for task in batch.tasks if task.answer.set_running_or_notify_cancel()]
            if tasks:
                self._run(batch, tasks)

    def _batches(self) -> Iterator[_Batch]:
        """Yields batches that are full or due, the oldest first, until closed and drained."""
        while True:
            with self._changed:
                while (batch := self._ready()) is None:
                    if self._closing and not self._waiting:
                        return
                    due = self._waiting[0].due - time.monotonic() if self._waiting else None
                    self._changed.wait(due)
                self._waiting.remove(batch)
            yield batch

    def _ready(self) -> _Batch | None:
        now = time.monotonic()
        full = self._settings.max_batch_size
        return next(
            (
                batch
                for batch in self._waiting
                if batch.rows >= full or batch.due <= now or self._closing
            ),
            None,
        )

    def _run(self, batch: _Batch, tasks: list[_Task]) -> None:
        try:
            answers = self._answers(batch, tasks)
        except ServingError as error:
            failure = error
        except Exception as error:
            _LOG.exception("A batch of %s failed", batch.signature.name)
            failure = ServingError(Code.INTERNAL, f"{type(error).__name__}: {error}")
        else:
            for task, answer in zip(tasks, answers, strict=True):
                task.answer.set_result(answer)
            return
        for task in tasks:
            task.answer.set_exception(ServingError(failure.code, failure.message))

    def _answers(self, batch: _Batch, tasks: list[_Task]) -> Iterator[dict[str, Array]]:
        rows = sum(task.rows for task in tasks)
        padding = self._settings.padded(rows) - rows
        inputs = {
            name: _joined([task.inputs[name] for task in tasks], padding)
            for name in batch.signature.inputs
        }
        latest = Deadline(max(task.deadline.at for task in tasks))
        outputs = self._model.predict(batch.signature, inputs, batch.key[1], latest)
        for name, values in outputs.items():
            if values.shape[:1] != (rows + padding,):
                raise failed_precondition(
                    f"Batched output tensor's 0th dimension does not equal the sum of the 0th "
                    f"dimension sizes of the input tensors: {name} has the shape "
                    f"{list(values.shape)} for {rows + padding} rows"
                )
        return _split(outputs, tasks)


def _joined(parts: list[Array], padding: int) -> Array:
    if padding:  # any row will do: its answer is thrown away
        parts = [*parts, np.repeat(parts[-1][-1:], padding, axis=0)]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _split(outputs: Mapping[str, Array], tasks: list[_Task]) -> Iterator[dict[str, Array]]:
    start = 0
    for task in tasks:
        stop = start + task.rows
        yield {name: values[start:stop] for name, values in outputs.items()}
        start = stop


def _common_rows(inputs: Mapping[str, Array]) -> int:
    sizes = {values.shape[0] if values.ndim else None for values in inputs.values()}
    if len(sizes) != 1 or None in sizes:
        raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return int(sizes.pop() or 0)
