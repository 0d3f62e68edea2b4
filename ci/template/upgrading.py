"""Command `upgrade`: merge a newer template into a shop's repository; standard library only."""

from pathlib import Path

from ci.console import say
from ci.environment import ROOT
from ci.errors import PushcartError, UnavailableError, UsageError
from ci.template.creating import REMOTE
from ci.template.repository import Repository, named, said

NEWS = 20  # lines of the changelog that are shown


def run(source: str, to: str, root: Path = ROOT) -> None:
    """Merge the template's newest commit, or another, into the current branch.

    Args:
        source: URL or path of the template; "": the remote `pushcart`.
        to: A branch, tag or commit of it; "": its default branch.
        root: The shop's folder.

    Raises:
        UsageError: The repository is not fit for a merge, or shares no history with the template.
        UnavailableError: The template cannot be fetched.
        PushcartError: The merge has conflicts; they are named, with the way on.
    """
    top = _fit(root)
    shop = Repository(top)
    wanted = _fetch(shop, _source(shop, source), to or "HEAD")
    known = _common(shop, wanted)
    if known == wanted:
        say(f"upgrade   nothing to do: this repository holds Pushcart's {wanted[:12]} already")
        return
    _merge(shop, wanted, Path(root.resolve()).relative_to(top.resolve()).as_posix())
    say("\n".join(_told(shop, known, wanted)))


def _fit(root: Path) -> Path:
    """The top of a repository that can take a merge."""
    here = Repository(root)
    top = here.top
    if top is None or not here.commit:
        raise UsageError(
            f"{root} is no git repository, so nothing can be merged into it. Make one of the "
            "template with `bin/ci new`."
        )
    if here.try_git("rev-parse", "--verify", "--quiet", "MERGE_HEAD").returncode == 0:
        raise UsageError(
            f"A merge is under way in {top}. Finish it with `git commit`, or give it up with "
            "`git merge --abort`, then run `bin/ci upgrade` again."
        )
    if here.try_git("symbolic-ref", "--quiet", "HEAD").returncode != 0:
        raise UsageError(
            f"{top} is on no branch, where the merge would be lost. `git switch` to one first."
        )
    if changes := Repository(top).changes(untracked=False):
        raise UsageError(
            f"{top} has changes that are not committed:\n{named(changes)}\n"
            "Commit them, or put them away with `git stash`, then run `bin/ci upgrade` again."
        )
    here.require_identity()
    return top


def _source(shop: Repository, source: str) -> str:
    if source:
        path = Path(source)
        return str(path.resolve()) if path.is_dir() else source
    done = shop.try_git("remote", "get-url", REMOTE)
    if done.returncode != 0:
        raise UsageError(
            f"This clone has no remote `{REMOTE}`. Name the template once, and it is known from "
            f"then on:\n  git remote add {REMOTE} URL\nor for this time: bin/ci upgrade --from URL"
        )
    return REMOTE


def _fetch(shop: Repository, source: str, to: str) -> str:
    done = shop.try_git("fetch", "--quiet", "--no-tags", "--", source, to)
    if done.returncode != 0:
        raise UnavailableError(
            f"{to} cannot be fetched from {source}:\n{said(done)}\n"
            "Look at the address with `git remote -v`, or name another with --from."
        )
    return shop.git("rev-parse", "FETCH_HEAD^{commit}")


def _common(shop: Repository, wanted: str) -> str:
    """The newest template's commit that this repository holds."""
    done = shop.try_git("merge-base", "HEAD", wanted)
    if done.returncode != 0:
        raise UsageError(
            f"This repository shares no history with {wanted[:12]}, so there is nothing to merge "
            "by. Was it made by `bin/ci new`? A shallow clone needs `git fetch --unshallow`; a "
            "squashed history cannot be upgraded."
        )
    return done.stdout.strip()


def _merge(shop: Repository, wanted: str, prefix: str) -> None:
    subtree = [] if prefix == "." else [f"--strategy-option=subtree={prefix}"]
    message = f"--message=Upgrade Pushcart to {wanted[:12]}"
    done = shop.try_git("merge", "--no-ff", *subtree, message, wanted)
    if done.returncode == 0:
        return
    conflicts = shop.git("diff", "--name-only", "--diff-filter=U").splitlines()
    if not conflicts:
        raise PushcartError(f"git did not merge {wanted[:12]}:\n{said(done)}")
    raise PushcartError(
        f"Pushcart {wanted[:12]} is merged but for {len(conflicts)} file(s) that both changed:\n"
        f"{named(conflicts)}\n"
        "Edit them (yours stands above =======), then `git add` each and `git commit`.\n"
        "To be where you were before: git merge --abort"
    )


def _told(shop: Repository, known: str, wanted: str) -> list[str]:
    commits = shop.git("rev-list", "--count", f"{known}..{wanted}")
    files = len(shop.git("diff", "--name-only", known, wanted).splitlines())
    return [
        f"upgrade   Pushcart {known[:12]} → {wanted[:12]}: {commits} commits, {files} files",
        *_news(shop, known, wanted),
        "next      `bin/ci test`, then push. Where it goes through a pull request, merge that with",
        "          a merge commit: squashed, the next upgrade would not know of this one.",
    ]


def _news(shop: Repository, known: str, wanted: str) -> list[str]:
    """What the template's changelog says that it did not say before."""
    told = shop.git("diff", "--unified=0", known, wanted, "--", "CHANGELOG.md").splitlines()
    added = [line[1:] for line in told if line.startswith("+") and not line.startswith("+++")]
    lines = [f"  {line}" for line in added if line.strip()]
    more = [f"  … and {len(lines) - NEWS} lines more in CHANGELOG.md"] if len(lines) > NEWS else []
    return [*lines[:NEWS], *more]
