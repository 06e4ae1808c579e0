"""The site in a real browser, opened as a file: filters, search, links to commands and checks, hostile names."""

import json
from dataclasses import replace

import pytest
from fakes import fake_record

from zslbench.cells.store import Store
from zslbench.report.site import write_site

pytestmark = pytest.mark.slow

NAMES = tuple(f"class {i}" for i in range(6))
HOSTILE = "<img src=x onerror=alert(1)>"


def stored(root, records):
    store = Store(root)
    for i, record in enumerate(records):
        command = ["zslbench", "run", "--method", record.cell.label, "--features", f"<b>{i}</b>"]
        store.write(record.cell, record.result, environment={"command": command, "zslbench": "0.2.0"})
    return store


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Write a site of two folders."""
    root = tmp_path_factory.mktemp("site")

    def record(method, n, **cell):
        return fake_record(method, names=NAMES, scored=(10,) * 6, top1=(n,) * 6, **cell)

    few_shot = record("sae", 1, protocol="few-shot", unseen=(False,) * 6)
    few_shot = replace(few_shot, result=few_shot.result.model_copy(update={"expected": 60, "present": 60}))
    ours = [
        record("ridge", 4), record(HOSTILE, 3), record("eszsl", 2, dataset="ucf101"),
        record("devise", 5, budget=("class-vectors", "unseen-videos")), few_shot,
    ]  # fmt: skip
    stored(root / "runs", ours)
    theirs = stored(root / "theirs", [record("latem", 6, features="i3d")])
    write_site(root / "site", [root / "runs", theirs.root], title="Ours & theirs")
    return root / "site"


@pytest.fixture
def opened(page, site):
    page.goto((site / "index.html").as_uri(), wait_until="networkidle")
    return page


def shown(page):
    return page.locator("table").first.locator("tbody tr:visible th").all_inner_texts()


def test_every_row_of_every_source_is_listed_and_names_are_text(opened, site):
    assert sorted(shown(opened)) == sorted(["ridge", HOSTILE, "eszsl", "devise", "sae", "latem"])
    assert opened.problems == []
    assert opened.locator("main img").count() == 0
    assert opened.title() == "Ours & theirs"
    assert {row["source"] for row in json.loads((site / "site.json").read_text())} == {"runs", "theirs"}


@pytest.mark.parametrize(
    ("label", "choice", "left"),
    [("dataset", "ucf101", ["eszsl"]), ("protocol", "few-shot", ["sae"]), ("features", "i3d", ["latem"]),
     ("budget", "class-vectors + unseen-videos", ["devise"])],
)  # fmt: skip
def test_a_filter_leaves_the_rows_that_have_its_value(opened, label, choice, left):
    opened.get_by_label(label, exact=True).select_option(choice)
    assert shown(opened) == left
    opened.get_by_label(label, exact=True).select_option("all")
    assert len(shown(opened)) == 6


def test_filters_and_search_apply_together(opened):
    opened.get_by_label("dataset", exact=True).select_option("hmdb51")
    opened.get_by_label("Search 6 rows").fill("runs zsl")
    opened.locator("#announcement", has_text="3 rows").wait_for(state="attached")
    assert sorted(shown(opened)) == sorted(["ridge", HOSTILE, "devise"])


def test_rows_sort_by_mouse_and_by_enter(opened):
    header = opened.locator("table").first.locator("thead th").nth(3)
    header.click()  # beside the button, too
    assert shown(opened) == ["sae", "eszsl", HOSTILE, "ridge", "devise", "latem"]
    header.locator("button").press("Enter")
    assert shown(opened) == ["latem", "devise", "ridge", HOSTILE, "eszsl", "sae"]


def test_a_row_leads_to_its_command_and_its_checks_and_back(opened):
    row = opened.locator("table").first.locator("tbody tr", has_text="ridge")
    row.get_by_role("link", name="show").click()
    assert "#command" in opened.url
    assert opened.locator("pre").first.inner_text() == "zslbench run --method ridge --features '<b>0</b>'"
    opened.go_back()
    row.get_by_role("link", name="ridge").click()
    checks = opened.locator("section", has=opened.get_by_role("heading", name="Checks")).locator("table").first
    assert "figures computed again from the predictions" in checks.inner_text()
    assert opened.problems == []
    opened.get_by_role("link", name="Ours & theirs").click()
    assert opened.title() == "Ours & theirs"


def test_a_narrow_screen_scrolls_the_table_and_not_the_page(opened):
    opened.set_viewport_size({"width": 480, "height": 900})
    assert opened.evaluate("document.documentElement.scrollWidth") <= 480
