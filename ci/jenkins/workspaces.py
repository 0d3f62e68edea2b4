"""Empty workspaces with a checkout, and the files that travel between them, as on agents."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ci.errors import UsageError


@dataclass(frozen=True)
class Desk:
    """Where a rehearsal puts what Jenkins and its agents keep.

    Attributes:
        folder: All of it.
    """

    folder: Path

    @property
    def workspaces(self) -> Path:
        """One folder an agent that was taken."""
        return self.folder / "workspaces"

    def new_workspace(self, name: str) -> Path:
        """A folder that does not exist yet, for an agent's checkout."""
        self.workspaces.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.workspaces)) / "checkout"

    @property
    def stashes(self) -> Path:
        """What one agent left for the next."""
        return self.folder / "stashes"

    @property
    def archive(self) -> Path:
        """What the build's page would show."""
        return self.folder / "archive"

    @property
    def artifacts(self) -> Path:
        """The artifact store that the agents share."""
        return self.folder / "artifacts"

    @property
    def state(self) -> Path:
        """What outlives builds: registry, simulated shop, what is deployed on this machine."""
        return self.folder / "state"


def check_out(project: Path, target: Path) -> None:
    """A clone of the project's last commit with the changes that are not committed yet.

    Args:
        project: A folder of a git repository.
        target: Becomes the workspace.

    Raises:
        UsageError: It is no git repository, or has no commit.
    """
    top = Path(_git(project, "rev-parse", "--show-toplevel").strip())
    _git(top, "clone", "--quiet", "--shared", str(top), str(target))
    changed = _listed(top, "diff", "--name-only", "--no-renames", "-z", "HEAD")
    for name in (*changed, *_listed(top, "ls-files", "--others", "--exclude-standard", "-z")):
        source, place = top / name, target / name
        if source.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place)
        else:
            place.unlink(missing_ok=True)


def _listed(top: Path, *words: str) -> list[str]:
    return [name for name in _git(top, *words).split("\0") if name]


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(
            f"An agent checks its workspace out from git, and `git {words[0]}` in {folder} says: "
            f"{done.stderr.strip()}"
        )
    return done.stdout


def matching(workspace: Path, patterns: str) -> Iterator[Path]:
    """Files of a workspace by Jenkins' patterns: Ant's, with commas between them."""
    for pattern in patterns.split(","):
        yield from (path for path in workspace.glob(_files(pattern.strip())) if path.is_file())


def _files(pattern: str) -> str:
    """Ant's `x/**` means all files below x; pathlib's all folders."""
    return f"{pattern}/*" if pattern.endswith("**") else pattern


def carry(workspace: Path, patterns: str, target: Path) -> int:
    """Copy matching files to a folder, with their paths; returns how many."""
    found = sorted(set(matching(workspace, patterns)))
    for path in found:
        place = target / path.relative_to(workspace)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)
    return len(found)
