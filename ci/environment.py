"""The door behind `bin/ci`: makes the environment of a lock once, keyed by its hash, and enters it.

Standard library only, and little of it: whatever is imported here delays every command. An
environment without its `complete` mark is never used.
"""

import hashlib
import os
import sys
from pathlib import Path
from typing import NoReturn

from ci.errors import PushcartError, UsageError

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
ROLES = {"test": "dev", "check": "dev", "notebook": "dev"}  # the others: ci, or $PUSHCART_ROLE
BARE = {"lock", "new", "services", "upgrade", "vendor"}  # these need no environment
UNMADE = {"doctor"}  # needs none either, but takes one that is made
SERVED_BY = {"ci": ("ci", "dev")}  # dev holds all of ci, so one environment is enough
VALUED = {"--config", "--set", "--profile", "--offline"}  # options that take the next word


def main(arguments: list[str]) -> int:
    """Run a command line: here when it needs no environment, else inside its environment."""
    try:
        role = role_of(arguments)
        if role is None:
            return _command_line(arguments)
        python = ready_python(role)
        if python is None and command_of(arguments) in UNMADE:
            return _command_line(arguments)
        python = python or _make_role(role, arguments)
    except PushcartError as error:
        sys.stderr.write(f"\n{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. Run the same command to go on.\n")
        return 130
    return _become(python, arguments)


def _become(python: str, arguments: list[str]) -> NoReturn:
    words = [python, "-m", "ci", *arguments]
    os.execve(python, words, command_environment(os.environ))  # noqa: S606  no shell: words as typed


def _command_line(arguments: list[str]) -> int:
    from ci.__main__ import main as run  # noqa: PLC0415  only when there is something to say

    return run(arguments)


def command_of(arguments: list[str]) -> str | None:
    """Return the first word that is neither an option nor an option's value."""
    words = iter(arguments)
    for word in words:
        if word in VALUED:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def role_of(arguments: list[str]) -> str | None:
    """Return the lock that a command line runs in, or None when it needs no environment."""
    command = command_of(arguments)
    if command is None or command in BARE or {"-h", "--help", "--version"} & set(arguments):
        return None
    return ROLES.get(command) or os.environ.get("PUSHCART_ROLE") or "ci"


def offline_folder(arguments: list[str]) -> Path | None:
    """Return the folder of `--offline DIR`, wherever it stands."""
    for place, word in enumerate(arguments):
        if word.startswith("--offline="):
            return Path(word.partition("=")[2]).absolute()
        if word == "--offline" and place + 1 < len(arguments):
            return Path(arguments[place + 1]).absolute()
    return None


def command_environment(outer: "os._Environ[str] | dict[str, str]") -> dict[str, str]:
    """Return the variables for `python -m ci`: our modules first, the caller's folder never.

    PYTHONSAFEPATH keeps a `queue.py` in the caller's folder from shadowing the library's. Where
    containers forbid compiled modules, each command would compile TensorFlow again: 15 s of CPU.
    """
    unwanted = {"PYTHONHOME", "PYTHONDONTWRITEBYTECODE"}
    kept = {key: value for key, value in outer.items() if key not in unwanted}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}


def lock_path(role: str) -> Path:
    """Return a role's lock.

    Raises:
        UsageError: There is no such role.
    """
    path = LOCKS / f"{role}.lock"
    if not path.is_file():
        roles = ", ".join(sorted(lock.stem for lock in LOCKS.glob("*.lock")))
        raise UsageError(f"There is no lock for the role {role!r}; there are {roles}.")
    return path


def folder_of(role: str) -> Path:
    """Return where a role's environment lies; its name holds Python's version and the lock's."""
    base = Path(os.environ.get("PUSHCART_VENV_DIR") or ROOT / ".venv")
    digest = hashlib.sha256(lock_path(role).read_bytes()).hexdigest()
    return base.absolute() / f"{role}-py{sys.version_info[0]}{sys.version_info[1]}-{digest[:12]}"


def ready_python(role: str) -> str | None:
    """Return the interpreter of a finished environment that serves the role."""
    for candidate in SERVED_BY.get(role, (role,)):
        folder = folder_of(candidate)
        if is_ready(folder):
            return str(folder / "bin" / "python")
    return None


def is_ready(folder: Path) -> bool:
    """Tell whether an environment was finished and its interpreter still exists.

    Raises:
        UsageError: It belongs to somebody else, or its interpreter does.
    """
    # The interpreter may be gone: a system upgrade leaves the link of the environment dangling.
    try:
        return (folder / "complete").exists() and (folder / "bin" / "python").exists()
    except PermissionError as error:
        raise UsageError(
            f"The environment {folder} cannot be used by you: {error}. Set PUSHCART_VENV_DIR to a "
            "folder of your own."
        ) from None


def _make_role(role: str, arguments: list[str]) -> str:
    from ci.__main__ import check_usage  # noqa: PLC0415
    from ci.locks import installing  # noqa: PLC0415  only the first run needs it

    check_usage(arguments)  # a slip of the pen is told now, not after two minutes
    return installing.install_role(role, offline_folder(arguments))
