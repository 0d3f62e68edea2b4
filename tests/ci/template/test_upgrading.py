"""`bin/ci upgrade` is a merge, done by real git between real repositories."""

import shutil

import pytest

CHANGELOG = "# Changelog\n\n- Search.\n"


@pytest.fixture
def shop(place):
    return place.shop()


def test_what_the_template_learnt_arrives_beside_what_the_shop_changed(place, shop):
    before = place.commit(shop, docs__shop_md="ours", pipeline_toml='[shop]\nname = "shop"\n')
    newer = place.commit(place.template, CHANGELOG_md=CHANGELOG, docs__search_md="theirs")
    printed = place.ci(shop, "upgrade")
    assert place.git(shop, "rev-parse", "HEAD^1", "HEAD^2").split() == [before, newer]
    assert (shop / "docs/shop.md").read_text() == "ours"
    assert (shop / "docs/search.md").read_text() == "theirs"
    assert (shop / "pipeline.toml").read_text() == '[shop]\nname = "shop"\n'
    assert place.git(shop, "status", "--porcelain") == ""
    assert "1 commits, 2 files" in printed
    assert "  - Search.\n" in printed
    after = place.git(shop, "rev-parse", "HEAD")
    assert "nothing to do" in place.ci(shop, "upgrade")
    assert place.git(shop, "rev-parse", "HEAD") == after


def test_a_conflict_names_its_files_and_both_ways_on(place, shop):
    place.commit(shop, README_md="# Shop\n")
    before = place.git(shop, "rev-parse", "HEAD")
    place.commit(place.template, README_md="# Newer\n", CHANGELOG_md=CHANGELOG)
    printed = place.ci(shop, "upgrade", expect=1)
    assert "but for 1 file(s) that both changed:\n  README.md\n" in printed
    assert "`git add` each and `git commit`" in printed
    assert "A merge is under way" in place.ci(shop, "upgrade", expect=2)
    place.git(shop, "merge", "--abort")
    assert place.git(shop, "rev-parse", "HEAD") == before
    assert place.git(shop, "status", "--porcelain") == ""
    place.ci(shop, "upgrade", expect=1)
    (shop / "README.md").write_text("# Shop, newer\n")
    place.git(shop, "add", "README.md")
    place.git(shop, "commit", "--quiet", "--no-edit")
    assert (shop / "CHANGELOG.md").read_text() == CHANGELOG
    assert "nothing to do" in place.ci(shop, "upgrade")


def test_changes_that_are_not_committed_are_refused(place, shop):
    place.commit(place.template, CHANGELOG_md=CHANGELOG)
    (shop / "README.md").write_text("mine")
    printed = place.ci(shop, "upgrade", expect=2)
    assert "  README.md\n" in printed
    assert "git stash" in printed
    assert (shop / "README.md").read_text() == "mine"
    place.git(shop, "checkout", "README.md")
    (shop / "notes").write_text("not known to git")
    place.ci(shop, "upgrade")


def test_a_file_that_git_does_not_know_is_not_written_over(place, shop):
    place.commit(place.template, docs__new_md="theirs")
    (shop / "docs/new.md").write_text("mine")
    printed = place.ci(shop, "upgrade", expect=1)
    assert "docs/new.md" in printed
    assert (shop / "docs/new.md").read_text() == "mine"


def test_a_clone_without_the_remote_is_told_how_to_name_it(place, shop):
    place.commit(place.template, CHANGELOG_md=CHANGELOG)
    place.git(place.folder, "clone", "--quiet", str(shop), "colleague")
    colleague = place.folder / "colleague"
    printed = place.ci(colleague, "upgrade", expect=2)
    assert "git remote add pushcart URL" in printed
    place.ci(colleague, "upgrade", "--from", "pushcart")
    assert (colleague / "CHANGELOG.md").read_text() == CHANGELOG


def test_one_may_stop_at_a_tag(place, shop):
    place.commit(place.template, CHANGELOG_md="# One\n")
    place.git(place.template, "tag", "v1")
    place.commit(place.template, CHANGELOG_md="# Two\n")
    place.ci(shop, "upgrade", "--to", "v1")
    assert (shop / "CHANGELOG.md").read_text() == "# One\n"
    place.ci(shop, "upgrade")
    assert (shop / "CHANGELOG.md").read_text() == "# Two\n"
    assert place.git(shop, "tag") == ""


@pytest.mark.parametrize("words", [["--from", "/nowhere/pushcart"], ["--to", "v99"]])
def test_what_cannot_be_fetched_is_unavailable(place, shop, words):
    printed = place.ci(shop, "upgrade", *words, expect=4)
    assert "cannot be fetched" in printed
    assert words[1] in printed


def test_an_option_is_no_source(place, shop):
    printed = place.ci(shop, "upgrade", "--from=--upload-pack=touch pwned", expect=4)
    assert "cannot be fetched" in printed
    assert not (shop / "pwned").exists()


def test_a_repository_without_the_templates_history_is_refused(place):
    company = place.monorepo()
    place.git(place.template, "archive", "--output=../all.tar", "HEAD")
    stranger = place.folder / "stranger"
    stranger.mkdir()
    place.git(stranger, "init", "--quiet")
    shutil.unpack_archive(place.folder / "all.tar", stranger, filter="data")
    place.commit(stranger)
    printed = place.ci(stranger, "upgrade", "--from", "pushcart", expect=2)
    assert "shares no history" in printed
    assert place.git(company, "status", "--porcelain") == ""


def test_without_git_or_on_no_branch_there_is_no_merge(place, shop):
    place.git(shop, "checkout", "--quiet", "--detach")
    assert "git switch" in place.ci(shop, "upgrade", expect=2)
    (shop / ".git").rename(place.folder / "away")
    assert "is no git repository" in place.ci(shop, "upgrade", expect=2)


def test_a_folder_of_a_larger_repository_is_upgraded_in_place(place):
    company = place.monorepo()
    place.ci(place.template, "new", "company/ml/shop", "--subfolder")
    shop = company / "ml/shop"
    place.commit(company, README_md="# Company, newer\n")
    place.commit(place.template, README_md="# Newer\n", docs__new_md="theirs")
    place.ci(shop, "upgrade")
    assert (shop / "README.md").read_text() == "# Newer\n"
    assert (shop / "docs/new.md").read_text() == "theirs"
    assert (company / "README.md").read_text() == "# Company, newer\n"
    assert sorted(path.name for path in company.iterdir()) == [".git", "README.md", "ml"]
    place.commit(shop, README_md="# Ours\n")
    place.commit(place.template, README_md="# Newest\n")
    assert "  ml/shop/README.md\n" in place.ci(shop, "upgrade", expect=1)
