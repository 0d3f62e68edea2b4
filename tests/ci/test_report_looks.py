"""The report in a real Chromium: on a phone, in both themes, under Jenkins' content policy."""

import functools
import http.server
import threading

import pytest

from ci.config import Config
from ci.settings import Settings
from ci.stages.report import run
from ci.workspace import Workspace
from tests.browser import chromium, view
from tests.ci.report_samples import write_everything
from tests.services import require_service

# What Jenkins sends with every artifact and workspace file by default.
JENKINS_POLICY = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self';"
PHONE = 360
LUMINANCE = """
(() => {
  const parts = getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g);
  return parts.slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
})()
"""


class JenkinsLike(http.server.SimpleHTTPRequestHandler):
    """Serves a folder with Jenkins' headers; folders named `bare` have lost their stylesheet."""

    def end_headers(self):
        self.send_header("Content-Security-Policy", JENKINS_POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report of each kind: promoted, held, and nothing to report."""
    root = tmp_path_factory.mktemp("reports")
    config = Config(Settings(), root / "pipeline.toml")
    for kind in ("PROMOTE", "HOLD", "nothing"):
        workspace = Workspace(root / kind, root / kind / "next_item")
        if kind != "nothing":
            write_everything(workspace, config, kind)
        run(config, workspace)
    return root


@pytest.fixture(scope="module")
def browser():
    require_service("chromium")
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def served(folder):
    """The reports behind a server with Jenkins' headers."""
    handler = functools.partial(JenkinsLike, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["PROMOTE", "HOLD", "nothing"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways_in_either_theme(browser, folder, kind, theme):
    with view(browser, (folder / kind / "report.html").as_uri(), PHONE, theme) as seen:
        opened = "document.querySelectorAll('details').forEach(one => one.open = true)"
        seen.page.evaluate(opened)
        assert seen.overflow() == 0
        assert seen.complaints == []
        brightness = seen.page.evaluate(LUMINANCE)
        assert brightness > 200 if theme == "light" else brightness < 60


@pytest.mark.parametrize("width", [PHONE, 1280])
def test_it_reads_well_under_jenkins_content_policy(browser, served, width):
    with view(browser, f"{served}/HOLD/report.html", width) as seen:
        assert seen.complaints == []
        assert seen.overflow() == 0
        assert seen.page.get_by_role("heading", name="HOLD").is_visible()
        assert seen.page.get_by_text("−0.0181 [−0.0225, −0.0137]").first.is_visible()
        styled = seen.page.evaluate("getComputedStyle(document.querySelector('header')).borderLeft")
        assert styled.startswith("6px solid")  # the policy let the stylesheet in
        colour = "getComputedStyle(document.querySelector('circle.harm')).fill"
        assert seen.page.evaluate(colour) == "rgb(192, 38, 38)"
        box = seen.page.locator("line.harm").first.bounding_box()
        assert box["width"] > 30  # the interval is drawn, not collapsed


def test_it_reads_without_its_stylesheet(browser, folder, tmp_path):
    page = tmp_path / "report.html"
    page.write_bytes((folder / "HOLD/report.html").read_bytes())
    with view(browser, page.as_uri(), PHONE, "dark") as seen:
        assert any("report.css" in complaint for complaint in seen.complaints)
        assert seen.overflow() == 0
        assert seen.page.get_by_role("heading", name="HOLD").is_visible()
        attribute = "getComputedStyle(document.querySelector('circle.harm')).fill"
        assert seen.page.evaluate(attribute) == "rgb(220, 76, 76)"
