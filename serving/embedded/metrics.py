"""Counters and latency histograms, and the Prometheus page that shows them."""

import threading
from bisect import bisect_left
from collections import defaultdict
from typing import Final

from serving.embedded.status import Code

REQUEST_COUNT: Final = ":tensorflow:serving:request_count"
REQUEST_LATENCY: Final = ":tensorflow:serving:request_latency"
RUNTIME_LATENCY: Final = ":tensorflow:serving:runtime_latency"
# TensorFlow Serving's buckets in microseconds: 10 * 1.8**n, the last one some 20 minutes.
BUCKETS: Final = tuple(10 * 1.8**power for power in range(33))

_Labels = tuple[tuple[str, str], ...]


class _Histogram:
    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def lines(self, name: str, labels: _Labels) -> list[str]:
        printed, count, lines = _printed(labels), 0, []
        for limit, bucket in zip((*BUCKETS, None), self.counts, strict=True):
            count += bucket
            bound = "+Inf" if limit is None else f"{limit:.6g}"
            lines.append(f'{name}_bucket{{{printed},le="{bound}"}} {count}')
        return [
            *lines,
            f"{name}_sum{{{printed}}} {self.total:.0f}",
            f"{name}_count{{{printed}}} {count}",
        ]


class Metrics:
    """What the server counts, under the names of tensorflow_model_server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[_Labels, int] = defaultdict(int)
        self._latencies: dict[tuple[str, _Labels], _Histogram] = defaultdict(_Histogram)

    def request(
        self, model_name: str, api: str, entrypoint: str, code: Code, seconds: float
    ) -> None:
        """Counts one request; only successful ones enter the latency, as in TensorFlow Serving."""
        labels = (("model_name", model_name), ("status", code.name))
        with self._lock:
            self._counts[labels] += 1
        if code is Code.OK:
            where = (("model_name", model_name), ("API", api), ("entrypoint", entrypoint))
            self._observe(REQUEST_LATENCY, where, seconds)

    def run(self, model_name: str, engine: str, seconds: float) -> None:
        """Counts one run of a model."""
        labels = (("model_name", model_name), ("API", "Predict"), ("runtime", engine))
        self._observe(RUNTIME_LATENCY, labels, seconds)

    def page(self) -> str:
        """Returns the page in the text format of Prometheus."""
        with self._lock:
            lines = [f"# TYPE {REQUEST_COUNT} counter"]
            for labels, count in sorted(self._counts.items()):
                lines.append(f"{REQUEST_COUNT}{{{_printed(labels)}}} {count}")
            for name in (REQUEST_LATENCY, RUNTIME_LATENCY):
                lines.append(f"# TYPE {name} histogram")
                for (metric, labels), histogram in sorted(
                    self._latencies.items(), key=lambda entry: entry[0]
                ):
                    if metric == name:
                        lines.extend(histogram.lines(name, labels))
        return "\n".join(lines) + "\n"

    def _observe(self, name: str, labels: _Labels, seconds: float) -> None:
        microseconds = seconds * 1e6
        with self._lock:
            histogram = self._latencies[name, labels]
            histogram.counts[bisect_left(BUCKETS, microseconds)] += 1
            histogram.total += microseconds


def _printed(labels: _Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
