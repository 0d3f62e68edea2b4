"""Holds a page and its translation together: the same headings, code, figures, tables and links."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.docs.pages import Section, read_page

SWITCH_LINES = 5  # the language switch stands right below the title
FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")  # letters and punctuation
WORD = re.compile(r"(?<!\S)[A-Za-z]+[,;:.]?(?!\S)")  # neither a file nor a version
A_SENTENCE = 4  # words; fewer may be a name that both languages share


@dataclass(frozen=True)
class Translations:
    """The pages that exist in two languages.

    Attributes:
        root: The folder that the pages' names start from.
        pairs: The English page and the Chinese one.
    """

    root: Path
    pairs: list[tuple[str, str]]

    def differences(self, english: str, chinese: str) -> list[str]:
        """What differs between the two, each with its page, its heading and what to do."""
        gone = [page for page in (english, chinese) if not (self.root / page).is_file()]
        if gone:
            other = {english: chinese, chinese: english}
            return [
                f"{page} is not there: write it, part by part as {other[page]}." for page in gone
            ]
        here, there = read_page(self.root / english), read_page(self.root / chinese)
        found = self._switch(english, f"English · [中文]({_relative(english, chinese)})")
        found += self._switch(chinese, f"[English]({_relative(chinese, english)}) · 中文")
        found += self._dangling(english, here) + self._dangling(chinese, there)
        if found_headings := _headings(english, here, chinese, there):
            return found + found_headings
        for ours, theirs in zip(here, there, strict=True):
            place = f"{chinese}, {_named(theirs)} ({english}, {_named(ours)})"
            found += [f"{place}: {what}" for what in _contents(ours, theirs)]
            found += [f"{place}: {what}" for what in self._links(english, ours, chinese, theirs)]
        return found

    def _switch(self, page: str, line: str) -> list[str]:
        top = (self.root / page).read_text("utf-8").splitlines()[:SWITCH_LINES]
        return [] if line in top else [f"{page}, at its top: write the line {line!r}."]

    def _dangling(self, page: str, sections: list[Section]) -> list[str]:
        """Links to files and headings that are not there; a missing page of a pair is told once."""
        return [
            f"{page}, {_named(section)}: {unquote(link)} leads nowhere; mend path or fragment."
            for section in sections
            for link in section.links + section.images
            if not self._leads_somewhere(*_target(page, link))
        ]

    def _leads_somewhere(self, path: str, fragment: str) -> bool:
        place = self.root / path
        if "://" in path or (path in self._twins() and not place.exists()):
            return True
        if not fragment:
            return place.exists()
        return place.is_file() and fragment in [section.anchor for section in read_page(place)]

    def _links(self, english: str, ours: Section, chinese: str, theirs: Section) -> list[str]:
        """Links and images that only one of the two has."""
        links = _unpaired(
            (self._translated(*_target(english, link)) for link in ours.links),
            (_target(chinese, link) for link in theirs.links),
        )
        images = _unpaired(
            (_target(english, image) for image in ours.images),
            (_target(chinese, image) for image in theirs.images),
        )
        return [
            f"the {kind} {_written(chinese, *target)} {what}"
            for kind, targets in (("link", links), ("image", images))
            for target, what in targets
        ]

    def _translated(self, path: str, fragment: str) -> tuple[str, str]:
        """Where the same link goes in the other language: the twin's heading of the same place."""
        twin = self._twins().get(path)
        if twin is None:
            return path, fragment
        if not fragment or not (self.root / twin).is_file():
            return twin, fragment
        headings = zip(read_page(self.root / path), read_page(self.root / twin), strict=False)
        anchors = {ours.anchor: theirs.anchor for ours, theirs in headings}
        return twin, anchors.get(fragment, fragment)

    def _twins(self) -> dict[str, str]:
        return dict(self.pairs) | {chinese: english for english, chinese in self.pairs}


def _headings(english: str, here: list[Section], chinese: str, there: list[Section]) -> list[str]:
    """The first heading that is not at the same level in both; what follows cannot be compared."""
    for ours, theirs in zip(here, there, strict=False):
        if ours.level != theirs.level:
            return [
                f"{chinese}, {_named(theirs)}: level {theirs.level}, but {english} has "
                f"{_named(ours)} of level {ours.level} there; give both the same headings."
            ]
    if len(here) == len(there):
        return []
    longer, sections, other = (
        (english, here, chinese) if len(here) > len(there) else (chinese, there, english)
    )
    surplus = sections[min(len(here), len(there))]
    return [f"{longer}, {_named(surplus)}: {other} has no such heading; add or remove it."]


def _contents(ours: Section, theirs: Section) -> list[str]:
    found = []
    if len(ours.code) != len(theirs.code):
        found.append(f"{len(theirs.code)} code blocks, not {len(ours.code)}; keep all of them.")
    for number, (code, other) in enumerate(zip(ours.code, theirs.code, strict=False), 1):
        if code != other:
            found.append(f"code block {number} differs {_first_difference(code, other)}")
    if ours.tables != theirs.tables:
        found.append(
            f"tables of [rows, columns] {theirs.tables}, not {ours.tables}; translate every cell."
        )
    if ours.lists != theirs.lists:
        found.append(
            f"lists of [kind, items] {theirs.lists}, not {ours.lists}; translate every item."
        )
    spans = _unpaired(ours.spans, theirs.spans)
    found += [f"the inline code {span!r} {what}" for span, what in spans]
    # No more than that: a month is a word in English and a figure in Chinese.
    figures = Counter(FIGURE.findall(ours.prose)) - Counter(FIGURE.findall(theirs.prose))
    found += [f"the figure {figure} is missing; write it as it is." for figure in figures]
    return found + [
        f"{line!r} has no word of Chinese; translate it."
        for line in theirs.prose.splitlines()
        if len(WORD.findall(line)) >= A_SENTENCE and not CHINESE.search(line)
    ]


def _unpaired(here: Iterable[Any], there: Iterable[Any]) -> list[tuple[Any, str]]:
    """What only one of the languages has, by its number: the order of words may differ."""
    wanted, seen = Counter(here), Counter(there)
    missing = [(one, "is missing; add it as it is.") for one in (wanted - seen).elements()]
    surplus = (seen - wanted).elements()
    return missing + [(one, "has no counterpart; remove it or mend it.") for one in surplus]


def _first_difference(code: tuple[str, str], other: tuple[str, str]) -> str:
    if code[0] != other[0]:
        return f"in its language, {other[0]!r}, not {code[0]!r}; copy it."
    lines, others = (text[1].split("\n") for text in (code, other))
    place = next(
        (n for n, pair in enumerate(zip(lines, others, strict=False)) if pair[0] != pair[1]),
        min(len(lines), len(others)),
    )
    seen, wanted = ("".join(text[place : place + 1]) for text in (others, lines))
    return f"in line {place + 1}, {seen!r}, not {wanted!r}; copy it unchanged."


def _named(section: Section) -> str:
    return f"“{section.title}”" if section.level else "before the first heading"


def _target(page: str, link: str) -> tuple[str, str]:
    """What a link on a page means: a path from the root (or an address), and a fragment."""
    path, _, fragment = unquote(link).partition("#")
    if "://" in path:
        return unquote(link), ""
    return posixpath.normpath(
        posixpath.join(posixpath.dirname(page), path)
    ) if path else page, fragment


def _written(page: str, path: str, fragment: str) -> str:
    where = path if "://" in path else _relative(page, path)
    return f"{where}#{fragment}" if fragment else where


def _relative(page: str, path: str) -> str:
    return posixpath.relpath(path, posixpath.dirname(page) or ".")
