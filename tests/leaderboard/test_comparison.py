"""Comparisons of made-up cells against hand-computed cases, and what is said where nothing can be compared."""

import csv
import io
import json

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
    assert "SIMULATED" in notes(tables)[0]
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


def test_rows_without_common_splits_and_sorting_by_time_have_no_mark():
    records = [fake_record("a", 0, top1=(9, 9, 9)), fake_record("b", 1)]
    assert [row.near_best for row in build_rows(records, defaults=lambda label: {})] == [True, None]
    timed = build_rows(cells("a", 0.6) + cells("b", 0.6, seed=2), sort="fit_seconds", defaults=lambda label: {})
    assert [row.near_best for row in timed] == [None, None]


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
