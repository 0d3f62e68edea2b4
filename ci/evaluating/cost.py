"""What a bundle costs to serve: CPU a request against the live one, bytes, memory, cold start."""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ci.config import PROJECT
from ci.errors import PushcartError
from ci.workspace import size_of

# 30 pairs of 40 requests: under 10 s at 3 ms a request, and the median of the ratio of a bundle to
# itself stays within a few per cent on a busy machine.
ROUNDS = 30
REQUESTS = 40
RESAMPLES = 2_000


@dataclass(frozen=True)
class Ratio:
    """How many times the CPU of the live bundle the challenger needs, with its 95 % interval."""

    median: float
    lower: float
    upper: float


def measure_cost(
    challenger: Path, live: Path | None, engine: str = "savedmodel", seed: int = 7
) -> dict[str, Any]:
    """Measure what serving a bundle costs, beside the live one at the same time.

    Each bundle runs in a process of its own. They answer in turn, so that whatever else the
    machine does meets both alike; only the ratio of two turns next to each other is judged.

    Args:
        challenger: A bundle.
        live: The bundle that serves now, or None.
        engine: What computes in production, `savedmodel` or `litert`.
        seed: Of the bootstrap.

    Returns:
        The `cost` object of `evaluation.json`: figures of `challenger` and `live`, `cpu_ratio`.

    Raises:
        PushcartError: A bundle does not load or answer.
    """
    with contextlib.ExitStack() as stack:
        bundles = [challenger] if live is None else [challenger, live]
        workers = [stack.enter_context(_worker(bundle, engine)) for bundle in bundles]
        for worker in workers:
            worker.receive()  # imports are done; loading begins on a quiet machine
        loaded = [worker.ask("load") for worker in workers]
        for worker in workers:
            worker.ask(f"run {REQUESTS}")  # the first calls of a graph are slow
        turns = list(_turns(workers))
    figures = [
        _figures(bundle, first, [turn[place] for turn in turns])
        for place, (bundle, first) in enumerate(zip(bundles, loaded, strict=True))
    ]
    cpu = np.array([[answer["cpu_ms_per_request"] for answer in turn] for turn in turns])
    ratio = None if live is None else asdict(ratio_of(cpu[:, 0], cpu[:, 1], seed))
    return {
        "challenger": figures[0],
        "live": figures[1] if live is not None else None,
        "cpu_ratio": ratio,
    }


def ratio_of(challenger: npt.ArrayLike, live: npt.ArrayLike, seed: int) -> Ratio:
    """Median of the ratios of paired turns, with a percentile bootstrap over the turns.

    Args:
        challenger: CPU of each turn.
        live: CPU of the turns beside them.
        seed: Of the bootstrap.
    """
    ratios = np.asarray(challenger, float) / np.asarray(live, float)
    chosen = np.random.default_rng(seed).integers(len(ratios), size=(RESAMPLES, len(ratios)))
    medians = np.median(ratios[chosen], axis=1)
    lower, upper = np.quantile(medians, [0.025, 0.975])
    return Ratio(float(np.median(ratios)), float(lower), float(upper))


def _figures(
    bundle: Path, loaded: dict[str, float], turns: list[dict[str, float]]
) -> dict[str, float]:
    cpu = statistics.median(turn["cpu_ms_per_request"] for turn in turns)
    return {
        "cpu_ms_per_request": round(cpu, 4),
        "bundle_bytes": size_of(bundle),
        "memory_mb": round(turns[-1]["memory_mb"], 1),
        "cold_start_seconds": round(loaded["cold_start_seconds"], 3),
    }


def _turns(workers: list["_Worker"]) -> Iterator[list[dict[str, float]]]:
    """Let each worker answer once a round, the first and the last place taken in turn."""
    for number in range(ROUNDS):
        order = range(len(workers)) if number % 2 else reversed(range(len(workers)))
        answers = {place: workers[place].ask(f"run {REQUESTS}") for place in order}
        yield [answers[place] for place in range(len(workers))]


class _Worker:
    """A `ci.evaluating.cost_worker` process."""

    def __init__(self, bundle: Path, process: subprocess.Popen[str], log: IO[str]) -> None:
        self._bundle = bundle
        self._process = process
        self._log = log

    def ask(self, order: str) -> dict[str, float]:
        assert self._process.stdin is not None  # noqa: S101  opened as a pipe below
        with contextlib.suppress(BrokenPipeError):  # `receive` says why it ended
            self._process.stdin.write(f"{order}\n")
            self._process.stdin.flush()
        return self.receive()

    def receive(self) -> dict[str, float]:
        assert self._process.stdout is not None  # noqa: S101  opened as a pipe below
        line = self._process.stdout.readline()
        if line:
            answer: dict[str, float] = json.loads(line)
            return answer
        self._process.wait()
        self._log.seek(0)
        told = self._log.read().strip().splitlines()
        raise PushcartError(
            f"The bundle {self._bundle} cannot be measured: its process ended with "
            f"{self._process.returncode}: {told[-1] if told else 'no word'}. "
            "Make it again with `bin/ci export --force`."
        )


@contextlib.contextmanager
def _worker(bundle: Path, engine: str) -> Iterator[_Worker]:
    command = [sys.executable, "-m", "ci.evaluating.cost_worker", str(bundle), engine]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield _Worker(bundle, process, log)
        finally:
            process.kill()
