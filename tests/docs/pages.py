"""A Markdown page by its sections, as GitHub shows them: anchors, code, links, tables, lists."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass
class Section:
    """What stands under one heading, down to the next.

    Attributes:
        level: 1 for `#`; 0 is what stands before the first heading.
        title: The heading's text.
        anchor: What a link writes behind `#`.
        code: Language and content of each code block.
        spans: Inline code.
        links: Targets as written.
        images: Targets as written.
        tables: Rows (with the head) and columns of each table.
        lists: Kind and number of items of each list.
        prose: The text outside code, headings included.
    """

    level: int = 0
    title: str = ""
    anchor: str = ""
    code: list[tuple[str, str]] = field(default_factory=list)
    spans: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    tables: list[list[int]] = field(default_factory=list)
    lists: list[list[Any]] = field(default_factory=list)
    prose: str = ""


def slug(title: str) -> str:
    """GitHub's anchor of a heading: letters, digits, `_` and `-` stay, a space becomes `-`."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def read_page(path: Path) -> list[Section]:
    """The page's sections, in order; the first is what stands before any heading."""
    sections = [Section()]
    anchors: Counter[str] = Counter()
    open_lists: list[list[Any]] = []
    tokens = iter(MARKDOWN.parse(path.read_text(encoding="utf-8")))
    for token in tokens:
        if token.type == "heading_open":
            sections.append(_begun(int(token.tag[1]), next(tokens).children, anchors))
        elif token.type == "inline":
            _add_inline(sections[-1], token.children)
        elif "list" in token.type:
            _add_list(sections[-1], token.type, open_lists)
        else:
            _add_block(sections[-1], token)
    return sections


def read_tables(text: str) -> list[list[list[str]]]:
    """Each table of a page: its rows without the head, their cells as written."""
    tables: list[list[list[str]]] = []
    tokens = iter(MARKDOWN.parse(text))
    for token in tokens:
        match token.type:
            case "tbody_open":
                tables.append([])
            case "tr_open":
                row: list[str] = []
            case "td_open":
                row.append(next(tokens).content)
            case "tr_close" if row:  # the head has `th`
                tables[-1].append(row)
    return tables


def _begun(level: int, heading: list[Any], anchors: Counter[str]) -> Section:
    """A new section; the second heading of a name gets `-1` behind its anchor, as on GitHub."""
    title = "".join(part.content for part in heading)
    anchor = slug(title)
    count = anchors[anchor]
    anchors[anchor] += 1
    section = Section(level, title, f"{anchor}-{count}" if count else anchor)
    _add_inline(section, heading)
    return section


def _add_block(section: Section, token: Any) -> None:
    match token.type:
        case "fence" | "code_block":
            section.code.append((token.info, token.content))
        case "table_open":
            section.tables.append([0, 0])
        case "tr_open":
            section.tables[-1][0] += 1
        case "th_open":
            section.tables[-1][1] += 1


def _add_list(section: Section, kind: str, open_lists: list[list[Any]]) -> None:
    match kind:
        case "bullet_list_open" | "ordered_list_open":
            open_lists.append([kind.partition("_")[0], 0])
            section.lists.append(open_lists[-1])
        case "list_item_open":
            open_lists[-1][1] += 1
        case "bullet_list_close" | "ordered_list_close":
            open_lists.pop()


def _add_inline(section: Section, tokens: Iterable[Any]) -> None:
    for token in tokens:
        match token.type:
            case "code_inline":
                section.spans.append(token.content)
            case "link_open":
                section.links.append(token.attrs["href"])
            case "image":
                section.images.append(token.attrs["src"])
            case "text":
                section.prose += token.content
    section.prose += "\n"
