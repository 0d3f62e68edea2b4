"""Hosts as a person sees them at work, and as a log does."""

import re
import subprocess
import sys

from tests.shop import surroundings
from tests.terminal import on_a_terminal

WORK = """
from ci.rollout.board import board

def tell(news):
    print("told", news["host"], news["step"])

with board(tell) as hear:
    for step in ("Verify", "Switch [red]"):
        for host in ("host1", "host2"):
            hear({"host": host, "step": step, "what": "…"})
    hear({"host": "host2", "step": "Switch", "what": "it failed\\nfor a reason"})
"""
COMMAND = [sys.executable, "-c", WORK]
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_a_person_sees_one_line_a_host_with_what_it_does_last():
    seen = CONTROL.sub("", on_a_terminal(COMMAND))
    *_, first, second = (line.split() for line in seen.splitlines() if "host" in line)
    assert first == ["host1", "Switch", "[red]:", "…", "0:00:00"]
    assert second == ["host2", "Switch:", "it", "failed", "0:00:00"]
    assert "told" not in seen


def test_a_log_gets_one_line_a_step():
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=True, env=surroundings())
    lines = done.stdout.splitlines()
    assert lines == [
        "told host1 Verify",
        "told host2 Verify",
        "told host1 Switch [red]",
        "told host2 Switch [red]",
        "told host2 Switch",
    ]
