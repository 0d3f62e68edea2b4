"""A git repository, asked and changed by git itself; standard library only."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ci.errors import PushcartError, UsageError

SHOWN = 10  # files that a message names

# Set inside git's own hooks, these would lead every command to the repository of the hook.
LEADS_ASTRAY = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)


@dataclass(frozen=True)
class Repository:
    """A folder in which git is run.

    Attributes:
        folder: It exists; a repository, or where one may be around it.
    """

    folder: Path

    def try_git(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run git, whether it succeeds or not.

        Raises:
            UsageError: There is no git.
        """
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}
        for name in LEADS_ASTRAY:
            environment.pop(name, None)
        try:
            return subprocess.run(
                ["git", "-c", "core.quotepath=off", *words],
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except FileNotFoundError:
            raise UsageError("git is not installed. Run: apt-get install git") from None

    def git(self, *words: str) -> str:
        """What git prints.

        Raises:
            PushcartError: git failed; with its own words.
        """
        done = self.try_git(*words)
        if done.returncode != 0:
            raise PushcartError(f"`git {' '.join(words)}` failed in {self.folder}:\n{said(done)}")
        return done.stdout.strip()

    @property
    def top(self) -> Path | None:
        """The working tree's uppermost folder; None where there is no repository."""
        done = self.try_git("rev-parse", "--show-toplevel")
        return Path(done.stdout.strip()) if done.returncode == 0 else None

    @property
    def commit(self) -> str:
        """The commit that is checked out; "" before the first."""
        done = self.try_git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return done.stdout.strip()

    def changes(self, *, untracked: bool) -> list[str]:
        """Files that differ from the commit.

        Args:
            untracked: Whether files count that git does not know yet (and does not ignore).
        """
        shown = "all" if untracked else "no"
        told = self.git("status", "--porcelain", f"--untracked-files={shown}")
        return [line.split(maxsplit=1)[1] for line in told.splitlines()]

    def require_identity(self) -> None:
        """Make sure that a commit can be made.

        Raises:
            UsageError: git does not know who commits.
        """
        for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            if self.try_git("var", who).returncode != 0:
                raise UsageError(
                    "git does not know who you are, and this makes a commit. Run:\n"
                    '  git config --global user.name "Your Name"\n'
                    "  git config --global user.email you@example.com"
                )


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Git's own words, indented."""
    text = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return "\n".join(f"  {line}" for line in text)


def named(files: list[str]) -> str:
    """The first files, one a line, and how many more there are."""
    lines = [f"  {file}" for file in files[:SHOWN]]
    more = len(files) - SHOWN
    return "\n".join([*lines, *([f"  … and {more} more"] if more > 0 else [])])
