"""Comparisons of made-up cells against hand-computed cases, and what is said where nothing can be compared."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from fakes import fake_record, fake_store
from scipy import stats

from zslbench.errors import ZslbenchError
from zslbench.leaderboard.board import build_rows
from zslbench.leaderboard.comparison import Settings, compare
from zslbench.leaderboard.tables import write_table
from zslbench.report.comparison import comparison_figure
from zslbench.report.comparison_text import COMPARISON_FORMATS, notes
from zslbench.report.comparison_text import render as render_comparison

NAMES = tuple(f"class {i:02d}" for i in range(20))


def cells(method, mean, *, n_splits=4, seed=1, names=NAMES, **cell):
    """Cells of a method that is right in about ``mean`` of the videos; half of the classes in each split."""
    rng = np.random.default_rng(seed)
    draws = np.random.default_rng(99)
    records = []
    for split in range(n_splits):
        chosen = sorted(draws.permutation(len(names))[: len(names) // 2])
        top1 = rng.binomial(50, mean, len(chosen)).tolist()
        records.append(
            fake_record(method, split, names=tuple(names[i] for i in chosen), scored=(50,) * len(chosen), top1=top1,
                        **cell)
        )  # fmt: skip
    return records


def compared(records, methods=(), **settings):
    return compare(records, methods, Settings(**settings), defaults=lambda label: {})


def test_the_difference_of_a_hand_computed_case():
    # a: classes 0.7 (0.8 and 0.6), 0.5, 0.3. b: 0.2, 0.4, 0.3.
    a = [fake_record("a", 0, top1=(8, 5, 3)), fake_record("a", 1, top1=(6, 5, 3))]
    b = [fake_record("b", 0, top1=(2, 4, 3)), fake_record("b", 1, top1=(2, 4, 3))]
    (table,) = compared(a + b)
    (found,) = table.comparisons
    d = np.array([0.5, 0.1, 0.0])
    assert (found.first, found.second, found.n_splits) == ("a", "b", 2)
    assert found.values == pytest.approx((0.5, 0.3))
    assert found.result.mean == pytest.approx(d.mean())
    assert found.result.p == found.p_holm == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
    assert (found.result.wins, found.result.ties, found.result.losses) == (2, 1, 0)
    assert [(k.name, round(k.difference, 6), k.n_splits) for k in found.classes] == [
        ("jump", 0.5, 2), ("kick", 0.1, 2), ("ride bike", 0.0, 2),
    ]  # fmt: skip


def test_only_common_splits_and_seeds_are_compared():
    a = [fake_record("a", s, seed=seed, top1=(8, 5, 3)) for s in range(4) for seed in (0, 1)]
    b = [fake_record("b", 1, top1=(2, 4, 2)), fake_record("b", 2, top1=(2, 4, 2)), fake_record("b", 9)]
    b.append(fake_record("b", 2, seed=7, top1=(10, 10, 10)))
    (found,) = compared(a + b)[0].comparisons
    assert (found.n_splits, found.n_cells) == (2, 2)
    assert found.values == pytest.approx((16 / 30, 8 / 30))


def test_methods_without_a_common_split_or_with_two_classes_get_a_reason():
    (apart,) = compared([fake_record("a", 0), fake_record("b", 1)])[0].comparisons
    assert apart.result is None
    assert "in common" in apart.reason
    two = {"names": ("jump", "kick"), "scored": (10, 10), "top1": (5, 6)}
    (few,) = compared([fake_record("a", **two), fake_record("b", **two)])[0].comparisons
    assert few.result is None
    assert "2 classes were tested" in few.reason
    (other,) = compared([fake_record("a"), fake_record("b", scored=(10, 11, 10))])[0].comparisons
    assert "different videos" in other.reason
    for fmt in COMPARISON_FORMATS:
        assert "2 classes were tested" in render_comparison(
            compared([fake_record("a", **two), fake_record("b", **two)]), fmt
        )


def test_holms_correction_is_over_all_pairs_of_a_table():
    records = cells("a", 0.6) + cells("b", 0.5, seed=2) + cells("c", 0.48, seed=3)
    pairs = compared(records)[0].comparisons
    assert [(c.first, c.second) for c in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    by_p = sorted(pairs, key=lambda c: c.result.p)
    assert by_p[0].p_holm == pytest.approx(3 * by_p[0].result.p)
    assert by_p[1].p_holm == pytest.approx(max(by_p[0].p_holm, 2 * by_p[1].result.p))


def test_a_name_is_a_label_or_a_row_and_must_be_one_of_them():
    usual = {"alpha": 1.0}
    records = [fake_record("ridge", params=usual), fake_record("ridge", params={"alpha": 2.0})]
    records += [fake_record("ridge", params={"alpha": 3.0}), fake_record("eszsl", simulated=True)]

    def run(*names):
        return [c for t in compare(records, names, defaults=lambda label: usual) for c in t.comparisons]

    assert {run("ridge", "eszsl")[0].first, run("ridge", "eszsl")[0].second} == {"ridge", "eszsl [simulated]"}
    assert {c.first for c in run("ridge (alpha=2)", "ridge")} <= {"ridge", "ridge (alpha=2)"}
    with pytest.raises(ZslbenchError, match="Did you mean ridge"):
        run("rigde", "eszsl")
    with pytest.raises(ZslbenchError, match="second method"):
        run("ridge")
    with pytest.raises(ZslbenchError, match=r"'ridge \(alpha=2\)', 'ridge \(alpha=3\)'"):
        compare(records[1:], ["ridge", "eszsl"], defaults=lambda label: usual)
    with pytest.raises(ZslbenchError, match="no table has figures of two"):
        compare([fake_record("a"), fake_record("b", semantics="word2vec")], ["a", "b"])


def test_gzsl_compares_h_and_both_sides():
    rng = np.random.default_rng(0)
    records = []
    for split in range(3):
        unseen = tuple(bool(x) for x in rng.permutation(20) < 10)
        for method, p in (("a", 0.5), ("b", 0.2)):
            top1 = rng.binomial(50, [p if u else 0.6 for u in unseen]).tolist()
            records.append(
                fake_record(method, split, names=NAMES, unseen=unseen, scored=(50,) * 20, top1=top1, protocol="gzsl")
            )
    (table,) = compared(records)
    h, u, s = table.comparisons
    assert [c.figure for c in (h, u, s)] == ["H", "U", "S"]
    board = {row.label: row.figures for row in build_rows(records, defaults=lambda label: {})}
    assert h.result.mean == pytest.approx(board["a"]["H"] - board["b"]["H"])
    assert h.p_holm < 0.001
    assert u.result.mean == pytest.approx(0.3, abs=0.05)
    assert s.result.low < 0 < s.result.high
    assert h.classes == ()
    text = render_comparison([table])
    assert text.index("H, the harmonic mean") < text.index("U, per-class")


def test_the_per_video_figure_is_the_leaderboards():
    records = cells("a", 0.6) + cells("b", 0.5, seed=2)
    (found,) = compared(records, metric="top1")[0].comparisons
    board = {row.label: row.figures["top1"] for row in build_rows(records, defaults=lambda label: {})}
    assert found.values == pytest.approx((board["a"], board["b"]))


@pytest.mark.parametrize(("protocol", "metric"), [("gzsl", "H"), ("base-to-novel", "novel"), ("base-to-novel", "HM")])
def test_a_figure_of_another_protocol_is_compared_where_it_is_asked_for(protocol, metric):
    sides = tuple(i % 2 == 0 for i in range(10))
    records = [
        fake_record(method, 0, names=NAMES[:10], scored=(50,) * 10, top1=top1, unseen=sides, protocol=protocol)
        for method, top1 in {"a": tuple(range(30, 40)), "b": tuple(range(20, 30))}.items()
    ]
    (table,) = compared(records + cells("a", 0.6) + cells("b", 0.5, seed=2), metric=metric)
    (found,) = table.comparisons
    board = {row.label: row.figures.get(metric) for row in build_rows(records, defaults=lambda label: {})}
    assert (table.table.protocol, found.values) == (protocol, pytest.approx((board["a"], board["b"])))
    if metric == "novel":
        assert {each.name for each in found.classes} == set(NAMES[0:10:2])


def test_top_5_is_compared_by_the_videos_right_in_five():
    records = []
    for method, top5 in {"a": (8, 7, 6), "b": (5, 5, 5)}.items():
        found = fake_record(method, 0, scored=(10,) * 3, top1=(1, 1, 1))
        counts = found.result.classes.model_copy(update={"top5": top5})
        records.append(replace(found, result=found.result.model_copy(update={"classes": counts})))
    (found,) = compared(records, metric="top5")[0].comparisons
    assert found.values == pytest.approx((0.7, 0.5))
    assert [each.difference for each in found.classes] == pytest.approx([0.3, 0.2, 0.1])


def test_a_figure_that_no_table_has_is_refused_with_those_that_there_are():
    with pytest.raises(ZslbenchError, match="no table has the figure HM: zsl has top1, top1_per_class, top5"):
        compared(cells("a", 0.6) + cells("b", 0.5, seed=2), metric="HM")


def test_nadeau_bengio_takes_the_shares_of_the_split():
    records = cells("a", 0.6, family="random-80/20") + cells("b", 0.5, seed=2, family="random-80/20")
    (found,) = compared(records, nadeau_bengio=True)[0].comparisons
    by_split = [
        np.mean(np.subtract(a.result.classes.top1, b.result.classes.top1)) / 50
        for a, b in zip(records[:4], records[4:], strict=True)
    ]
    t = np.mean(by_split) / np.sqrt((1 / 4 + 20 / 80) * np.var(by_split, ddof=1))
    assert found.p_splits == pytest.approx(2 * stats.t.sf(abs(t), 3))
    # hmdb51's xu-50/50 has 25 unseen and 26 seen classes.
    records = [fake_record(m, s, top1=(3 + (m == "a") * s, 3, 3)) for m in "ab" for s in range(3)]
    t = 1 / 30 / (np.sqrt(1 / 3 + 25 / 26) / 30)  # differences by split 0, 1, 2 thirtieths
    assert compared(records, nadeau_bengio=True)[0].comparisons[0].p_splits == pytest.approx(2 * stats.t.sf(t, 2))


def test_all_formats_name_the_methods_and_what_simulated_means():
    records = cells("a", 0.6, simulated=True) + cells("b", 0.5, seed=2, simulated=True) + cells("c", 0.1, seed=3)
    tables = compared(records)
    assert "SIMULATED" in notes(tables)[0].text
    text = {fmt: render_comparison(tables, fmt) for fmt in COMPARISON_FORMATS}
    assert all("a [simulated]" in t.replace("\\", "") for t in text.values())
    rows = list(csv.DictReader(io.StringIO(text["csv"])))
    content = json.loads(text["json"])["comparisons"]
    assert [float(r["p_holm"]) for r in rows] == [c["p_holm"] for c in content]
    assert len(content[0]["classes"]) == content[0]["n_classes"]
    assert "row minus column" in text["console"]


def test_the_leaderboard_marks_rows_without_a_significant_difference_from_the_best():
    records = cells("best", 0.60) + cells("near", 0.59, seed=2) + cells("far", 0.3, seed=3)
    records += cells("other budget", 0.1, seed=4, budget=("class-vectors", "oracle"))
    board = build_rows(records, defaults=lambda label: {})
    assert {row.label: row.near_best for row in board} == {
        "best": True, "near": True, "far": False, "other budget": None,
    }  # fmt: skip
    text = write_table(board)
    assert [line.split()[1:3] for line in text.splitlines() if line.startswith("near")] == [["2", "~"]]
    assert "may" not in text.split("~:")[0]
    assert "~: no significant difference" in text
    assert "~" not in write_table(build_rows(cells("best", 0.6) + cells("far", 0.2, seed=3), defaults=lambda label: {}))
    assert json.loads(write_table(board, "json"))["rows"][1]["no_significant_difference_from_best"] is True


def test_the_mark_looks_at_common_splits_only():
    def of(method, split, top1):
        return fake_record(method, split, names=NAMES, scored=(50,) * 20, top1=top1)

    same = tuple(range(20, 40))
    records = [of("a", 0, same), of("b", 0, same[::-1]), of("b", 1, (0,) * 20)]
    assert [(row.label, row.near_best) for row in build_rows(records, defaults=lambda label: {})] == [
        ("a", True), ("b", True),
    ]  # fmt: skip


def marks(board):
    """Return label -> its rank with its mark, as each format shows it."""
    shown = {}
    for row in board:
        (line,) = (line for line in write_table(board).splitlines() if line.startswith(f"{row.label} "))
        shown[row.label] = line[len(row.label) :].split("  ")
        shown[row.label] = next(cell.strip() for cell in shown[row.label] if cell.strip())
    return shown


def test_a_rank_says_whether_it_differs_does_not_differ_or_was_not_tested():
    records = cells("best", 0.6) + cells("near", 0.59, seed=2) + cells("far", 0.3, seed=3)
    records += [fake_record("alone", 99, names=NAMES, scored=(50,) * 20, top1=(10,) * 20)]
    board = build_rows(records, defaults=lambda label: {})
    assert marks(board) == {"best": "1", "near": "2 ~", "far": "3", "alone": "4 ?"}
    assert [row.untested for row in board] == ["", "", "", "no split in common with rank 1"]
    for fmt in ("console", "markdown", "html"):
        text = write_table(board, fmt, explain=True)
        assert "not tested against rank 1 (no split in common with rank 1)" in text
        assert "A rank above 1 without a mark: significantly below rank 1" in text
        assert "the truly best of the tested rows" in text
    facts = {row["method"]: row for row in json.loads(write_table(board, "json"))["rows"]}
    assert {name: (f["no_significant_difference_from_best"], f["not_tested"]) for name, f in facts.items()} == {
        "best": (True, ""), "near": (True, ""), "far": (False, ""), "alone": (None, "no split in common with rank 1"),
    }  # fmt: skip
    lines = csv.DictReader(io.StringIO(write_table(board, "csv")))
    assert {line["method"]: line["not_tested"] for line in lines}["alone"] == "no split in common with rank 1"


@pytest.mark.parametrize(
    ("records", "options", "reason"),
    [
        ([fake_record("a", 0, top1=(9, 9, 9)), fake_record("b", 1)], {}, "no split in common with rank 1"),
        ([fake_record("a", top1=(9, 8)), fake_record("b", top1=(7, 7))], {}, "fewer than 3 classes"),
        (
            [fake_record("a", top1=(9, 8, 9)), fake_record("b", top1=(7, 7, 7), scored=(10, 9, 10))],
            {},
            "scored on other videos than rank 1",
        ),
        ([fake_record("a"), fake_record("b")], {"sort": "fit_seconds"}, "fit_seconds has no values per class"),
    ],
)
def test_what_was_not_tested_has_its_mark_and_reason_and_no_claim_of_a_test(records, options, reason):
    board = build_rows(records, defaults=lambda label: {}, **options)
    assert [row.untested for row in board] == ["", reason]
    assert marks(board)["b"].endswith("?")
    text = write_table(board)
    assert f"?: not tested against rank 1 ({reason})" in text
    assert "~" not in text
    assert "95 % confidence" not in text
    assert "without a mark" not in text


def test_seeds_of_the_same_splits_do_not_make_other_videos():
    records = cells("a", 0.6) + cells("b", 0.59, seed=2)
    records += [replace(record, cell=record.cell.model_copy(update={"seed": 1})) for record in cells("b", 0.59, seed=2)]
    assert [row.untested for row in build_rows(records, defaults=lambda label: {})] == ["", ""]


def test_one_row_alone_has_neither_a_mark_nor_a_sentence_about_tests():
    text = write_table(build_rows([fake_record("a")], defaults=lambda label: {}))
    assert "not tested" not in text
    assert "~" not in text


def seeded(method, *, seeds=(0,), reads=True, epochs=(), splits=3):
    """Return finished cells of a method that did or did not read its seed; ``None``: of an earlier version."""
    return [
        replace(record, result=record.result.model_copy(update={"reads_seed": reads}))
        for seed in seeds
        for record in (
            fake_record(method, i, names=NAMES, scored=(50,) * 20, seed=seed, epochs=epochs, top1=tuple(range(20)))
            for i in range(splits)
        )
    ]


@pytest.mark.parametrize(
    ("first", "warned"),
    [
        (seeded("net"), True),
        (seeded("net", seeds=(0, 1)), False),
        (seeded("net", reads=False), False),
        (seeded("net", reads=None, epochs=[{"loss": 1.0}]), True),
        (seeded("net", reads=None), False),
    ],
)
def test_one_seed_of_a_method_that_reads_it_is_warned_of(first, warned):
    records = first + seeded("fixed", reads=False, seeds={record.cell.seed for record in first})
    board = write_table(build_rows(records, defaults=lambda label: {}))
    compared_text = render_comparison(compared(records), "console")
    for text in (board, compared_text):
        assert ("One seed: others may give other figures (--seed 0 --seed 1): net." in text) is warned
    assert json.loads(render_comparison(compared(records), "json"))["comparisons"][0]["common_seeds"] == (
        1 if len(first) == 3 else 2
    )


def test_seeds_that_the_other_method_lacks_do_not_help_a_comparison():
    records = seeded("net", seeds=(0, 1, 2)) + seeded("other net")
    notes_of = notes(compared(records))
    assert any("may give net, other net other figures" in note for note, _ in notes_of)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_pictures_show_every_method(n, tmp_path):
    records = [r for i in range(n) for r in cells(f"method {i}", 0.3 + 0.1 * i, seed=i)]
    (table,) = compared(records)
    figure = comparison_figure(table)
    figure.savefig(tmp_path / "picture.png")
    texts = " ".join(t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")))
    assert all(f"method {i}" in texts for i in range(n))


def test_the_store_gives_the_same_comparison(tmp_path):
    records = cells("a", 0.6) + cells("b", 0.5, seed=2)
    assert render_comparison(compared(fake_store(tmp_path, records).records())) == render_comparison(compared(records))
