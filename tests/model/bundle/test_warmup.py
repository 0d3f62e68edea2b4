"""The warm-up file, read and replayed with the genuine messages in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

from model.bundle.card import BATCH_SIZES, read_card
from model.bundle.warmup import _varint, predict_log
from tests.tiny import requests


def test_every_batch_size_of_every_signature_is_replayed(tiny_bundle):
    """The stubs bring their own TensorFlow messages, hence the other process."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("read_warmup.py"), tiny_bundle],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert {record["model"] for record in seen} == {"next_item"}
    assert [(record["signature"], record["rows"]) for record in seen] == [
        (name, size) for name in read_card(tiny_bundle)["signatures"] for size in BATCH_SIZES
    ]
    assert all(record["answered"] == [record["rows"]] for record in seen)


def test_varints_by_hand():
    """The examples of the encoding's own documentation: 1, 150, 300."""
    assert [_varint(value).hex() for value in (0, 1, 127, 128, 150, 300)] == [
        "00",
        "01",
        "7f",
        "8001",
        "9601",
        "ac02",
    ]


def test_equal_requests_give_equal_records():
    turned = dict(reversed(requests().items()))
    assert predict_log("m", "s", requests()) == predict_log("m", "s", turned)
