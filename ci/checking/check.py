"""What a check is, and what it finds: one form for linters, policies and tests alike."""

import fnmatch
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.config import Config
from ci.errors import PushcartError

UNLISTED = (".git", ".venv", "build", "var", "__pycache__", "node_modules")


@dataclass(frozen=True)
class Finding:
    """One thing to mend.

    Attributes:
        file: Path from the project's folder.
        line: Counted from 1; 0 when it is about the whole file.
        rule: The rule's name, to look it up or to switch it off.
        why: What is wrong, with the value seen.
        fix: What to do; empty where `why` says it.
    """

    file: str
    line: int
    rule: str
    why: str
    fix: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.rule}: {self.why}" + (f" [{self.fix}]" if self.fix else "")


@dataclass(frozen=True)
class Scene:
    """Where a check looks.

    Attributes:
        project: The project's folder.
        config: All settings.
        files: The files that the check asked for, sorted.
        reports: Folder for reports of its own.
    """

    project: Path
    config: Config
    files: tuple[Path, ...]
    reports: Path

    def name(self, path: Path | str) -> str:
        """A path as a finding names it."""
        path = Path(path)
        inside = path.is_absolute() and path.is_relative_to(self.project)
        return (path.relative_to(self.project) if inside else path).as_posix()


@dataclass(frozen=True)
class Outcome:
    """What a check saw.

    Attributes:
        findings: What to mend.
        note: What else is worth knowing, e.g. that nothing could be compared with.
        looked_at: Number of things looked at where that is not the number of files.
        unseen: What could not be looked at, for the end of the run and the report.
    """

    findings: tuple[Finding, ...] = ()
    note: str = ""
    looked_at: int | None = None
    unseen: str = ""


@dataclass(frozen=True)
class Check:
    """One check of the table.

    Attributes:
        name: As typed after `--only`.
        summary: One line for `--help`.
        files: Globs of the files that it looks at; none of them there is a failure.
        look: Looks at a scene.
        depends: Globs of further files whose change makes it look again.
        service: Name in `bin/ci services` of an outside program that it needs, or "".
        is_cached: Whether unchanged files keep an earlier clean outcome.
    """

    name: str
    summary: str
    files: tuple[str, ...]
    look: Callable[[Scene], Outcome]
    depends: tuple[str, ...] = ()
    service: str = ""
    is_cached: bool = True


class BrokenCheckError(PushcartError):
    """A check's own tool failed: neither clean nor a finding."""


def listed(project: Path) -> list[Path]:
    """The project's files: what git knows or would add; all but build outputs outside of git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=project, capture_output=True, check=False)
        names = done.stdout.decode().split("\0") if done.returncode == 0 else None
    except FileNotFoundError:
        names = None
    if names is None:
        found = (path for path in project.rglob("*") if not set(path.parts) & set(UNLISTED))
    else:
        found = (project / name for name in names if name)
    return sorted(path for path in found if path.is_file())


def matching(files: Sequence[Path], project: Path, globs: Sequence[str]) -> tuple[Path, ...]:
    """The files whose path from the project matches a glob; `*` crosses folders."""
    return tuple(
        path
        for path in files
        if any(fnmatch.fnmatch(path.relative_to(project).as_posix(), glob) for glob in globs)
    )


def run_tool(command: Sequence[object], scene: Scene, codes: Sequence[int] = (0, 1)) -> str:
    """Run a linter in the project's folder; its standard output.

    Raises:
        BrokenCheckError: It ended with another code than those for clean and not clean.
    """
    done = subprocess.run(
        [str(word) for word in command],
        cwd=scene.project,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in codes:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise BrokenCheckError(f"`{command[0]}` failed with code {done.returncode}: {said}")
    return done.stdout
