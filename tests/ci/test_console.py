"""What a person reads."""

import os
import subprocess
import sys

import pytest

from ci.config import PROJECT
from ci.console import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "40 ms"), (0.44, "0.4 s"), (9.94, "9.9 s"), (12.4, "12 s"), (185.0, "3 min 05 s")],
)
def test_durations_as_a_person_says_them(seconds, said):
    assert duration(seconds) == said


def test_native_noise_goes_to_its_file_and_pythons_words_stay(tmp_path):
    program = """
import os, pathlib, sys
from ci.console import native_noise_in
with native_noise_in(pathlib.Path(sys.argv[1])):
    os.write(2, b"oneDNN custom operations are on\\n")
    print("a warning for you", file=sys.stderr)
os.write(2, b"after\\n")
"""
    log = tmp_path / "native.log"
    done = subprocess.run(
        [sys.executable, "-c", program, str(log)],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "a warning for you\nafter\n"
    assert log.read_text() == "oneDNN custom operations are on\n"
