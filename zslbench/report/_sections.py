"""Fill the sections of a report about accuracy and time.

A function of a whole section returns why it is empty, or nothing; one of a table, whether it had something to show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zslbench.cells.rows import Row, Table, is_reference
from zslbench.leaderboard.comparison import Comparison, TableComparison, compare
from zslbench.leaderboard.notes import footnotes
from zslbench.leaderboard.tables import columns_of, fit_seconds
from zslbench.report._content import MOST_ROWS, Content, first, row_id
from zslbench.report._heatmap import MOST_CLASSES, class_accuracies, heat_map_figure
from zslbench.report._intervals import TITLES, difference_figure, dot_figure, interval_figure
from zslbench.report._pareto import pareto_figure, pareto_front
from zslbench.report._splits import split_accuracies, split_figure
from zslbench.report.comparison_text import differs, p_text, points
from zslbench.report.confusion import confusion_figure, summed_confusion
from zslbench.report.page import Page
from zslbench.stats.intervals import COMBINED
from zslbench.tables.writer import Shown, share_text

_COMPARED = 30  # rows of a table that are compared in pairs
_CONFUSIONS = 15  # pairs listed
_MOST_CONFUSED = 160  # classes in a picture
# The value to sort a column by, if its text is not a number.
_SORTED_BY: dict[str, Callable[[Row], float | None]] = {
    "rank": lambda row: row.rank,
    "95 %\nover classes": lambda row: row.figures.get("low"),
    "gain over\nfrozen": lambda row: row.gain and row.gain.difference.mean,
    "change by\ncontrol": lambda row: row.control_change and row.control_change.difference.mean,
    "splits": lambda row: row.n_done,
    "fit s": lambda row: row.figures.get("fit_seconds"),
    "without\nfigures": lambda row: sum(row.failures.values()),
}


def leaderboard(page: Page, content: Content) -> str:
    """Add every table, with a picture of its intervals."""
    drawn = content.drawn()
    for table, rows in content.board.tables.items():
        page.heading(table.title)
        shown = rows[:MOST_ROWS]
        left_out = (
            f"The first {MOST_ROWS} of {len(rows):,} rows; 'zslbench leaderboard --format csv' writes all."
            if len(shown) < len(rows)
            else ""
        )
        columns = columns_of(rows)
        headers = [column.title for column in columns]
        cells = [[_cell(row, column.header, column.cell(row)) for column in columns] for row in shown]
        page.table(headers, cells, left_out)
        if table in drawn:
            kept, caption = first(drawn[table])
            page.figure(interval_figure(kept), _interval_words(kept), caption, themed=True)
    page.bullets(footnotes(content.board))
    untested = " Squares were not tested against rank 1." if any(row.untested for row in content.board) else ""
    page.text(
        "In the pictures: filled dots are rank 1 of their budget, or not significantly different; reference rows "
        f"(budget nothing or oracle) stay empty.{untested}"
    )
    content.say_left_out(page, drawn)
    return ""


def _cell(row: Row, header: str, text: str) -> Any:
    if header not in _SORTED_BY:
        return text
    return Shown(text, _SORTED_BY[header](row))


def _interval_words(rows: Sequence[Row]) -> str:
    def said(row: Row) -> str:
        low, high = (share_text(row.figures[name]) for name in ("low", "high"))
        return f"{row.name} {share_text(row.figures[row.primary])} %" + (f" ({low} to {high})" if low != "-" else "")

    return f"{TITLES[rows[0].primary]} with 95 % intervals: " + "; ".join(map(said, rows[:12]))


def comparisons(page: Page, content: Content) -> str:
    """Add each row's difference from the best of its table."""
    drawn = content.drawn(least=2)
    if not drawn:
        return "No table has two rows with figures to compare."
    for table, rows in drawn.items():
        page.heading(table.title)
        _add_differences(page, _compared(content, table, rows), len(rows))
    content.say_left_out(page, drawn, least=2)
    page.bullets([
        "p: paired t-test over classes; Holm: corrected over all pairs of rows of the table, not only those with the "
        "best. d_z: mean difference / standard deviation of the differences by class.",
        "The same figures chose the best row, so differences from it are rather too large than too small.",
        "The marks ~ of the leaderboard answer another question: which row is truly best. They test the leaderboard's "
        "figure (top-1 counts videos, per-class top-1 averages classes), corrected only for the number of rows.",
    ])  # fmt: skip
    return ""


def _compared(content: Content, table: Table, rows: Sequence[Row]) -> TableComparison:
    names = {content.names[row_id(row)]: row.name for row in rows[:_COMPARED]}
    # All cells of the table go in, or rows would get other names.
    records = [record for row in content.board.tables[table] for record in content.records(row)]
    (found,) = compare(records, list(names))
    pairs = (replace(pair, first=names[pair.first], second=names[pair.second]) for pair in found.comparisons)
    ordered = tuple(replace(row, name=names[row.name]) for row in found.rows)
    return replace(found, rows=ordered, comparisons=tuple(pairs))


def _add_differences(page: Page, found: TableComparison, n_rows: int) -> None:
    level, best = found.settings.level, found.rows[0].name
    pairs = [pair for pair in found.of(found.settings.figures(found.table)[0]) if pair.first == best]
    caption = f"Bars: {100 * level:g} % over classes. Filled: they differ after Holm's correction."
    if n_rows > _COMPARED:
        caption += (
            f" Only the {_COMPARED} rows with the best figures, of {n_rows:,}, are compared and corrected for; the "
            "marks ~ of the leaderboard count all."
        )
    if known := [pair for pair in pairs if pair.result]:
        page.figure(difference_figure(known, level), _difference_words(known), caption, themed=True)
    page.table(_DIFFERENCES, [_difference(pair, level) for pair in pairs], f"Best: {best}.")
    page.bullets(f"{best} and {pair.second}: {pair.reason}." for pair in pairs if pair.reason)


_DIFFERENCES = ["row", "best %", "row %", "difference, points", "95 % over classes", "p", "p (Holm)", "d_z",
                "classes won/tied/lost", "common splits"]  # fmt: skip


def _difference(pair: Comparison, level: float) -> list[Any]:
    values = [share_text(value) for value in pair.values]
    if pair.result is None:
        return [pair.second, *values, *["-"] * 6, pair.n_splits]
    r = pair.result
    # From the best's point of view it is first; here a row loses what the best wins.
    return [
        pair.second, *values, Shown(points(-r.mean), -r.mean), Shown(f"[{points(-r.high)}, {points(-r.low)}]", -r.high),
        Shown(p_text(r.p), r.p), Shown(p_text(pair.p_holm) + (" *" if differs(pair, level) else ""), pair.p_holm),
        "-" if np.isnan(r.dz) else Shown(f"{-r.dz:+.2f}", -r.dz),
        "-" if pair.figure in COMBINED else Shown(f"{r.losses}/{r.ties}/{r.wins}", r.losses), pair.n_splits,
    ]  # fmt: skip


def _difference_words(pairs: Sequence[Comparison]) -> str:
    said = [f"{p.second} {points(-p.result.mean)} points, p {p_text(p.p_holm)}" for p in pairs[:12] if p.result]
    return f"Differences from {pairs[0].first}: " + "; ".join(said)


def classes(page: Page, content: Content, table: Table, rows: Sequence[Row]) -> bool:
    """Add accuracies by method and class."""
    page.heading(table.title)
    kept, caption = first(rows)
    found = class_accuracies(kept)
    if len(found.classes) > MOST_CLASSES:
        half = MOST_CLASSES // 2
        caption += f" Drawn: the {half} easiest and the {half} hardest of {len(found.classes)} classes."
    easy, hard = (", ".join(found.classes[place]) for place in (slice(5), slice(-1, -6, -1)))
    alt = f"Accuracy of {len(kept)} rows on {len(found.classes)} classes. Easiest: {easy}. Hardest: {hard}."
    caption = f"Accuracy in %: dark is 0, yellow 100; an empty cell was not tested. {caption}"
    page.figure(heat_map_figure(found), alt, caption, themed=True, natural=True)
    cells = [
        [name, Shown(share_text(mean), mean), *map(share_text, values)]
        for name, mean, values in zip(found.classes, found.means, found.values.T, strict=True)
    ]
    headers = ["class", "mean %", *(f"{name} %" for name in found.methods)]
    page.table(headers, cells, "Per-class top-1.", fold=f"The numbers of all {len(found.classes)} classes")
    return True


def confusions(page: Page, content: Content, table: Table, rows: Sequence[Row]) -> bool:
    """Add the most frequent confusions of the best row of a table, and its whole matrix."""
    best = rows[0]
    cells = map(content.store.folder, content.records(best))
    found = summed_confusion(folder / "predictions.parquet" for folder in cells)
    if found is None:
        return False
    matrix, names = found
    page.heading(f"{best.name}: {table.title}")
    listed = _confused(matrix, names)
    caption = "The most frequent confusions; a video counts once in each split in which it was tested."
    page.table(["true class", "taken for", "videos", "% of the class's videos"], listed, caption)
    if len(names) <= _MOST_CONFUSED:
        said = "; ".join(f"{true} as {taken}" for true, taken, *_ in listed[:6])
        alt = f"Confusion matrix of {len(names)} classes. Most frequent confusions: {said}."
        page.figure(confusion_figure(matrix, names), alt, themed=True, natural=True,
                    fold=f"The whole matrix, {len(names)} classes")  # fmt: skip
    else:
        page.text(f"The matrix of {len(names)} classes could not be read and is not drawn.")
    return True


def _confused(matrix: np.ndarray[Any, Any], names: Sequence[str]) -> list[list[Any]]:
    totals = matrix.sum(axis=1)
    shares = np.divide(matrix, totals[:, None], out=np.zeros(matrix.shape), where=totals[:, None] > 0)
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = zip(*np.unravel_index(order, matrix.shape), strict=True)
    return [
        [names[i], names[j], int(matrix[i, j]), Shown(share_text(shares[i, j]), shares[i, j])]
        for i, j in pairs if shares[i, j] > 0
    ]  # fmt: skip


def splits(page: Page, content: Content, table: Table, rows: Sequence[Row]) -> bool:
    """Add accuracies by split."""
    kept, caption = first(rows)
    records = [record for row in kept for record in content.records(row)]
    found = split_accuracies(kept, {r.cell.split_digest: r.cell.split for r in records})
    if found is None:
        return False
    page.heading(table.title)
    means = found.means
    agree = (
        "" if np.isnan(found.agreement)
        else f"Rank correlation of splits between methods: {found.agreement:.2f} (Spearman, mean over pairs)."
    )  # fmt: skip
    hardest = f"Split {found.splits[0]} is the hardest ({share_text(means[0])} %), "
    easiest = f"split {found.splits[-1]} the easiest ({share_text(means[-1])} %), means over rows."
    page.figure(split_figure(found), hardest + easiest, f"{hardest}{easiest} {agree} {caption}", themed=True)
    cells = [
        [number, Shown(share_text(mean), mean), Shown(share_text(values.min()), values.min()),
         Shown(share_text(values.max()), values.max()), found.methods[int(values.argmax())]]
        for number, mean, values in zip(found.splits, means, found.values.T, strict=True)
    ]  # fmt: skip
    page.table(["split", "mean %", "least %", "most %", "best row"], cells, fold=f"The {len(cells)} splits")
    return True


def pareto(page: Page, content: Content, table: Table, rows: Sequence[Row]) -> bool:
    """Add accuracy against time."""
    timed = [row for row in rows if "fit_seconds" in row.figures and not is_reference(row)]
    if len(timed) < 2:
        return False
    page.heading(table.title)
    front = pareto_front(timed)
    said = "; ".join(f"{r.name} {share_text(r.figures[r.primary])} % in {fit_seconds(r)} s" for r in front)
    caption = f"On the front: {said}."
    page.figure(pareto_figure(timed), f"{len(timed)} rows. {caption}", caption, themed=True)
    return True


def hubness(page: Page, content: Content, table: Table, rows: Sequence[Row]) -> bool:
    """Add the skewness of first choices."""
    known = [row for row in rows if not np.isnan(row.figures.get("hubness", np.nan))]
    if not known:
        return False
    page.heading(table.title)
    kept, caption = first(known)
    alt = "Hubness: " + "; ".join(f"{row.name} {row.figures['hubness']:z.2f}" for row in kept[:12])
    label = "skewness of first choices; rows in order of accuracy"
    page.figure(dot_figure(kept, "hubness", label), alt, caption, themed=True)
    return True
