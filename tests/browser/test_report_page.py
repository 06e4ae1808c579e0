"""The report in a real browser: it loads alone, sorts by keyboard, is read in dark and light, prints whole."""

import re

import numpy as np
import plotly.graph_objects as go
import pytest
from fakes import fake_record, fake_store

from zslbench.report.build import build_page
from zslbench.report.page import Page

pytestmark = pytest.mark.slow

NAMES = tuple(f"class {i}" for i in range(12))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of two tables, with a row that failed to be second by its name and is by its figures."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    shares = {"ridge": 0.3, "eszsl": 0.2, "devise": 0.25, "action2vec": 0.1}
    records = [
        fake_record(
            method, split, family=family, names=NAMES[:n], scored=(100,) * n,
            top1=tuple(rng.binomial(100, share, n).tolist()), metrics={"hubness": share}, fit_seconds=share,
        )
        for family, n in (("xu-50/50", 12), ("random-80/20", 5))
        for method, share in shares.items()
        for split in (0, 1, 2)
    ]  # fmt: skip
    path = folder / "report.html"
    build_page(records, fake_store(folder / "runs", records), command="zslbench report").write(path)
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A page as ``reproduce`` makes them: a plotly figure, a picture of another style, a table."""
    page = Page("A reproduction", "of a paper")
    page.section("Results", "a note")
    page.table(["row", "top-1 %"], [["b", 2], ["a", 10], ["c", 1]])
    page.figure(go.Figure(go.Scatter(x=[1, 2], y=[2, 3])), "two points")
    path = tmp_path_factory.mktemp("mixed") / "page.html"
    page.write(path)
    return path


@pytest.fixture(params=["report", "mixed"])
def opened(request, page):
    """Open a page; whatever else it asks for is refused and noted."""
    path = request.getfixturevalue(request.param)
    page.asked = []

    def route(handled):
        address = handled.request.url
        if address == path.as_uri() or address.startswith(("data:", "blob:")):
            handled.continue_()
        else:
            page.asked.append(address)
            handled.abort()

    page.route("**/*", route)
    page.goto(path.as_uri(), wait_until="networkidle")
    return page


def test_it_loads_without_errors_and_asks_for_nothing_else(opened):
    assert opened.locator("h1").inner_text()
    assert opened.problems == []
    assert opened.asked == []


def test_every_picture_has_a_text_alternative(opened):
    bare = opened.evaluate(
        """[...document.querySelectorAll('main svg, main img, main .js-plotly-plot')]
        .filter(e => !(e.closest('[role=img][aria-label]')?.getAttribute('aria-label').trim() || e.alt))
        .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert opened.locator("main [role=img]").count() >= 1
    assert bare == []


def column(page, place):
    return page.locator("table").first.locator(f"tbody tr > :nth-child({place})").all_inner_texts()


def test_click_and_enter_sort_a_column_by_its_numbers(opened):
    header = opened.locator("table").first.locator("thead th", has_text="top-1 %").first
    place = 1 + header.evaluate("th => th.cellIndex")
    header.locator("button").click()
    values = [float(text) for text in column(opened, place)]
    assert header.get_attribute("aria-sort") == "ascending"
    assert values == sorted(values)
    header.locator("button").press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column(opened, place)] == sorted(values, reverse=True)
    assert opened.locator("#announcement").inner_text().endswith("descending")


def rows(page):
    return [row.locator("th, td").all_inner_texts() for row in page.locator("table").first.locator("tbody tr").all()]


@pytest.mark.parametrize("way", ["mouse", "enter"])
def test_sorting_moves_whole_rows(opened, way):
    before = rows(opened)
    header = opened.locator("table").first.locator("thead th", has_text="top-1 %").first
    place = header.evaluate("th => th.cellIndex")
    for direction in (1, -1):
        if way == "mouse":  # the edge of the cell, where its text is not
            header.click(position={"x": 2, "y": 2})
        else:
            header.locator("button").press("Enter")
        assert rows(opened) == sorted(before, key=lambda row: direction * float(row[place]))


def test_sorting_another_column_takes_the_mark_with_it(opened):
    headers = opened.locator("table").first.locator("thead th")
    headers.nth(1).locator("button").click()
    headers.nth(0).locator("button").focus()
    opened.keyboard.press("Enter")
    assert headers.nth(0).get_attribute("aria-sort") == "ascending"
    assert headers.nth(1).get_attribute("aria-sort") is None
    names = column(opened, 1)
    assert names == sorted(names)


def test_intervals_and_ranks_sort_by_number_too(page, report):
    page.goto(report.as_uri())
    headers = page.locator("table").first.locator("thead th")
    for title in ("95 % over classes", "rank", "fit s"):
        header = headers.filter(has_text=re.compile(title))
        place = 1 + header.evaluate("th => th.cellIndex")
        header.locator("button").click()
        first = [float(re.search(r"[\d.]+", text)[0]) for text in column(page, place)]
        assert first == sorted(first), title


# WCAG 2: relative luminance, contrast of text on what lies behind it.
_CONTRASTS = """() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const lum = c => { const [r, g, b] = c.map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
  const found = [];
  const texts = 'h1, h2, h3, p, li, a, td, th, caption, figcaption, code, summary, .themed text';
  for (const e of document.querySelectorAll(texts)) {
    if (!e.getClientRects().length || e.closest('.skip, .hidden')) continue;
    const style = getComputedStyle(e);
    const text = parse(e.ownerSVGElement ? style.fill : style.color).slice(0, 3);
    const [a, b] = [lum(text), lum(behind(e))];
    found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.tagName, e.textContent.slice(0, 40),
                !!e.closest('.natural')]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_dark_and_light(opened, scheme):
    opened.emulate_media(color_scheme=scheme)
    assert opened.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
    found = opened.evaluate(_CONTRASTS)
    # Numbers in a heat map lie on its cells, not on the page.
    faint = [entry for entry in found if entry[0] < 4.5 and not (entry[3] and re.fullmatch(r"\d+", entry[2]))]
    assert len(found) > 10
    assert faint == []
    paper = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (min(map(int, re.findall(r"\d+", paper))) < 60) == (scheme == "dark")


def test_a_heat_maps_numbers_keep_their_colour_in_the_dark(page, report):
    page.emulate_media(color_scheme="dark")
    page.goto(report.as_uri())
    fills = page.evaluate(
        """[...document.querySelectorAll('.natural text')].filter(t => /^\\d+$/.test(t.textContent))
        .map(t => getComputedStyle(t).fill)"""
    )
    assert fills
    assert set(fills) <= {"rgb(255, 255, 255)", "rgb(17, 17, 17)"}


def test_print_shows_every_table_whole(opened):
    opened.emulate_media(media="print")
    heights = opened.evaluate(
        """[...document.querySelectorAll('table')].map(t => {
          const box = t.closest('.wide');
          return [t.getBoundingClientRect().height, getComputedStyle(box).overflowY, t.rows.length];
        })"""
    )
    assert len(heights) >= 1
    assert all(height > 8 * rows and overflow == "visible" for height, overflow, rows in heights), heights


def test_a_printed_file_holds_what_is_folded_on_screen(page, report):
    page.goto(report.as_uri())
    hidden = page.locator("details td").first
    assert not hidden.is_visible()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert hidden.is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert not hidden.is_visible()
    assert len(page.pdf()) > 10_000


def test_folds_open_by_keyboard(page, report):
    page.goto(report.as_uri())
    fold = page.locator("details").first
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    assert fold.get_attribute("open") is not None
    assert fold.locator("table").is_visible()


def test_tab_reaches_the_content_the_contents_and_every_column(page, report):
    page.goto(report.as_uri())
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("(e => e.tagName + ' ' + e.textContent.trim())(document.activeElement)"))
    assert seen[0] == "A Skip to the content"
    assert seen[1:3] == ["A Leaderboard", "A Audit"]
    assert [what for what in seen if what.startswith("BUTTON")][:3] == [
        "BUTTON method",
        "BUTTON rank",
        "BUTTON top-1 %",
    ]


def test_a_narrow_screen_scrolls_tables_and_not_the_page(page, report):
    page.set_viewport_size({"width": 480, "height": 900})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 480
