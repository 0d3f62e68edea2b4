"""The process whose cost is measured: one bundle in the engine that serves it, one thread.

`python -m ci.evaluating.cost_worker BUNDLE ENGINE` obeys one word a line and answers each with a
JSON line: `load` loads the bundle and answers one request; `run N` answers N requests.
"""

import json
import resource
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from model.bundle.card import golden_requests, read_card
from model.schema import Output
from serving.embedded.engine import Deadline, Engine
from serving.embedded.signatures import DEFAULT_SIGNATURE, find
from serving.embedded.tensors import Array

OUTPUTS = (Output.ITEM_IDS, Output.KNOWN_ITEMS, Output.SCORES)


class Worker:
    """One bundle in one engine.

    Args:
        bundle: The folder.
        engine: `savedmodel` or `litert`.
    """

    def __init__(self, bundle: Path, engine: str) -> None:
        self._bundle = bundle
        self._engine = make_engine(engine)
        self._requests = cycle(single_requests(bundle))

    def obey(self, line: str) -> dict[str, float]:
        """Carry out one command.

        Raises:
            ValueError: The command is none.
        """
        match line.split():
            case ["load"]:
                return self._load()
            case ["run", number]:
                return self._run(int(number))
        raise ValueError(f"{line!r} is neither `load` nor `run N`.")

    def _load(self) -> dict[str, float]:
        started = time.monotonic()
        self._model = self._engine.load(self._bundle)
        self._signature = find(self._model.signatures, DEFAULT_SIGNATURE)
        self._run(1)
        seconds = time.monotonic() - started
        return {"cold_start_seconds": seconds, "memory_mb": peak_memory_mb()}

    def _run(self, number: int) -> dict[str, float]:
        started = time.process_time()
        for request in islice(self._requests, number):
            self._model.predict(self._signature, request, OUTPUTS, Deadline())
        seconds = time.process_time() - started
        return {"cpu_ms_per_request": 1000 * seconds / number, "memory_mb": peak_memory_mb()}


def make_engine(name: str) -> Engine:
    """The serving engine of that name on one thread: threads that wait would count as work."""
    if name == "litert":
        from serving.embedded.litert_engine import LiteRtEngine  # noqa: PLC0415  it needs no TensorFlow

        return LiteRtEngine(interpreters=1)
    from serving.embedded.savedmodel_engine import SavedModelEngine  # noqa: PLC0415

    return SavedModelEngine(intra_op_threads=1, inter_op_threads=1)


def single_requests(bundle: Path) -> list[dict[str, Array]]:
    """The golden requests of a bundle one by one, as the server's protocol layer hands them on."""
    inputs = golden_requests(read_card(bundle))
    encoded = {
        name: np.array([[str(value).encode() for value in row] for row in values], dtype=object)
        if values.dtype == object
        else values
        for name, values in inputs.items()
    }
    rows = len(next(iter(encoded.values())))
    return [
        {name: values[row : row + 1] for name, values in encoded.items()} for row in range(rows)
    ]


def peak_memory_mb() -> float:
    """The most memory that this process ever held, in MB of 2^20 bytes.

    On Linux from /proc: `getrusage` hands a parent's peak down to a child across `exec`, and the
    parent here is an evaluation with TensorFlow in it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS tells bytes


def main(bundle: Path, engine: str, orders: TextIO, answers: TextIO) -> None:
    """Obey orders until there are none."""
    worker = Worker(bundle, engine)
    _answer(answers, {})  # imports are done
    for line in orders:
        _answer(answers, worker.obey(line))


def _answer(answers: TextIO, content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.stdin, sys.stdout)
