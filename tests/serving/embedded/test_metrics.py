"""The Prometheus page, read by the rules of its text format."""

import re

import pytest

from serving.embedded.metrics import Metrics
from serving.embedded.status import Code

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (\d+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def samples(metrics):
    """Every sample by name and labels; a line that is neither sample nor type fails."""
    found = {}
    for line in metrics.page().splitlines():
        if re.fullmatch(r"# TYPE [a-zA-Z_:][a-zA-Z0-9_:]* (counter|histogram)", line):
            continue
        name, labels, value = _SAMPLE.fullmatch(line).groups()
        assert _LABEL.sub("", labels) == ""
        pairs = {
            key: re.sub(r"\\.", lambda escape: _ESCAPES[escape[0]], text)
            for key, text in _LABEL.findall(labels)
        }
        found[name, tuple(sorted(pairs.items()))] = int(value)
    return found


def test_counts_and_latencies():
    metrics = Metrics()
    for seconds in (0.000_005, 0.000_015, 0.000_015):
        metrics.request("m", "Predict", "REST", Code.OK, seconds)
    metrics.request("m", "Predict", "REST", Code.NOT_FOUND, 1.0)
    seen = samples(metrics)
    count = ":tensorflow:serving:request_count"
    assert seen[count, (("model_name", "m"), ("status", "OK"))] == 3
    assert seen[count, (("model_name", "m"), ("status", "NOT_FOUND"))] == 1
    where = (("API", "Predict"), ("entrypoint", "REST"), ("model_name", "m"))
    latency = ":tensorflow:serving:request_latency"
    assert seen[f"{latency}_count", where] == 3  # the refused one is counted but not timed
    assert seen[f"{latency}_sum", where] == 35
    bucket = {
        dict(labels)["le"]: value
        for (name, labels), value in seen.items()
        if name == f"{latency}_bucket"
    }
    assert (bucket["10"], bucket["18"], bucket["+Inf"]) == (1, 3, 3)
    assert list(bucket.values()) == sorted(bucket.values())


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "new\nline"])
def test_labels_are_escaped(name):
    metrics = Metrics()
    metrics.request(name, "Predict", "gRPC", Code.OK, 0.1)
    assert any(dict(labels).get("model_name") == name for _, labels in samples(metrics))
