"""Ranked rows against hand-computed cases."""

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from fakes import fake_record, fake_store

from zslbench.cells.cell import State
from zslbench.cells.rows import shown_metrics
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.leaderboard.board import build_rows
from zslbench.leaderboard.paper import board_document
from zslbench.leaderboard.tables import BOARD_FORMATS, splits_text, write_table
from zslbench.stats.intervals import estimate
from zslbench.tables.formats import document_text

pytestmark = pytest.mark.versions


def unknown(label):
    """No method is installed."""


def rows(records, **options):
    return build_rows(records, defaults=options.pop("defaults", lambda label: {}), **options)


def test_figures_of_a_hand_computed_case():
    # Split 0: 15 of 30 right; classes 0.8, 0.5, 0.2. Split 1: 6 of 40 right; classes 0.1, 0.2, and 0.25 of the new one.
    records = [
        fake_record(split=0, top1=(8, 5, 2), scored=(10, 10, 10), fit_seconds=1.0),
        fake_record(split=1, top1=(1, 4, 5), scored=(10, 20, 20), names=("jump", "kick", "swim"), fit_seconds=3.0),
    ]
    row = rows(records)[0]
    assert row.figures["top1"] == pytest.approx((15 / 30 + 10 / 50) / 2)
    assert row.figures["split_std"] == pytest.approx((15 / 30 - 10 / 50) / math.sqrt(2))
    assert row.figures["top1_per_class"] == pytest.approx((0.5 + (0.1 + 0.2 + 0.25) / 3) / 2)
    assert "top5" not in row.figures  # with three classes every video is right
    assert row.figures["fit_seconds"] == 2.0
    correct = np.array([[8, 5, 2, 0], [1, 4, 0, 5.0]])
    total = np.array([[10, 10, 10, 0], [10, 20, 0, 20.0]])
    assert math.isnan(row.figures["low"])  # four classes are too few for an interval
    assert estimate(correct, total, "top1").mean == pytest.approx(row.figures["top1"])


def test_gzsl_figures_are_means_of_each_split():
    unseen = (False, False, True, True)
    records = [
        fake_record(protocol="gzsl", unseen=unseen, top1=(8, 6, 3, 1), metrics={"AUSUC": 0.2, "H_calibrated": 0.3}),
        fake_record(split=1, protocol="gzsl", unseen=unseen, top1=(4, 4, 4, 4), metrics={"AUSUC": 0.4}),
    ]
    figures = rows(records)[0].figures
    h = [2 * 0.7 * 0.2 / 0.9, 0.4]
    assert figures["S"] == pytest.approx((0.7 + 0.4) / 2)
    assert figures["U"] == pytest.approx((0.2 + 0.4) / 2)
    assert figures["H"] == pytest.approx(np.mean(h))
    assert figures["split_std"] == pytest.approx(np.std(h, ddof=1))
    assert figures["AUSUC"] == pytest.approx(0.3)
    assert "H_calibrated" not in figures  # a mean over the one split that has it would be another thing


def test_seeds_of_a_split_are_pooled_and_repeated_splits_count_once():
    records = [fake_record(split=0, seed=seed, top1=(seed * 10, 0, 0), repeats=3) for seed in (0, 1)]
    records.append(fake_record(split=1, top1=(10, 10, 10)))
    row = rows(records)[0]
    assert row.figures["top1"] == pytest.approx((1 / 6 + 1) / 2)
    assert (row.n_splits, row.n_done, row.n_all, row.seeds) == (2, 4, 50, (0, 1))
    assert "4/50 (2 distinct), 2 seeds" in write_table(rows(records))


def test_the_order_of_cells_changes_no_figure():
    records = [fake_record(split=i, names=(f"c{i}", "b", f"a{i}"), top1=(i, 9 - i, 3)) for i in range(8)]
    assert rows(records)[0].figures == rows(records[::-1])[0].figures


def test_failures_are_counted_and_never_averaged():
    records = [
        fake_record("ridge"),
        fake_record("ridge", 1, state=State.TIMEOUT),
        fake_record("eszsl", state=State.FAILED),
        fake_record("eszsl", 1, state=State.OUT_OF_MEMORY),
    ]
    done, failed = rows(records)
    assert done.figures["top1"] == 0.5
    assert done.failures == {"timeout": 1}
    assert (failed.figures, failed.rank) == ({}, None)
    assert "1 failed, 1 out-of-memory" in write_table(rows(records))


def test_ranks_are_within_a_table_and_a_budget():
    records = [
        fake_record("ridge", top1=(5, 5, 5)),
        fake_record("eszsl", top1=(6, 6, 6)),
        fake_record("tied", top1=(6, 6, 6)),
        fake_record("random", top1=(1, 1, 1), budget=()),
        fake_record("oracle", top1=(9, 9, 9), budget=("class-vectors", "oracle")),
        fake_record("ridge", top1=(1, 1, 1), semantics="word2vec"),
    ]
    ranks = {(row.label, row.table.semantics): row.rank for row in rows(records)}
    assert ranks == {
        ("random", "minilm"): 1,
        ("eszsl", "minilm"): 1,
        ("tied", "minilm"): 1,
        ("ridge", "minilm"): 3,
        ("oracle", "minilm"): 1,
        ("ridge", "word2vec"): 1,
    }
    mixed = [(row.label, row.rank) for row in rows(records, mix_budgets=True) if row.table.semantics == "minilm"]
    assert mixed == [("oracle", 1), ("eszsl", 2), ("tied", 2), ("ridge", 4), ("random", 5)]


def test_sorting_by_another_figure():
    records = [fake_record("ridge", fit_seconds=9.0, top1=(9, 9, 9)), fake_record("eszsl", fit_seconds=1.0)]
    assert [row.label for row in rows(records)] == ["ridge", "eszsl"]
    assert [row.label for row in rows(records, sort="fit_seconds")] == ["eszsl", "ridge"]
    with pytest.raises(ZslbenchError, match="top1"):
        rows(records, sort="top-1")
    with pytest.raises(ZslbenchError, match="AUSUC"):
        rows(records, sort="AUSUC")


def test_chosen_parameters_are_shown_and_two_labels_of_the_same_ones_are_one_row():
    def defaults(label):
        return {"alpha": 1.0, "steps": 5}

    usual = {"alpha": 1.0, "steps": 5}
    records = [
        fake_record("ridge", 0, params=usual),
        fake_record("ridge", 1, params=usual | {"alpha": 2.5}),
        fake_record("ridge:plain", 2, params=usual, finished=2_000.0),
    ]
    assert sorted(row.name for row in rows(records, defaults=defaults)) == ["ridge (alpha=2.5)", "ridge:plain"]


def test_parameters_that_differ_are_shown_where_the_method_is_not_installed():
    records = [fake_record("alien", i, params={"alpha": float(i), "same": 1}) for i in (1, 2)]
    assert sorted(row.name for row in rows(records, defaults=unknown)) == ["alien (alpha=1)", "alien (alpha=2)"]


def test_only_the_newest_code_and_data_are_shown():
    old = fake_record("ridge", method_digest="a" * 32, finished=1_000.0, top1=(10, 10, 10))
    new = fake_record("ridge", method_digest="b" * 32, finished=2_000.0)
    other = fake_record("eszsl", finished=1_500.0)
    board = rows([old, new, other])
    assert [(row.label, row.figures["top1"]) for row in board] == [("eszsl", 0.5), ("ridge", 0.5)]
    assert board.hidden == ("ridge",)
    hidden = "Hidden rows of older code, older data, or a bundle's other data: ridge. --all"
    assert hidden in write_table(board, explain=True)
    assert "Hidden rows of other code or data: 1; --all-versions shows them." in write_table(board)
    everything = rows([old, new, other], all_versions=True)
    assert [row.name for row in everything] == [
        f"ridge @aaaaaa+{old.cell.features_digest[:6]}",
        "eszsl",
        f"ridge @bbbbbb+{old.cell.features_digest[:6]}",
    ]
    imported_again = fake_record("devise", features_digest="c" * 32, finished=3_000.0)
    assert [row.label for row in rows([old, new, other, imported_again])] == ["devise"]


def test_rows_on_different_splits_carry_a_warning():
    same = [fake_record("ridge"), fake_record("eszsl")]
    assert "different splits" not in write_table(rows(same))
    assert "different splits" in write_table(rows([*same, fake_record("eszsl", 1)]))


def written(board, fmt):
    document = board_document(board, fmt)
    return document.own.get(fmt) or document_text(document, fmt)


@pytest.mark.parametrize("fmt", [*BOARD_FORMATS, "latex"])
def test_simulated_rows_are_unmistakable_in_their_first_column(fmt):
    board = rows([fake_record(simulated=True, reconstruction=True)])
    text = written(board, fmt) if fmt == "latex" else write_table(board, fmt)
    assert "ridge [simulated] [reconstruction]" in text.replace("\\", "")
    if fmt == "csv":
        assert text.splitlines()[1].startswith("ridge [simulated]")
    else:
        assert "SIMULATED FEATURES" in text


@pytest.mark.parametrize("fmt", ["console", "markdown", "latex", "html"])
def test_every_spread_says_what_it_is_over(fmt):
    board = rows([fake_record()])
    found = written(board, fmt) if fmt == "latex" else write_table(board, fmt, explain=True)
    text = " ".join(found.replace("\\", "").split())
    assert "Interval: 95 % of the mean top-1 over classes" in text
    assert "standard deviation over distinct splits (ddof=1)" in text
    assert "±" not in text


def test_latex_and_html_escape_what_a_label_may_hold():
    records = [fake_record("<b>&_%", semantics="word_2%vec & more")]
    latex = written(rows(records), "latex")
    assert r"\ensuremath{<}b\ensuremath{>}\&\_\%" in latex
    assert r"word\_2\%vec \& more" in latex
    page = write_table(rows(records), "html")
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;_%" in page
    assert r"\<b\>&\_%" in write_table(rows(records), "markdown")


def test_csv_and_json_hold_the_same_plain_numbers():
    board = rows([fake_record(), fake_record("eszsl", state=State.FAILED)])
    table = list(csv.DictReader(io.StringIO(write_table(board, "csv"))))
    content = json.loads(write_table(board, "json"))
    assert float(table[0]["top1"]) == content["rows"][0]["top1"] == 0.5
    assert content["rows"][0]["sd_over_splits_ddof1"] is None  # one split has no spread
    assert table[0]["sd_over_splits_ddof1"] == ""
    assert json.loads(table[1]["without_figures"]) == {"failed": 1}


def test_the_index_gives_the_same_rows_as_the_directories(tmp_path):
    records = [fake_record(split=i, params={"alpha": 1.5, "deep": {"a": [1, None]}}) for i in range(3)]
    records.append(fake_record("eszsl", state=State.KILLED))
    store = fake_store(tmp_path, records)
    first, second = list(store.records()), list(store.records())
    assert (tmp_path / "index.sqlite").is_file()
    assert write_table(rows(first), "json") == write_table(rows(second), "json") == write_table(rows(records), "json")
    assert {record.cell.id for record in second} == {record.cell.id for record in records}
    by_id = {record.cell.id: record for record in records}
    for record in second:
        assert record.cell == by_id[record.cell.id].cell
        assert record.result.classes == by_id[record.cell.id].result.classes
        assert record.result.model_dump_json()


SIX = ("jump", "kick", "ride bike", "run", "walk", "wave")


def text_of(records, fmt="console", **options):
    board = rows(records, **options)
    return written(board, fmt) if fmt == "latex" else write_table(board, fmt, explain=True)


def test_top_5_is_shown_with_six_classes_and_with_five_nowhere():
    five = [fake_record(top1=(8, 5, 2, 4, 6), metrics={"top5": 1.0, "top5_per_class": 1.0})]
    six = [fake_record(top1=(8, 5, 2, 4, 6, 1), names=SIX, metrics={"top5_per_class": 0.9})]
    assert rows(six)[0].figures.keys() >= {"top5", "top5_per_class"}
    assert not {"top5", "top5_per_class"} & rows(five)[0].figures.keys()
    both = [*five, fake_record(split=1, top1=(1,) * 6, names=SIX)]
    assert not {"top5", "top5_per_class"} & rows(both)[0].figures.keys()  # one split of the mean would be 100 for sure
    for fmt in ("console", "markdown", "latex", "html", "csv", "json"):
        assert "100.0" not in text_of(five, fmt)
    assert "With at most 5 unseen classes there is no top-5" in text_of(five)
    assert "With at most 5 unseen classes" not in text_of(six)
    with pytest.raises(ZslbenchError, match="none of these rows has the figure 'top5'"):
        rows(five, sort="top5")


@pytest.mark.parametrize("protocol", ["zsl", "gzsl"])
def test_a_split_with_one_unseen_class_has_no_rank_and_no_figure(protocol):
    seen = (False, False) if protocol == "gzsl" else ()
    one = fake_record("a", top1=(9,) * (len(seen) + 1), unseen=(*seen, True), protocol=protocol)
    found = rows([one])[0]
    assert (found.rank, found.figures, found.counts) == (None, {}, None)
    assert found.failures == {"one unseen class": 1}
    assert shown_metrics(one) == {}
    for fmt in ("console", "markdown", "latex", "html", "csv", "json"):
        text = text_of([one], fmt)
        assert "100.0" not in text
        assert "90.0" not in text
    assert "1 one unseen class" in text_of([one])
    assert "in zsl every method recognises it" in text_of([one])


def test_a_split_with_one_unseen_class_is_in_no_mean():
    records = [fake_record(split=0, top1=(10,)), fake_record(split=1, top1=(2, 3, 4))]
    found = rows(records)[0]
    assert found.figures["top1"] == pytest.approx(9 / 30)
    assert (found.n_splits, found.failures) == (1, {"one unseen class": 1})


def test_a_part_of_a_family_that_repeats_splits_is_counted_in_distinct_ones():
    first = get_dataset("ucf101").family("xu-50/50").splits[0]
    (row,) = rows([fake_record(dataset="ucf101", family="xu-50/50", top1=(1, 2, 3))])
    assert splits_text(replace(row, splits=frozenset({first.digest}), n_splits=1, n_done=2)) == "1 of 47 distinct"
    every = frozenset(split.digest for split in get_dataset("ucf101").family("xu-50/50").splits)
    assert splits_text(replace(row, splits=every, n_splits=47, n_done=50)) == "50/50 (47 distinct)"
    assert splits_text(replace(row, splits=frozenset({"another"}), n_splits=1, n_done=1)) == "1/50"
