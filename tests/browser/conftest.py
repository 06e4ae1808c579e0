"""A headless Chromium for tests of pages."""

import contextlib
import shutil

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def chromium():
    """Return a running browser; a test that needs one says so where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium on this machine; Debian has it as the package 'chromium'")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Page:
    """A browser page that remembers what went wrong on it."""

    def __init__(self, page):
        self.page = page
        self.problems = []
        page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def __getattr__(self, name):
        return getattr(self.page, name)


@pytest.fixture
def page(chromium):
    with contextlib.closing(chromium.new_page(viewport={"width": 2400, "height": 1200})) as opened:
        opened.set_default_timeout(60_000)
        yield Page(opened)
