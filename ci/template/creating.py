"""Command `new`: a shop's own repository, with the template's history as its beginning.

Standard library only: it runs before any environment exists, and asks for no network.
"""

import re
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ci.console import say
from ci.environment import ROOT
from ci.errors import PushcartError, UsageError
from ci.naming import NAME
from ci.template.repository import Repository, named

REMOTE = "pushcart"  # what `upgrade` fetches from
SHOP_NAME = re.compile(r'^(\[shop\]\n(?:(?!\[).*\n)*?name *= *)"[^"\n]*"', re.MULTILINE)


@dataclass(frozen=True)
class Wish:
    """What is to be made.

    Attributes:
        target: Where; absolute, without anything in it yet.
        name: The shop's.
        around: The larger repository of which it becomes a folder; None: one of its own.
    """

    target: Path
    name: str
    around: Path | None = None


def run(target: Path, name: str, subfolder: bool, root: Path = ROOT) -> None:
    """Make a shop's repository and say what to do with it.

    Raises:
        UsageError: The template or the target is not fit for it, or the name is none.
    """
    template = Repository(root)
    _require_template(template)
    wish = _wish(target, name, subfolder, root)
    if wish.around:
        _make_subfolder(template, wish, wish.around)
    else:
        _make_repository(template, wish)
    say("\n".join(_told(template, wish)))


def _require_template(template: Repository) -> None:
    """Whether a repository can begin here: a whole clone without changes."""
    top, root = template.top, template.folder
    if top is None or not template.commit:
        raise UsageError(
            f"{root} has no git history, so a shop made of it could never be upgraded. Get the "
            "template by `git clone` and run `bin/ci new` there."
        )
    if not top.samefile(root):
        raise UsageError(
            f"{root} is a folder of the repository {top}, whose history is not the template's. "
            "Run `bin/ci new` in a clone of the template."
        )
    if template.git("rev-parse", "--is-shallow-repository") == "true":
        raise UsageError(
            f"{root} is a shallow clone, and a shop needs the whole history to be upgraded. "
            "Run `git fetch --unshallow` first."
        )
    if changes := template.changes(untracked=True):
        raise UsageError(
            f"{root} has changes that are not committed; the shop would lack them:\n"
            f"{named(changes)}\nCommit them, or put them away with `git stash --include-untracked`."
        )


def _wish(target: Path, name: str, subfolder: bool, root: Path) -> Wish:
    target = target.absolute().resolve()
    _require_name(target, name)
    if target.is_relative_to(root.resolve()):
        raise UsageError(
            f"{target} lies in the template itself. Name a folder beside it, e.g. `bin/ci new "
            f"{root.resolve().parent / target.name}`."
        )
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} exists and is not an empty folder. Name one that does not.")
    nearest = next(folder for folder in target.parents if folder.is_dir())
    around = Repository(nearest)
    around.require_identity()
    if around.top and not subfolder:
        raise UsageError(
            f"{target} would lie in the repository {around.top}. To make it a folder of that "
            "repository add --subfolder; else name a place outside."
        )
    if subfolder:
        _require_room(around, target)
    return Wish(target, name or target.name, around.top)


def _require_name(target: Path, name: str) -> None:
    if not re.fullmatch(NAME, name or target.name):
        raise UsageError(
            f"{name or target.name!r} cannot be a shop's name: it begins with a small letter and "
            "has small letters, digits, - and _ only, 41 at most. "
            + ("" if name else "Keep the folder and add --name NAME.")
        )


def _require_room(around: Repository, target: Path) -> None:
    """Whether a larger repository can take a folder in one commit."""
    if around.top is None:
        raise UsageError(
            f"{target} lies in no repository, and --subfolder means a folder of one. Leave "
            "--subfolder out, or run `git init` around it and commit something first."
        )
    if not around.commit:
        raise UsageError(f"{around.top} has no commit yet. Commit something there first.")
    if changes := Repository(around.top).changes(untracked=False):
        raise UsageError(
            f"{around.top} has changes that are not committed:\n{named(changes)}\n"
            "Commit them first: the new folder becomes a commit of its own."
        )


def _make_repository(template: Repository, wish: Wish) -> None:
    wish.target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{wish.name}-", dir=wish.target.parent, ignore_cleanup_errors=True
    ) as scratch:
        shop = Repository(Path(scratch) / wish.name)
        shop.folder.mkdir()
        shop.git("init", "--quiet", "--initial-branch=main")
        shop.git("fetch", "--quiet", "--no-tags", str(template.folder), "HEAD")
        shop.git("reset", "--quiet", "--hard", "FETCH_HEAD")
        shop.git("remote", "add", REMOTE, source_of(template))
        _commit(shop, shop.folder, template, wish)
        shop.folder.rename(wish.target)  # also over an empty folder


def _make_subfolder(template: Repository, wish: Wish, top: Path) -> None:
    """As `git subtree add` does: the template's commit becomes a parent, its tree the folder."""
    around, before = Repository(top), Repository(top).commit
    prefix = wish.target.relative_to(top.resolve()).as_posix()
    try:
        around.git("fetch", "--quiet", "--no-tags", str(template.folder), "HEAD")
        ours = ("--strategy=ours", "--no-commit", "--allow-unrelated-histories")
        around.git("merge", "--quiet", *ours, "FETCH_HEAD")
        around.git("read-tree", f"--prefix={prefix}/", "-u", "FETCH_HEAD")
        _commit(around, wish.target, template, wish)
    except BaseException:
        around.try_git("reset", "--quiet", "--hard", before)  # nothing was uncommitted
        raise
    if around.try_git("remote", "get-url", REMOTE).returncode != 0:
        around.git("remote", "add", REMOTE, source_of(template))


def _commit(shop: Repository, folder: Path, template: Repository, wish: Wish) -> None:
    settings = folder / "pipeline.toml"
    settings.write_text(renamed(settings.read_text("utf-8"), wish.name), encoding="utf-8")
    shop.git("add", "--", str(settings))
    shop.git(
        "commit",
        "--quiet",
        "--allow-empty",  # a shop may keep the template's name
        f"--message=Begin {wish.name} with Pushcart at {template.commit[:12]}",
        "--message=Pushcart's commit is a parent, so that `bin/ci upgrade` is a merge.",
    )


def renamed(settings: str, name: str) -> str:
    """`pipeline.toml` with another `[shop] name`, and nothing else changed.

    Raises:
        PushcartError: The file does not show the name where the template shows it.
    """
    text, count = SHOP_NAME.subn(rf'\g<1>"{name}"', settings, count=1)
    if count != 1 or tomllib.loads(text)["shop"]["name"] != name:
        raise PushcartError('pipeline.toml of the template shows no `name = "…"` under [shop].')
    return text


def source_of(template: Repository) -> str:
    """Where the template itself comes from, without a login; its folder where from nowhere."""
    done = template.try_git("remote", "get-url", "origin")
    url = done.stdout.strip()
    if done.returncode != 0 or not url:
        return str(template.folder)
    parts = urlsplit(url)
    if parts.scheme and parts.password is not None:
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if parts.scheme or re.match(r"[^/]+:", url):  # a URL, or host:path
        return url
    return str((template.folder / url).resolve())


def _told(template: Repository, wish: Wish) -> list[str]:
    head = template.commit[:12]
    what = f"a folder of {wish.around}" if wish.around else "a repository of its own"
    push = "git push" if wish.around else "git remote add origin URL && git push -u origin main"
    links = ["  docs/template.md                  what a job of the larger repository needs"]
    return [
        f"new       {wish.name}: {wish.target}, {what}; its history holds Pushcart's {head}",
        "next",
        f"  cd {wish.target}",
        "  bin/ci doctor                     what this machine still needs",
        "  bin/ci run                        the whole loop, with a simulated shop",
        "  edit [data] of pipeline.toml      point it at your events (docs/data.md)",
        f"  {push}",
        *(links if wish.around else []),
        "later",
        "  bin/ci upgrade                    merge what Pushcart has learnt since",
    ]
