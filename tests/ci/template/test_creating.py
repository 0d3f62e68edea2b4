"""`bin/ci new`: a clean repository with the shop's name and the template's history."""

import os
import re
import subprocess
import sys

import pytest

from ci.config import load_config
from ci.naming import NAME
from ci.template.creating import renamed
from tests.services import cut_off

PASSWORD = "hunter2again"  # pragma: allowlist secret


def test_a_shop_begins_where_the_template_stands(place):
    (place.template / "build/demo").mkdir(parents=True)
    (place.template / "var").mkdir()
    printed = place.ci(place.template, "new", "myshop")
    shop, head = place.folder / "myshop", place.git(place.template, "rev-parse", "HEAD")
    assert place.git(shop, "status", "--porcelain", "--ignored") == ""
    assert not {"build", "var", ".venv"} & {path.name for path in shop.iterdir()}
    place.git(shop, "merge-base", "--is-ancestor", head, "HEAD")
    assert place.git(shop, "branch", "--format=%(refname:short)") == "main"
    changed = place.git(shop, "diff", "--unified=0", head, "HEAD").splitlines()
    lines = [line for line in changed if re.match(r"[-+](?![-+])", line)]
    assert [line.partition("#")[0].strip() for line in lines] == [
        '-name = "demo"', '+name = "myshop"',
    ]  # fmt: skip
    assert load_config(shop / "pipeline.toml").shop.name == "myshop"
    for line in ("cd " + str(shop), "bin/ci run", "git push -u origin main", "bin/ci upgrade"):
        assert line in printed
    assert place.ci(shop, "--version").startswith("pushcart ")


def test_it_needs_neither_network_nor_packages(place):
    front = tuple(cut_off([]))
    place.ci(place.template, "new", "myshop", front=front)
    assert not (place.template / ".venv").exists()
    assert (place.folder / "myshop/pipeline.toml").exists()


def test_the_name_may_differ_from_the_folder(place):
    (place.folder / "My Shop").mkdir()
    place.ci(place.template, "new", "My Shop", "--name", "corner-2")
    assert load_config(place.folder / "My Shop/pipeline.toml").shop.name == "corner-2"


@pytest.mark.parametrize("words", [["My Shop"], ["shop", "--name", "2nd"], ["s" * 42]])
def test_what_cannot_be_a_name_is_told(place, words):
    printed = place.ci(place.template, "new", *words, expect=2)
    assert f"{words[-1]!r} cannot be a shop's name" in printed
    assert not (place.folder / words[0]).exists()
    assert not re.fullmatch(NAME, words[-1])


def test_a_folder_that_holds_something_is_left_alone(place):
    (place.folder / "shop").mkdir()
    (place.folder / "shop/mine").write_text("mine")
    printed = place.ci(place.template, "new", "shop", expect=2)
    assert "exists and is not an empty folder" in printed
    assert [path.name for path in (place.folder / "shop").iterdir()] == ["mine"]


def test_a_place_in_the_template_is_refused(place):
    printed = place.ci(place.template, "new", "pushcart/shop", expect=2)
    assert f"bin/ci new {place.folder / 'shop'}" in printed
    assert place.git(place.template, "status", "--porcelain") == ""


@pytest.mark.parametrize("file", ["README.md", "new_file.py"])
def test_a_template_with_changes_is_refused_and_they_are_named(place, file):
    (place.template / file).write_text("changed")
    printed = place.ci(place.template, "new", "shop", expect=2)
    assert f"  {file}\n" in printed
    assert "git stash --include-untracked" in printed
    assert not (place.folder / "shop").exists()


def test_a_template_without_history_is_refused(place):
    (place.template / ".git").rename(place.folder / "away")
    assert "has no git history" in place.ci(place.template, "new", "shop", expect=2)


def test_a_shallow_template_is_refused(place):
    place.commit(place.template, README_md="newer")
    url = f"file://{place.template}"
    place.git(place.folder, "clone", "--quiet", "--depth=1", url, "shallow")
    printed = place.ci(place.folder / "shallow", "new", "shop", expect=2)
    assert "git fetch --unshallow" in printed


def test_without_a_committer_nothing_is_made(place):
    (place.folder / "home/.gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    printed = place.ci(place.template, "new", "shop", expect=2)
    assert "git config --global user.email" in printed
    assert not (place.folder / "shop").exists()


def test_without_git_it_is_told(place):
    alone = place.folder / "bin"
    alone.mkdir()
    for program in ("sh", "dirname", "readlink"):
        (alone / program).symlink_to(f"/bin/{program}")
    (alone / "python3").symlink_to(sys.executable)
    printed = place.ci(place.template, "new", "shop", expect=2, PATH=str(alone))
    assert "apt-get install git" in printed


def test_a_commit_that_fails_leaves_nothing(place):
    hooks = place.folder / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    place.git(place.folder, "config", "--global", "core.hooksPath", str(hooks))
    printed = place.ci(place.template, "new", "shop", expect=1)
    assert "  no such luck" in printed
    assert sorted(path.name for path in place.folder.iterdir()) == ["home", "hooks", "pushcart"]


def test_inside_a_hook_it_is_the_new_repository_that_changes(place):
    other = place.monorepo()
    before = place.git(other, "rev-parse", "HEAD")
    place.ci(place.template, "new", "shop", GIT_DIR=str(other / ".git"), GIT_PREFIX="x")
    assert place.git(other, "rev-parse", "HEAD") == before
    assert place.git(place.folder / "shop", "log", "--format=%s", "-1").startswith("Begin shop")


@pytest.mark.parametrize(
    ("origin", "kept"),
    [
        (f"https://ada:{PASSWORD}@code.example/x.git", "https://code.example/x.git"),
        ("git@code.example:pushcart.git", "git@code.example:pushcart.git"),
        ("ssh://git@code.example/pushcart.git", "ssh://git@code.example/pushcart.git"),
        ("../elsewhere", "{folder}/elsewhere"),
        ("", "{folder}/pushcart"),
    ],
)  # fmt: skip
def test_the_template_is_remembered_without_a_password(place, origin, kept):
    if origin:
        place.git(place.template, "remote", "add", "origin", origin)
    shop = place.shop()
    expected = kept.format(folder=place.folder)
    assert place.git(shop, "remote", "get-url", "pushcart") == expected
    assert place.git(shop, "remote") == "pushcart"


def test_a_folder_of_a_larger_repository_is_asked_for_by_name(place):
    company = place.monorepo()
    printed = place.ci(place.template, "new", "company/shop", expect=2)
    assert "--subfolder" in printed
    assert not (company / "shop").exists()


def test_it_may_be_a_folder_of_a_larger_repository(place):
    company = place.monorepo()
    (company / "notes").write_text("not known to git")
    printed = place.ci(place.template, "new", "company/ml/shop", "--subfolder")
    head = place.git(place.template, "rev-parse", "HEAD")
    assert place.git(company, "status", "--porcelain") == "?? notes"
    place.git(company, "merge-base", "--is-ancestor", head, "HEAD")
    assert place.git(company, "ls-tree", "--name-only", "HEAD").split() == ["README.md", "ml"]
    assert place.git(company, "show", "HEAD:README.md") == "# Company"
    shop = company / "ml/shop"
    assert load_config(shop / "pipeline.toml").shop.name == "shop"
    assert f"a folder of {company}" in printed
    changed = place.git(company, "diff", "--name-only", f"{head}:", "HEAD:ml/shop")
    assert changed == "pipeline.toml"


@pytest.mark.parametrize("trouble", ["dirty", "empty", "none"])
def test_a_larger_repository_that_cannot_take_it_is_left_alone(place, trouble):
    company = place.folder / "company"
    if trouble == "dirty":
        place.monorepo()
        (company / "README.md").write_text("changed")
    else:
        company.mkdir()
        if trouble == "empty":
            place.git(company, "init", "--quiet")
    printed = place.ci(place.template, "new", "company/shop", "--subfolder", expect=2)
    says = {"dirty": "  README.md\n", "empty": "has no commit yet", "none": "in no repository"}
    assert says[trouble] in printed
    assert not (company / "shop").exists()


def test_a_folder_cannot_be_the_template_of_another_shop(place):
    company = place.monorepo()
    place.ci(place.template, "new", "company/shop", "--subfolder")
    printed = place.ci(company / "shop", "new", "second", expect=2)
    assert f"is a folder of the repository {company}" in printed


def test_its_lines_run_from_the_top_of_the_larger_repository(place):
    """What docs/template.md says of a Jenkins job: a link to bin/ci, build and var beside it."""
    company = place.monorepo()
    place.ci(place.template, "new", "company/shop", "--subfolder")
    (company / "bin").mkdir()
    (company / "bin/ci").symlink_to("../shop/bin/ci")
    settings = company / "shop/pipeline.toml"
    text = settings.read_text()
    for name in ("build", "var"):
        assert text.count(f'= "{name}" ') == 1
        text = text.replace(f'= "{name}" ', f'= "../{name}" ')
    settings.write_text(text)
    assert place.ci(company, "--version").startswith("pushcart ")
    done = subprocess.run(
        [sys.executable, "-m", "ci", "check", "--only", "yaml", "shell"],
        cwd=company,
        env={**os.environ, "PYTHONPATH": str(company / "shop"), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (company / "build/reports/yaml.xml").exists()
    assert not (company / "shop/build").exists()


def test_a_shops_own_settings_break_no_test_of_the_template(place):
    shop = place.shop()
    settings = shop / "pipeline.toml"
    text = settings.read_text().replace('source = "simulator"', 'source = "events.csv"')
    settings.write_text(text)
    pytest_command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    suites = ["tests/ci/test_settings.py", "tests/ci/test_config.py"]
    done = subprocess.run(
        [*pytest_command, *suites],
        cwd=shop,
        env={**os.environ, "PYTHONPATH": str(shop), "CI": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "pipeline.toml is a shop's own: 2 tests" in done.stdout


def test_only_the_name_of_the_shop_changes():
    text = '# x\n[shop]\n# who\nname = "demo"  # keep\n[model]\nname = "blend"\n'
    assert renamed(text, "corner") == text.replace("demo", "corner")
    with pytest.raises(Exception, match="shows no"):
        renamed('[shop]\n[model]\nname = "blend"\n', "corner")
