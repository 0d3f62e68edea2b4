"""Puts the sections together and fills the templates."""

import json
from dataclasses import dataclass

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ci.config import PROJECT, TASK
from ci.reporting.accounts import (
    CostRow,
    DataAccount,
    EngineRow,
    StageRow,
    costs_of,
    data_of,
    engines_of,
    lineage_of,
    stages_of,
)
from ci.reporting.example import Example, example_of
from ci.reporting.gathered import Gathered
from ci.reporting.quality import Quality, metric_name, quality_of
from ci.reporting.verdict import Verdict, verdict_of

TEMPLATES = PROJECT / "infra/templates"


@dataclass(frozen=True)
class Page:
    """Everything the two templates show."""

    shop: str
    task: str
    metric: str
    verdict: Verdict
    quality: Quality
    data: DataAccount | None
    costs: tuple[CostRow, ...]
    engines: tuple[EngineRow, ...]
    stages: tuple[StageRow, ...]
    lineage: tuple[tuple[str, str], ...]
    example: Example | None
    settings: str
    broken: dict[str, str]


def page_of(gathered: Gathered) -> Page:
    """The report's content from what was gathered."""
    return Page(
        shop=gathered.shop,
        task=TASK,
        metric=metric_name(gathered.metric),
        verdict=verdict_of(gathered),
        quality=quality_of(gathered),
        data=data_of(gathered),
        costs=costs_of(gathered),
        engines=engines_of(gathered),
        stages=stages_of(gathered),
        lineage=lineage_of(gathered),
        example=example_of(gathered),
        settings=json.dumps(gathered.settings, indent=2, ensure_ascii=False),
        broken=gathered.broken,
    )


def as_html(page: Page) -> str:
    """The page; its looks are in the sibling `report.css`, and it reads well without them."""
    return _render("report.html.j2", page)


def as_markdown(page: Page) -> str:
    """The comment for the pull request."""
    return _render("report.md.j2", page)


def stylesheet() -> str:
    """The sibling stylesheet: Jenkins allows a file of its own, and no inline style."""
    return (TEMPLATES / "report.css").read_text("utf-8")


def _render(template: str, page: Page) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=template.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": _code, "breakable": _breakable, "cell": _cell, "prose": _prose}
    return environment.get_template(template).render(page=page)


def _code(text: str) -> Markup:
    """Text with its `commands` set as code."""
    parts = text.split("`")
    closed = len(parts) % 2 == 1
    if not closed:
        return escape(text)
    pieces = [
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    ]
    return Markup("").join(pieces)


def _breakable(text: str) -> Markup:
    """A long digest or path that may break, so that a phone never scrolls sideways."""
    pieces = [escape(text[start : start + 8]) for start in range(0, len(text), 8)]
    return Markup("<wbr>").join(pieces)


def _prose(text: str) -> str:
    """Text as one line of Markdown that opens no HTML."""
    return " ".join(str(text).split()).replace("<", "&lt;")


def _cell(text: str) -> str:
    """Text that also cannot leave its cell of a Markdown table."""
    return _prose(text).replace("|", "\\|")
