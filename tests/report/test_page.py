"""The self-contained page, its tables in a real browser where there is one."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure

from zslbench.errors import ZslbenchError
from zslbench.report.page import Page
from zslbench.tables.writer import Shown

pytestmark = pytest.mark.versions


class Seen(HTMLParser):
    """Every tag with its attributes, and the text of scripts."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def line_figure(n=20):
    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.plot(np.arange(n), marker="o")
    axes.axhspan(2, 5, clip_on=True)
    axes.set_title("a < b & c")
    return figure


@pytest.fixture
def page():
    page = Page("Title <i>", "sub & line", warning="LOUD")
    page.section("Results", "a note")
    page.text("<script>alert(1)</script>")
    page.table(["method", "top-1"], [["<b>x</b>", Shown("23.4 %", 23.4)], ["y", None]], "caption")
    return page


def test_every_text_is_escaped(page):
    page.code("</code><script>")
    page.bullets(["<img src=x>"])
    page.links([("<a>", 'x" onclick="y')])
    html = page.render()
    assert "<script>alert" not in html
    assert "<b>x</b>" not in html
    assert "Title &lt;i&gt;" in html
    assert not any("onclick" in attrs or tag == "img" for tag, attrs in Seen(html).tags)


def test_nothing_is_fetched_from_elsewhere(page):
    page.figure(go.Figure(go.Scatter(x=[1], y=[2])), "a point")
    page.figure(line_figure(), "a line")
    for tag, attrs in Seen(page.render()).tags:
        assert tag not in ("link", "iframe", "object")
        assert not (tag in ("script", "img") and attrs.get("src", "data:").startswith(("http", "/")))


def test_a_policy_forbids_the_network(page):
    policy = next(attrs["content"] for tag, attrs in Seen(page.render()).tags if attrs.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


def test_plotly_is_inside_once_and_only_with_a_plotly_figure(page):
    page.figure(line_figure(), "a line")
    assert "plotly.js v" not in page.render()
    for _ in range(2):
        page.figure(go.Figure(go.Scatter(x=[1], y=[2], text=["</script><b>"])), "a point")
    html = page.render()
    assert len(re.findall(r"plotly\.js v\d", html)) == 1
    assert "</script><b>" not in html


def test_a_plotly_figure_keeps_its_own_layout_and_gets_the_pages_background(page):
    figure = go.Figure(layout={"paper_bgcolor": "red", "title": "kept", "width": 700})
    page.figure(figure, "empty")
    assert figure.layout.paper_bgcolor == "red"
    html = page.render()
    assert '"paper_bgcolor":"rgba(0,0,0,0)"' in html
    assert '"text":"kept"' in html
    assert '"width":700' not in html


def test_every_figure_is_an_image_with_a_text_alternative(page):
    page.figure(line_figure(), 'a "line"\n that rises')
    page.figure(go.Figure(), "nothing")
    images = [attrs for _, attrs in Seen(page.render()).tags if attrs.get("role") == "img"]
    assert [image["aria-label"] for image in images] == ['a "line" that rises', "nothing"]
    with pytest.raises(ValueError, match="text alternative"):
        page.figure(line_figure(), "  ")


def test_ids_of_two_figures_do_not_clash_and_every_reference_is_met(page):
    for _ in range(2):
        page.figure(line_figure(), "a line")
    html = page.render()
    ids = [attrs["id"] for _, attrs in Seen(html).tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', html))
    assert any(reference.startswith("figure-2-") for reference in references)
    assert references <= set(ids)


def test_the_same_page_gives_the_same_file(page):
    pages = []
    for _ in range(2):
        page = Page("t")
        page.figure(line_figure(), "a line")
        pages.append(page.render())
    assert pages[0] == pages[1]


def test_a_huge_vector_picture_becomes_pixels(page, monkeypatch):
    monkeypatch.setattr("zslbench.report.page._LARGEST_SVG", 1000)
    page.figure(line_figure(), "a line")
    html = page.render()
    assert 'src="data:image/png;base64,' in html
    assert "<svg" not in html


def test_sections_are_listed_with_distinct_anchors(page):
    page.section("Results")
    tags = Seen(page.render()).tags
    headings = [attrs["id"] for tag, attrs in tags if tag == "h2"]
    assert headings == ["results", "results-2"]
    assert {f"#{anchor}" for anchor in headings} <= {attrs.get("href") for tag, attrs in tags if tag == "a"}


def test_numbers_are_sorted_by_value_and_missing_ones_have_none(page):
    page.table(["name", "a", "b"], [["r", "1,234", 0.5], ["s", "12.5%", float("nan")], ["t", "-", True]])
    cells = [(tag, attrs.get("data-sort")) for tag, attrs in Seen(page.render()).tags if tag == "td"]
    assert cells == [
        ("td", "23.4"), ("td", None),
        ("td", "1234.0"), ("td", "0.5"), ("td", "12.5"), ("td", None), ("td", None), ("td", None),
    ]  # fmt: skip


def test_a_ragged_table_is_refused(page):
    with pytest.raises(ValueError, match="3 cells under 2 headers"):
        page.table(["a", "b"], [[1, 2, 3]])


def test_it_is_written_whole_or_not_at_all(page, tmp_path):
    page.write(tmp_path / "new" / "page.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ZslbenchError, match="choose another place"):
        page.write(tmp_path / "file" / "page.html")


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ZslbenchError, match=r"pip install \"zslbench\[report\]\""):
        Page("t")


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_CLICKS = """<script>
const names = () => [...document.querySelectorAll('tbody tr:not([hidden])')].map(r => r.cells[0].textContent).join('');
const buttons = [...document.querySelectorAll('thead button')], found = [];
const headers = () => buttons.map(b => b.parentNode.getAttribute('aria-sort') || '-').join(' ');
for (const i of [1, 1, 2, 2, 0]) { buttons[i].click(); found.push(names() + ' ' + headers()); }
document.body.dataset.found = found.join('|');
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_columns_sort_in_a_browser(tmp_path):
    page = Page("t")
    page.table(
        ["name", "number", "text"],
        [["c", Shown("9 %", 9), "b10"], ["a", Shown("10 %", 10), "-"], ["d", Shown("-"), "b9"], ["b", "-1", "B1"]],
    )
    path = tmp_path / "page.html"
    path.write_text(page.render().replace("</body>", _CLICKS), encoding="utf-8")
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    dom = subprocess.run([CHROMIUM, *arguments, path.as_uri()], capture_output=True, text=True, timeout=120).stdout
    assert re.search(r'data-found="([^"]*)"', dom).group(1).split("|") == [
        "bcad - ascending -",
        "acbd - descending -",
        "bdca - - ascending",
        "cdba - - descending",
        "abcd ascending - -",
    ]
