"""Stage `report`: one page and one comment, from whatever the other stages left."""

from ci.config import Config
from ci.reporting.gathered import gather
from ci.reporting.page import as_html, as_markdown, page_of, stylesheet
from ci.workspace import Workspace


def run(config: Config, workspace: Workspace) -> str:
    """Write `report.html`, `report.css` and `report.md`; nothing missing can stop it."""
    page = page_of(gather(config, workspace))
    workspace.write_text("../report.css", stylesheet())
    workspace.write_text("../report.md", as_markdown(page))
    path = workspace.write_text("../report.html", as_html(page))
    return f"{page.verdict.word}: {path}"
