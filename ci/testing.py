"""Command `test`: pytest with the project's settings, from whichever folder it is called."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def pytest_arguments(arguments: list[str]) -> list[str]:
    """Return pytest's command line: the caller's paths and options, or the whole suite."""
    named = any(Path(word.partition("::")[0]).exists() for word in arguments)
    return [
        *("-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}"),
        *arguments,
        *([] if named else [str(ROOT / "tests")]),
    ]


def run(arguments: list[str]) -> int:
    """Become pytest; its exit code is the command's."""
    command = [sys.executable, "-m", "pytest", *pytest_arguments(arguments)]
    os.execv(sys.executable, command)  # noqa: S606  no shell: the words go on as they came
