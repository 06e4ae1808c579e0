"""The documentation as a site: built strictly, read in a real browser, with nothing loaded from elsewhere."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from zslbench.cli import cli

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site, serve it and yield (folder, address)."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", folder], cwd=ROOT,
                   env=environment, capture_output=True, check=True)  # fmt: skip
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_each_verb_of_the_command_line_has_a_page_with_its_help(site):
    folder, _ = site
    for verb in cli.list_commands(None):
        page = (folder / "reference" / "cli" / f"{verb}.html").read_text(encoding="utf-8")
        assert f"Usage: zslbench {verb}" in page, verb


def test_links_out_of_the_docs_lead_into_the_repository_and_code_stays_as_it_is(site):
    folder, _ = site
    assert 'href="https://github.com/zslbench/zslbench/tree/main/examples"' in (folder / "python.html").read_text()
    assert "/blob/main/results/leaderboards/README.md" in (folder / "methods" / "tzs.html").read_text()
    assert 'href="https://github.com/zslbench/zslbench/blob/main/docs/' not in (folder / "index.html").read_text()


@pytest.mark.parametrize("width", [400, 1440])
def test_pages_load_nothing_from_elsewhere_and_are_no_wider_than_the_window(site, page, width):
    _, address = site
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": width, "height": 900})
    for name in ("index", "data", "reference/cli/run", "reference/python", "methods/defaults", "examples/own_method"):
        page.goto(f"{address}/{name}.html", wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    assert [url for url in asked if not url.startswith(address)] == []
    assert page.problems == []


def test_the_search_finds_an_option_of_a_verb(site, page):
    _, address = site
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{address}/index.html")
    page.get_by_placeholder("Search").click()
    page.keyboard.type("memory-limit")
    found = page.locator(".md-search-result__link").first
    found.wait_for()
    links = page.locator(".md-search-result__link").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert any("reference/cli/run.html" in link for link in links)
