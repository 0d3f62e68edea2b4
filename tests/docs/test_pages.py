"""Pages are read as GitHub shows them."""

import pytest

from tests.docs.pages import read_page, slug


@pytest.mark.parametrize(
    ("title", "anchor"),
    [
        ("What a machine needs: bin/ci doctor", "what-a-machine-needs-binci-doctor"),
        ("snake_case – and more", "snake_case--and-more"),
        ("试一试：几分钟，不需要 GPU、Docker", "试一试几分钟不需要-gpudocker"),
        ("INCONCLUSIVE 是什么意思？", "inconclusive-是什么意思"),
    ],
)
def test_an_anchor_is_githubs(title, anchor):
    assert slug(title) == anchor


def test_headings_of_one_name_are_numbered_and_those_in_code_are_none(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Once\n\n## Once\n\n```console\n# Once\n```\n\n## `Once`\n", encoding="utf-8")
    headings = read_page(page)[1:]
    assert [(part.level, part.anchor) for part in headings] == [
        (1, "once"),
        (2, "once-1"),
        (2, "once-2"),
    ]
    assert [part.code for part in headings] == [[], [("console", "# Once\n")], []]


def test_a_list_within_a_list_and_code_within_an_item_are_counted_apart(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Steps\n\n1. one\n\n   ```console\n   $ ls\n   ```\n\n2. two\n   - a\n   - b\n   - c\n",
        encoding="utf-8",
    )
    (_, steps) = read_page(page)
    assert steps.lists == [["ordered", 2], ["bullet", 3]]
    assert steps.code == [("console", "$ ls\n")]
