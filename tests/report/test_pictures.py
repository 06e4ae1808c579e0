"""What the report's pictures are made of, against scipy and plain loops; and how the page takes them."""

import re

import numpy as np
import pytest
from fakes import fake_record
from labels import assert_nothing_covered
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from zslbench.cells.rows import is_reference, make_row
from zslbench.report._heatmap import MOST_CLASSES, ClassAccuracies, class_accuracies, drawn_classes, heat_map_figure
from zslbench.report._intervals import interval_figure
from zslbench.report._pareto import pareto_figure, pareto_front
from zslbench.report._splits import split_accuracies, split_figure
from zslbench.report._style import FAINT, INK, PAPER
from zslbench.report.page import Page
from zslbench.stats.intervals import figure_by_split

pytestmark = pytest.mark.versions

RNG = np.random.default_rng(5)
NAMES = tuple("abcdefgh")


def cells(method="ridge", splits=6, **options):
    for split in range(splits):
        unseen = RNG.permutation(8)[:5]
        yield fake_record(
            method, split, names=tuple(NAMES[i] for i in unseen), scored=tuple(RNG.integers(5, 30, 5).tolist()),
            top1=tuple(RNG.integers(0, 6, 5).tolist()), **options,
        )  # fmt: skip


def row_of(records, **options):
    return make_row(list(records), **options)


def by_split(row, figure):
    return figure_by_split(row.counts.top1, row.counts.scored, figure, row.counts.unseen)


def timed(name, seconds, right):
    return row_of([fake_record(name, fit_seconds=seconds, top1=(right, 5, 2))])


def test_the_front_is_what_no_row_beats_in_both():
    rows = [
        timed("slow-best", 9, 8),
        timed("fast", 1, 4),
        timed("beaten", 2, 3),
        timed("middle", 3, 6),
        timed("dull", 1, 1),
    ]
    front = [row.name for row in pareto_front(rows)]
    better = lambda a, b: (  # noqa: E731
        a.figures["fit_seconds"] <= b.figures["fit_seconds"] and a.figures["top1"] >= b.figures["top1"] and a is not b
    )
    assert set(front) == {b.name for b in rows if not any(better(a, b) for a in rows)}
    assert front == ["fast", "middle", "slow-best"]


def test_the_front_is_a_line_and_named():
    rows = [timed("fast", 1, 4), timed("beaten", 2, 3), timed("slow", 9, 8)]
    axes = pareto_figure(rows).axes[0]
    line = next(line for line in axes.lines if line.get_drawstyle().startswith("steps"))
    assert list(line.get_xdata()) == [1, 9]
    assert {text.get_text() for text in axes.texts} >= {"fast", "slow"}
    assert axes.get_xscale() == "log"


def test_names_beside_the_front_cover_no_row_and_no_other_name():
    rng = np.random.default_rng(1)
    rows = [
        timed(f"method {i} of {i * 7} layers", 10 ** rng.uniform(-1, 0), int(rng.integers(1, 5))) for i in range(12)
    ]
    axes = pareto_figure(rows).axes[0]
    markers = np.array([(row.figures["fit_seconds"], 100 * row.figures["top1"]) for row in rows])
    named = [text for text in axes.texts if text.get_text()]
    assert len(named) == 12
    assert_nothing_covered(axes, named, markers, radius=3.25)


def test_accuracy_by_split_is_what_a_loop_finds():
    records = list(cells(metrics={}))
    row = row_of(records)
    wanted = {r.cell.split_digest: sum(r.result.classes.top1) / sum(r.result.classes.scored) for r in records}
    found = dict(zip(row.counts.splits, by_split(row, "top1"), strict=True))
    assert found == pytest.approx(wanted)


def test_h_by_split_averages_to_the_rows_h():
    records = [
        fake_record(split=s, protocol="gzsl", unseen=(True, False, True), top1=t)
        for s, t in enumerate([(8, 5, 2), (1, 9, 3), (0, 4, 0)])
    ]
    row = row_of(records)
    values = by_split(row, "H")
    assert values.mean() == pytest.approx(row.figures["H"])
    assert values.min() == 0  # U is 0 there: no division by zero


def test_splits_have_their_numbers_and_agreement_is_spearmans():
    records = {name: list(cells(name)) for name in ("ridge", "eszsl", "devise")}
    rows = [row_of(group) for group in records.values()]
    numbers = {r.cell.split_digest: r.cell.split for group in records.values() for r in group}
    found = split_accuracies(rows, numbers)
    assert (np.diff(found.means) >= 0).all()
    assert sorted(found.splits) == list(range(6))
    correlations = spearmanr(found.values.T).statistic[np.triu_indices(3, k=1)]
    assert found.agreement == pytest.approx(correlations.mean())
    assert len(split_figure(found).axes[0].lines) == 4  # three rows and their mean


def test_only_common_splits_are_shown_and_reference_rows_do_not_count():
    ridge, eszsl = row_of(cells("ridge", 4)), row_of(cells("eszsl", 3))
    numbers = {r.cell.split_digest: r.cell.split for r in cells(splits=4)}
    chance = row_of(cells("random", 2, budget=()))
    found = split_accuracies([ridge, eszsl, chance], numbers)
    assert sorted(found.splits) == [0, 1, 2]
    assert found.methods == ("ridge", "eszsl")
    assert split_accuracies([row_of(cells("ridge", 1))], numbers) is None


@pytest.mark.parametrize(("budget", "expected"), [((), True), (("oracle",), True), (("class-vectors",), False)])
def test_reference_rows_are_known_by_their_budget(budget, expected):
    assert is_reference(row_of([fake_record(budget=budget)])) == expected


def test_class_accuracies_are_means_over_the_splits_in_which_a_class_was_unseen():
    records = list(cells())
    found = class_accuracies([row_of(records)])
    for name, value in zip(found.classes, found.values[0], strict=True):
        shares = []
        for record in records:
            counts = record.result.classes
            shares += [t / s for n, t, s in zip(counts.names, counts.top1, counts.scored, strict=True) if n == name]
        assert value == pytest.approx(np.mean(shares))
    assert (np.diff(found.means) <= 0).all()


def test_a_heat_map_names_every_class_once_in_panels_that_can_be_read():
    names = tuple(f"class {i}" for i in range(101))
    figure = heat_map_figure(ClassAccuracies(("ridge", "eszsl"), names, RNG.random((2, 101))))
    panels = [[text.get_text() for text in axes.get_xticklabels()] for axes in figure.axes]
    assert len(panels) == 2
    assert tuple(name for panel in panels for name in panel) == names
    assert len(figure.axes[0].texts) == 2 * len(panels[0])


def test_of_very_many_classes_the_easiest_and_the_hardest_are_drawn():
    places = drawn_classes(700)
    assert len(places) == MOST_CLASSES
    assert places[0] == 0
    assert places[-1] == 699
    assert drawn_classes(101).tolist() == list(range(101))


def test_dots_and_whiskers_are_the_rows_figures():
    rows = [row_of(cells("ridge")), row_of(cells("eszsl"))]
    axes = interval_figure(rows).axes[0]
    for row in rows:
        low, high, mean = (100 * row.figures[name] for name in ("low", "high", "top1"))
        assert any(line.get_xdata() == pytest.approx([low, high]) for line in axes.lines if len(line.get_xdata()) == 2)
        assert any(line.get_xdata() == pytest.approx([mean]) for line in axes.lines if len(line.get_xdata()) == 1)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["ridge", "eszsl"]


@pytest.fixture
def themed():
    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.plot([0, 1], color=INK)
    axes.plot([1, 0], "o", color=FAINT, markeredgecolor=PAPER)
    axes.set_title("a < b")
    page = Page("t")
    page.figure(figure, "a line", themed=True)
    return page.render()


def test_a_themed_picture_takes_the_pages_colours_and_keeps_its_texts(themed):
    svg = themed[themed.index("<svg") : themed.index("</svg>")]
    assert INK not in svg
    assert "var(--ink)" in svg
    assert "var(--faint)" in svg
    assert "var(--paper)" in svg
    assert "a &lt; b</text>" in svg
    assert "font-family" not in svg
    assert "font-size: 12px" in svg


def test_what_is_left_out_of_a_themed_picture_is_referred_to_by_nothing(themed):
    ids = set(re.findall(r'id="([^"]+)"', themed))
    references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', themed))
    assert references
    assert references <= ids


def test_folds_and_headings():
    page = Page("t")
    page.section("Results")
    page.heading("a & b")
    page.table(["x"], [["1"]], fold="all <numbers>")
    html = page.render()
    assert "<h3>a &amp; b</h3>" in html
    assert html.index("<details>") < html.index("<summary>all &lt;numbers&gt;</summary>") < html.index("<table")
    assert html.count("<details>") == html.count("</details>") == 1


@pytest.mark.parametrize(("protocol", "unseen"), [("supervised", (0, 0, 0)), ("base-to-novel", (0, 0, 1))])
def test_class_accuracies_cover_trained_classes_that_a_protocol_tests(protocol, unseen):
    record = fake_record(protocol=protocol, top1=(8, 5, 2), unseen=tuple(map(bool, unseen)))
    found = class_accuracies([row_of([record])])
    assert dict(zip(found.classes, found.values[0], strict=True)) == {"jump": 0.8, "kick": 0.5, "ride bike": 0.2}
    heat_map_figure(found)
