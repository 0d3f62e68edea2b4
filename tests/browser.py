"""The real Chromium that looks at pages as a reader does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from ci.services import find_program

Theme = Literal["light", "dark"]


@dataclass
class View:
    """A loaded page, the width of its screen, and what its console said."""

    page: Page
    width: int
    complaints: list[str]

    def overflow(self) -> int:
        """Pixels by which the page is wider than the screen; 0 means no sideways scroll.

        `innerWidth` is no measure: a phone zooms out until a wide page fits.
        """
        return int(self.page.evaluate("document.documentElement.scrollWidth")) - self.width


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the installed Chromium, headless, until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_program("chromium"),
            chromium_sandbox=False,  # root may not use it
            args=["--disable-dev-shm-usage", "--disable-gpu"],
        )
        with browser:
            yield browser


@contextmanager
def view(browser: Browser, url: str, width: int, theme: Theme = "light") -> Iterator[View]:
    """Show a page on a screen of that width with a light or dark theme."""
    size = {"width": width, "height": 900}
    with browser.new_context(viewport=size, color_scheme=theme, is_mobile=width < 600) as context:
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
        page.goto(url, wait_until="load")
        yield View(page, width, complaints)
