"""The report: its numbers are the rows' own, its sections say why they are empty, its limits are said."""

import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import fake_record, fake_store

from zslbench.cells.cell import State
from zslbench.cells.store import Store
from zslbench.leaderboard.board import build_rows
from zslbench.report import _content as limits
from zslbench.report._origins import command_line
from zslbench.report.build import PARTS, build_page

NAMES = ("jump", "kick", "ride bike")
TOP1 = {"ridge": ((8, 5, 2), (9, 5, 1)), "eszsl": ((4, 3, 1), (5, 2, 2))}


class Tables(HTMLParser):
    """The cells of every table, by the heading and caption above it; texts of paragraphs; images' alternatives."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.texts, self.images = [], {}, []
        self._section = self._heading = ""
        self._open = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag in ("h2", "h3", "th", "td", "p", "li"):
            self._open, self._text = tag, ""
        elif tag == "table":
            self.tables.append((self._section, self._heading, []))
        elif tag == "tr":
            self.tables[-1][2].append([])
        elif tag == "img" or attrs.get("role") == "img":
            self.images.append((self._section, attrs.get("aria-label") or attrs.get("alt")))

    def handle_data(self, data):
        if self._open:
            self._text += data

    def handle_endtag(self, tag):
        if tag != self._open:
            return
        if tag == "h2":
            self._section, self._heading = self._text, ""
        elif tag == "h3":
            self._heading = self._text
        elif tag in ("th", "td"):
            self.tables[-1][2][-1].append(self._text)
        else:
            self.texts.setdefault(self._section, []).append(self._text)
        self._open = None

    def of(self, section):
        """Return the tables of a section, headers first."""
        return [rows for where, _, rows in self.tables if where == section]


def ten_cells():
    """Two methods on two splits of one family and on three splits of another with fewer classes."""
    cells = [
        fake_record(method, split, top1=top1[split], names=NAMES, metrics={"hubness": 0.5}, fit_seconds=1 + split)
        for method, top1 in TOP1.items()
        for split in (0, 1)
    ]
    return cells + [
        fake_record(method, split, family="random-80/20", top1=(9 - split, 4), scored=(10, 10), names=NAMES[:2])
        for method in TOP1
        for split in (0, 1, 2)
    ]


def report(tmp_path, records, **options):
    return Tables(build_page(records, fake_store(tmp_path / "runs", records), **options).render())


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    return report(tmp_path_factory.mktemp("ten"), ten_cells(), command="zslbench report")


def test_every_section_is_there_and_none_is_bare(ten):
    for part in PARTS:
        said = len(ten.texts[part.heading]) > bool(part.note)
        drawn = any(section == part.heading for section, _ in ten.images)
        assert ten.of(part.heading) or drawn or said, part.heading


def test_the_leaderboard_holds_the_rows_own_numbers(ten):
    board = build_rows(ten_cells())
    tables = ten.of("Leaderboard")
    assert len(tables) == len(board.tables) == 2
    for rows, (headers, *cells) in zip(board.tables.values(), tables, strict=True):
        shown = [dict(zip(headers, row, strict=True)) for row in cells]
        assert [row["method"] for row in shown] == [row.name for row in rows]
        assert [row["top-1 %"] for row in shown] == [f"{100 * row.figures['top1']:.1f}" for row in rows]
        assert [row["per-class top-1 %"] for row in shown] == [f"{100 * r.figures['top1_per_class']:.1f}" for r in rows]
        assert [row["splits"] for row in shown] == ["2/50", "2/50"] or [row["splits"] for row in shown] == ["3/50"] * 2
    xu = dict(zip(*tables[-1][:2], strict=True))
    assert xu["method"] == "ridge"
    assert xu["top-1 %"] == "50.0"  # (8 + 5 + 2 + 9 + 5 + 1) / 60
    assert xu["fit s"] == "1.50"


def test_a_pictures_text_has_the_rows_interval_where_there_is_one(ten, tmp_path):
    record = fake_record("ridge", names=tuple("abcdef"), scored=(10,) * 6, top1=(8, 5, 3, 6, 4, 7))
    (row,) = build_rows([record])
    low, high = (f"{100 * row.figures[name]:.1f}" for name in ("low", "high"))
    (alt,) = (alt for section, alt in report(tmp_path, [record]).images if section == "Leaderboard")
    assert f"ridge 55.0 % ({low} to {high})" in alt
    # Three classes are too few for an interval.
    assert any("ridge 50.0 %; eszsl 28.3 %" in alt for section, alt in ten.images if section == "Leaderboard")


def test_classes_have_their_own_accuracy_and_the_easiest_is_first(ten):
    headers, *rows = next(rows for rows in ten.of("Classes") if len(rows) == 4)
    assert headers == ["class", "mean %", "ridge %", "eszsl %"]
    assert rows == [
        ["jump", "65.0", "85.0", "45.0"],
        ["kick", "37.5", "50.0", "25.0"],
        ["ride bike", "15.0", "15.0", "15.0"],
    ]


def test_differences_are_the_rows_less_the_best(ten):
    headers, row = next(rows for rows in ten.of("Differences from the best") if rows[1][4] != "-")
    shown = dict(zip(headers, row, strict=True))
    assert shown["row"] == "eszsl"
    assert (shown["best %"], shown["row %"], shown["difference, points"]) == ("50.0", "28.3", "-21.7")
    # Differences by class 40, 25, 0 points: t = 21.67 / 11.67 with 2 degrees of freedom.
    differences = np.array([0.40, 0.25, 0.0])
    error = differences.std(ddof=1) / np.sqrt(3)
    low, high = (100 * (-differences.mean() + sign * 4.302653 * error) for sign in (-1, 1))
    assert shown["95 % over classes"] == f"[{low:+.1f}, {high:+.1f}]"
    assert shown["classes won/tied/lost"] == "0/1/2"
    assert shown["common splits"] == "2"


def test_two_classes_are_too_few_to_compare_and_that_is_said(ten):
    assert any(
        "the variance between classes needs at least 3" in text for text in ten.texts["Differences from the best"]
    )


def test_splits_are_in_order_of_their_difficulty(ten):
    headers, *rows = next(rows for rows in ten.of("Difficulty of splits") if len(rows) == 4)
    assert headers[:2] == ["split", "mean %"]
    assert [row[:2] for row in rows] == [["2", "55.0"], ["1", "60.0"], ["0", "65.0"]]


def test_the_pareto_front_leaves_out_what_is_beaten(ten):
    alts = [alt for section, alt in ten.images if section == "Time and accuracy"]
    assert any("On the front: ridge 50.0 % in 1.50 s." in alt for alt in alts)


def test_every_picture_has_a_text_alternative(ten):
    assert len(ten.images) >= 10
    assert all(alt and len(alt) > 20 for _, alt in ten.images)


def test_empty_sections_say_why(ten):
    assert "None: every cell has figures." in ten.texts["Cells without figures"]
    assert "No predictions are stored beside these cells." in ten.texts["Confusions"]
    assert "These cells have no recorded environment." in ten.texts["Environment"]
    assert "These cells have no recorded commands." in ten.texts["Commands"]
    assert any("--save-model" in text for text in ten.texts["Class embeddings"])


def test_failures_are_counted_with_their_reason(tmp_path):
    records = [*ten_cells(), fake_record("devise", 0, state=State.FAILED), fake_record("devise", 1, state=State.FAILED)]
    (table,) = report(tmp_path, records).of("Cells without figures")
    assert table[1][0] == "devise"
    assert table[1][2:] == ["failed", "2", "ValueError: it broke"]


def test_only_failures_make_a_page_too(tmp_path):
    found = report(tmp_path, [fake_record(state=State.FAILED)])
    assert found.texts["Classes"][-1].startswith("No cell has figures:")
    assert found.texts["Differences from the best"][-1].startswith("No table has two rows")
    assert found.images == []


def test_simulated_features_are_loud(tmp_path):
    records = [fake_record(simulated=True)]
    html = build_page(records, fake_store(tmp_path, records)).render()
    assert re.search(r'class="warning">SIMULATED FEATURES', html)
    assert "ridge [simulated]" in html


def test_rows_that_leak_are_marked_and_the_warning_says_why(tmp_path):
    records = [fake_record(), fake_record("majority", budget=("oracle",))]
    html = build_page(records, fake_store(tmp_path, records)).render()
    found = Tables(html)
    (board,) = found.of("Leaderboard")
    assert {row[0] for row in board[1:]} == {"ridge", "majority [L5]"}
    assert any(text.startswith("[L5]: test labels were used") for text in found.texts["Leaderboard"])
    (differences,) = found.of("Differences from the best")
    assert {differences[1][0]} < {"ridge", "majority [L5]"}
    assert re.search(r'class="warning">LEAKS: test labels were used \(majority\)', html)
    assert ["L5", "leak"] in [row[1:3] for row in found.of("Audit")[0]]


def test_gzsl_shows_h_and_the_unseen_side_of_each_class(tmp_path):
    records = [
        fake_record(m, s, protocol="gzsl", unseen=(True, False, True), top1=t)
        for m, t in (("ridge", (8, 5, 2)), ("eszsl", (1, 5, 3)))
        for s in (0, 1)
    ]
    found = report(tmp_path, records)
    (board,) = found.of("Leaderboard")
    shown = dict(zip(board[0], board[1], strict=True))
    assert (shown["S %"], shown["U %"], shown["H %"]) == ("50.0", "50.0", "50.0")
    (table,) = found.of("Classes")
    assert [row[0] for row in table[1:]] == ["jump", "ride bike"]  # kick was seen in every split
    (by_split,) = found.of("Difficulty of splits")
    assert by_split[1][3] == "50.0"  # the best row's H: S = U = 0.5
    assert by_split[1][2] == f"{100 * 2 * 0.5 * 0.2 / 0.7:.1f}"


def test_a_method_that_was_seen_on_other_splits_has_empty_cells(tmp_path):
    records = [fake_record("ridge", 0), fake_record("eszsl", 1, names=("kick", "swim", "wave"))]
    (table,) = report(tmp_path, records).of("Classes")
    by_class = {row[0]: row[1:] for row in table[1:]}
    assert by_class["kick"] == ["65.0", "50.0", "80.0"] or by_class["kick"] == ["65.0", "80.0", "50.0"]
    assert "-" in by_class["swim"]


def test_confusions_are_those_of_the_best_row(tmp_path):
    records = ten_cells()[:4]
    store = fake_store(tmp_path, records)
    for record in records:
        best = ["kick", "kick", "jump"] if record.cell.method == "ridge" else ["ride bike"] * 3
        columns = {
            "label": pa.array(["jump", "kick", "ride bike"]).dictionary_encode(),
            "predicted": pa.FixedSizeListArray.from_arrays(pa.array(best), 1),
        }
        pq.write_table(pa.table(columns), store.path(record.cell.id) / "predictions.parquet")
    found = Tables(build_page(records, store).render())
    (table,) = found.of("Confusions")
    assert table[1:] == [["jump", "kick", "2", "100.0"], ["ride bike", "jump", "2", "100.0"]]


def test_environments_and_commands_are_told_row_by_row(tmp_path):
    records = ten_cells()[:4]
    store = Store(tmp_path)
    for record in records:
        argv = ["/opt/x/bin/zslbench", "run", "--method", record.cell.method, "--set", "a b"]
        environment = {
            "zslbench": "1.2.3", "python": "3.11.9", "packages": {"numpy": "2.1.0", "absent": None},
            "processor": "A <fast> one", "cores": 8, "platform": "Linux", "device": "cpu",
            "git": {"commit": "c0ffee", "dirty": record.cell.method == "ridge"}, "command": argv,
        }  # fmt: skip
        store.write(record.cell, record.result, environment=environment)
    html = build_page(records, store).render()
    found = Tables(html)
    commits, machines, versions = found.of("Environment")
    assert sorted(commits[1:]) == [["c0ffee", "clean", "2"], ["c0ffee", "with uncommitted changes", "2"]]
    assert machines[1:] == [["A <fast> one", "8", "cpu", "Linux", "4"]]
    assert versions[1:] == [["numpy", "2.1.0", "4"], ["python", "3.11.9", "4"], ["zslbench", "1.2.3", "4"]]
    assert "C1  zslbench run --method eszsl --set &#39;a b&#39;" in html
    (table,) = found.of("Commands")
    assert {row[0]: row[3] for row in table[1:]} == {"eszsl": "C1", "ridge": "C2"}


@pytest.mark.parametrize(
    ("argv", "typed"),
    [
        (["/usr/bin/zslbench", "run", "--splits", "0:2"], "zslbench run --splits 0:2"),
        (["/x/zslbench/__main__.py", "run"], "python -m zslbench run"),
        ([], ""),
    ],
)
def test_a_command_is_written_as_it_is_typed(argv, typed):
    assert command_line(argv) == typed


def test_many_rows_are_cut_and_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("zslbench.report._sections.MOST_ROWS", 3)
    monkeypatch.setattr("zslbench.report._sections._COMPARED", 2)
    records = [
        fake_record("mine", split, params={"alpha": a, "beta": a > 4}, top1=(a, 5, 2))
        for a in range(1, 7)
        for split in (0, 1)
    ]
    page = build_page(records, fake_store(tmp_path, records))
    found = Tables(page.render())
    (board,) = found.of("Leaderboard")
    assert [row[0] for row in board[1:]] == [
        f"mine (alpha={a}, beta={b})" for a, b in ((6, "true"), (5, "true"), (4, "false"))
    ]
    html = page.render()
    assert "The first 3 of 6 rows" in html
    assert "Only the 2 rows with the best figures, of 6, are compared" in html
    (differences,) = found.of("Differences from the best")
    assert [row[0] for row in differences[1:]] == ["mine (alpha=5, beta=true)"]  # named as on the leaderboard


def test_many_tables_are_not_all_drawn_and_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_TABLES", 1)
    found = report(tmp_path, ten_cells())
    assert len(found.of("Leaderboard")) == 2
    assert len(found.of("Classes")) == 1
    assert "Shown: 1 of 2 tables, those with the most cells." in " ".join(found.texts["Classes"])


def test_the_verb_writes_one_file_and_filters(zslbench, tmp_path):
    fake_store(tmp_path / "runs", ten_cells())
    out = tmp_path / "new" / "r.html"
    code, said, _ = zslbench("report", "--results", tmp_path / "runs", "--method", "ridge", "--out", out)
    assert code == 0
    assert f"{out}: 5 cells" in said
    found = Tables(out.read_text())
    assert {row[0] for rows in found.of("Leaderboard") for row in rows[1:]} == {"ridge"}
    assert [path.name for path in out.parent.iterdir()] == ["r.html"]


def test_without_out_it_lies_in_the_results(zslbench, tmp_path):
    fake_store(tmp_path, ten_cells()[:1])
    assert zslbench("report", "--results", tmp_path)[0] == 0
    assert (tmp_path / "report.html").is_file()


def test_an_empty_store_is_one_sentence(zslbench, tmp_path):
    code, out, err = zslbench("report", "--results", tmp_path / "none")
    assert code == 2
    assert out == ""
    assert "no result is stored" in err
    assert not (tmp_path / "none").exists()


def test_a_filter_that_nothing_passes_is_one_sentence(zslbench, tmp_path):
    fake_store(tmp_path, ten_cells()[:1])
    code, _, err = zslbench("report", "--results", tmp_path, "--dataset", "ucf101")
    assert code == 2
    assert "there is: hmdb51" in err
    assert not (tmp_path / "report.html").exists()
