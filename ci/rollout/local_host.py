"""Runs `pushcart-host` on this machine and hears it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, cast

from ci.errors import PushcartError, RefusedError, RolloutUndoneError, UnavailableError
from ci.rollout.targets import Progress
from serving.host.host import SOURCES

# What a host's refusals are here: the exit codes are the same.
REFUSALS: dict[str, type[PushcartError]] = {
    "unavailable": UnavailableError,
    "owned": UnavailableError,
    "undone": RolloutUndoneError,
    "refused": RefusedError,
    "missing": RefusedError,
}


def ask(
    settings: Path, words: Sequence[str], progress: Progress, *, stdin: str = ""
) -> dict[str, Any]:
    """Give the program one command and wait for its answer.

    Ctrl-C reaches us alone: then it hears that nobody listens any more, and undoes what it began.

    Args:
        settings: The environment's `host.json`.
        words: Command and options.
        progress: Hears each step.
        stdin: What the command reads.

    Raises:
        PushcartError: It refused, in the class of its refusal; or it ended without an answer.
    """
    command = [sys.executable, "-m", "serving.host.command", f"--settings={settings}", *words]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            command,
            cwd=SOURCES,
            stdin=pipe,
            stdout=pipe,
            stderr=log,
            text=True,
            start_new_session=True,
        ) as program,
    ):
        with cast("IO[str]", program.stdin) as order:
            order.write(stdin)
        answer = _heard(cast("IO[str]", program.stdout), progress)
        program.wait()
        log.seek(0)
        said = log.read()
    if answer is None:
        raise PushcartError(f"`pushcart-host {words[0]}` ended without an answer:\n{said.strip()}")
    if "refused" in answer:
        raise REFUSALS.get(answer["refused"], PushcartError)(answer["message"])
    return answer


def _heard(lines: Iterable[str], progress: Progress) -> dict[str, Any] | None:
    answer = None
    for line in lines:
        content: dict[str, Any] = json.loads(line)
        if "progress" in content:
            progress(content["progress"])
        else:
            answer = content
    return answer
