"""What is told in two languages is told alike in both: parts, code, figures, tables and links."""

import pytest

from ci.config import PROJECT
from tests.docs.translations import Translations

PAIRS = [
    ("README.md", "README.zh.md"),
    ("docs/start.md", "docs/zh/start.md"),
    ("docs/hosts.md", "docs/zh/hosts.md"),
    ("docs/jenkins.md", "docs/zh/jenkins.md"),
    ("docs/choosing.md", "docs/zh/choosing.md"),
    ("docs/questions.md", "docs/zh/questions.md"),
]


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=[english for english, _ in PAIRS])
def test_a_page_and_its_translation_say_the_same(english, chinese):
    found = Translations(PROJECT, PAIRS).differences(english, chinese)
    assert found == [], "\n" + "\n".join(found)


def test_every_translated_page_is_held_to_its_english_one():
    pages = {f"docs/zh/{page.name}" for page in (PROJECT / "docs" / "zh").iterdir()}
    pages |= {page.name for page in PROJECT.glob("*.zh.md")}
    assert pages - {chinese for _, chinese in PAIRS} == set(), "add them to PAIRS"


ENGLISH, CHINESE = "guide.md", "zh/guide.md"

GUIDE = """# Guide

English · [中文](zh/guide.md)

Look at [the end](#the-end), [data](data.md#where-it-lies) and [a paper](https://example.com/a#b).

![How it goes](flow.svg)

## Begin

`bin/ci run` takes 3 minutes on 2 cores, and says what it does.

```console
$ bin/ci run
verdict   PROMOTE
```

| exit | means |
|---|---|
| 10 | HOLD |

## The end

- one
- two
"""

TRANSLATION = """# 指南

[English](../guide.md) · 中文

参见[论文](https://example.com/a#b)、[数据](../data.md#where-it-lies)和[结尾](#结尾)。

![流程](../flow.svg)

## 开始

在 2 个核心上，`bin/ci run` 需要 3 分钟，并说明自己在做什么。

```console
$ bin/ci run
verdict   PROMOTE
```

| 退出码 | 含义 |
|---|---|
| 10 | HOLD |

## 结尾

- 一
- 二
"""

DATA = "# Data\n\n## Where it lies\n"

PLANTED = {
    "heading missing": (CHINESE, "## 结尾\n", "", "guide.md, “The end”: zh/guide.md has no such"),
    "heading too deep": (
        CHINESE,
        "## 开始",
        "### 开始",
        "“开始”: level 3, but guide.md has “Begin”",
    ),
    "heading added": (
        CHINESE,
        "- 二\n",
        "- 二\n\n## 附录\n",
        "“附录”: guide.md has no such heading",
    ),
    "code translated": (CHINESE, "verdict ", "结论 ", "code block 1 differs in line 2, '结论"),
    "code shortened": (CHINESE, "verdict   PROMOTE\n", "", "differs in line 2, '', not 'verdict"),
    "code's language": (CHINESE, "```console", "```bash", "in its language, 'bash', not 'console'"),
    "code left out": (CHINESE, "```console\n$ bin/ci run\nverdict   PROMOTE\n```\n", "", "0 code"),
    "row missing": (CHINESE, "| 10 | HOLD |\n", "", "[rows, columns] [[1, 2]], not [[2, 2]]"),
    "column added": (
        CHINESE,
        "| 退出码 | 含义 |\n|---|---|",
        "| 退出码 | 含义 | 办法 |\n|---|---|---|",
        "[[2, 3]], not [[2, 2]]",
    ),
    "item missing": (CHINESE, "- 二\n", "", "[kind, items] [['bullet', 1]], not [['bullet', 2]]"),
    "list numbered": (CHINESE, "- 一\n- 二", "1. 一\n2. 二", "[['ordered', 2]], not [['bullet'"),
    "link left out": (CHINESE, "[论文](https://example.com/a#b)", "论文", "a#b is missing"),
    "link added": (CHINESE, "- 一", "- [一](../data.md)", "../data.md has no counterpart"),
    "path not adjusted": (CHINESE, "../data.md", "data.md", "data.md#where-it-lies leads nowhere"),
    "fragment not translated": (CHINESE, "#结尾", "#the-end", "#the-end leads nowhere"),
    "fragment of another heading": (CHINESE, "#结尾", "#开始", "guide.md#结尾 is missing"),
    "heading renamed": (ENGLISH, "## The end", "## Finally", "“Guide”: #the-end leads nowhere"),
    "untranslated page": (CHINESE, "(#结尾)", "(../guide.md#the-end)", "guide.md#结尾 is missing"),
    "image left out": (CHINESE, "![流程](../flow.svg)", "", "the image ../flow.svg is missing"),
    "image gone": (CHINESE, "../flow.svg", "flow.svg", "“指南”: flow.svg leads nowhere"),
    "option translated": (
        CHINESE,
        "`bin/ci run` 需",
        "`bin/ci 运行` 需",
        "inline code 'bin/ci run'",
    ),
    "name made up": (CHINESE, "自己在", "`train` 在", "inline code 'train' has no counterpart"),
    "figure out of date": (ENGLISH, "3 minutes", "4 minutes", "the figure 4 is missing"),
    "not translated": (
        CHINESE,
        "在 2 个核心上，`bin/ci run` 需要 3 分钟，并说明自己在做什么。",
        "`bin/ci run` takes 3 minutes on 2 cores, and says what it does.",
        "“开始” (guide.md, “Begin”): ' takes 3 minutes on 2 cores, and says what it does.' has no",
    ),
    "no switch in English": (ENGLISH, "English · [中文](zh/guide.md)", "", "guide.md, at its top"),
    "no switch in Chinese": (
        CHINESE,
        "[English](../guide.md) · 中文",
        "",
        "zh/guide.md, at its top",
    ),
}


@pytest.fixture
def book(tmp_path):
    (tmp_path / "zh").mkdir()
    pages = {ENGLISH: GUIDE, CHINESE: TRANSLATION, "data.md": DATA, "flow.svg": "<svg/>"}
    for name, text in pages.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return Translations(tmp_path, [(ENGLISH, CHINESE)])


def test_equal_pages_pass_whatever_the_order_of_words(book):
    assert book.differences(ENGLISH, CHINESE) == []


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_difference_is_found(kind, book):
    page, old, new, told = PLANTED[kind]
    text = (book.root / page).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (book.root / page).write_text(text.replace(old, new), encoding="utf-8")
    assert told in "\n".join(book.differences(ENGLISH, CHINESE))


@pytest.mark.parametrize("page", [ENGLISH, CHINESE])
def test_a_missing_page_is_a_difference(page, book):
    (book.root / page).unlink()
    (told,) = book.differences(ENGLISH, CHINESE)
    assert told.startswith(f"{page} is not there: write it")
