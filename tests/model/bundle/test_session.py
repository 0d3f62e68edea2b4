"""A bundle loads as the C++ server loads it, also under the TensorFlow of SERVING_BASE."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ci.evaluating.parity import answers_of, parity
from ci.locks.installing import install_role
from model.bundle.card import golden_answers, read_card
from tests.tiny import copy_bundle

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("session_answers.py")


def session_answers(python: str, bundle: Path) -> dict:
    done = subprocess.run(
        [python, PROGRAM, bundle],
        env={"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def moved(tiny_bundle, tmp_path_factory) -> Path:
    """The bundle at a place it was not written to; the vocabulary it was made from is long gone."""
    return copy_bundle(tiny_bundle, tmp_path_factory.mktemp("elsewhere") / "1")


@pytest.mark.parametrize("role", ["here", "serving-base"])
def test_a_session_repeats_the_golden_answers(moved, role):
    python = sys.executable if role == "here" else install_role(role)
    seen = session_answers(python, moved)
    card = read_card(moved)
    minor = "2.20." if role == "serving-base" else card["tensorflow"]
    assert seen["tensorflow"].startswith(minor)
    assert seen["missing"] == []
    assert card["min_consumer"] <= seen["producer"]
    result = parity(answers_of(golden_answers(card)), answers_of(seen["answers"]), 1e-4)
    assert result.passed, result.first_difference
    assert seen["answers"]["known_items"] == [0, 3, 2, 0, 6]


def test_the_lock_and_the_image_name_one_minor():
    """The TensorFlow that the test loads with is the one of the image that serves."""
    image = next(
        line.partition(":")[2]
        for line in (ROOT / "serving" / "Dockerfile").read_text().splitlines()
        if line.startswith("ARG SERVING_BASE=")
    )
    lock = (ROOT / "requirements" / "serving-base.lock").read_text()
    minor = ".".join(image.split(".")[:2])
    assert f"\ntensorflow-cpu=={minor}." in lock
