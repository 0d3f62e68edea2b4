"""A command whose output is a terminal, as a person sees it."""

import os
import pty
import subprocess
from collections.abc import Sequence

from tests.shop import surroundings


def on_a_terminal(command: Sequence[str]) -> str:
    """What a command writes to a terminal of 100 columns; it must succeed."""
    ours, theirs = pty.openpty()
    terminal = surroundings({"TERM": "xterm-256color", "COLUMNS": "100"})
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=terminal) as process:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 65_536):
                seen += piece
        except OSError:  # how Linux says that nobody holds the other end any more
            os.close(ours)
        process.communicate()
        assert process.returncode == 0, seen.decode()
    return seen.decode()
