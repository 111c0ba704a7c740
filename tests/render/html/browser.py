"""Opens pages in Chromium with networking off, and collects what they complain about."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]


class Opened(NamedTuple):
    """An open page; `complaints` are messages of its console, errors, and requests that leave the file."""

    page: Any
    complaints: list[str]

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.page.locator(selector).all_inner_texts()
        return found

    def rows(self, title: str) -> list[str]:
        """The first cells of the rows that a table shows."""
        return self.texts(f"section:has(h2:text-is('{title}')) tbody td:first-child")

    def section(self, title: str) -> Any:
        return self.page.locator("section").filter(has=self.page.locator("h2", has_text=title)).first


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Any, path: Path, scheme: str = "light") -> Iterator[Opened]:
    """A page of the disk once its figures are drawn."""
    context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    found = Opened(page, [])
    page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda request: found.complaints.extend({request.url} - {path.as_uri()}))
    page.goto(path.as_uri())
    page.locator("html[data-state=drawn]").wait_for(state="attached", timeout=120_000)
    yield found
    context.close()
