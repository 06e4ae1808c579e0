"""Write comparisons of methods: console and Markdown for people, LaTeX for papers, CSV and JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from zslbench.leaderboard.comparison import Comparison, TableComparison
from zslbench.leaderboard.notes import SIMULATED_NOTE, one_seed_note
from zslbench.stats.intervals import COMBINED
from zslbench.tables.document import Document, Section
from zslbench.tables.notes import Note, note_lines
from zslbench.tables.widths import wrapped
from zslbench.tables.writer import Shown, columns, csv_text, escape, share_text, table_text, without_nan

FIGURE_TITLES = {
    "top1_per_class": "per-class top-1",
    "top1": "top-1 (each video once)",
    "top5": "top-5 (each video once)",
    "H": "H, the harmonic mean of S and U",
    "U": "U, per-class top-1 of unseen classes",
    "S": "S, per-class top-1 of seen classes",
    "HM": "HM, the harmonic mean of base and novel",
    "novel": "top-1 of novel classes (each video once)",
    "base": "top-1 of base classes (each video once)",
}
_CORNER = "row minus column, points"
_LEFT = {"first", "second", "class", _CORNER}  # headers of columns that are aligned to the left
# What a narrow terminal leaves out of the pairs first; of a matrix, the last columns.
_DROP = ("superi-\nority %", "d_z", "p", "classes won/\ntied/lost", "p (Nadeau-\nBengio)", "common\nsplits")


def differs(comparison: Comparison, level: float) -> bool:
    """Return whether two methods differ after Holm's correction."""
    return comparison.p_holm <= 1 - level


def points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return "-" if math.isnan(share) else f"{100 * share:+.1f}"


def p_text(p: float) -> str:
    """Return a p-value to three decimal places."""
    return "-" if math.isnan(p) else "<0.001" if p < 0.0005 else f"{p:.3f}"


def _pair_cells(c: Comparison, table: TableComparison) -> list[str]:
    level, splits = table.settings.level, f"{c.n_splits}"
    if c.n_cells != c.n_splits:
        splits += f" ({c.n_cells} with seeds)"
    names = [c.first, c.second, *map(share_text, c.values)]
    if c.result is None:
        return [*names, *["-"] * (7 + table.settings.nadeau_bengio), splits]
    r = c.result
    record = "-" if c.figure in COMBINED else f"{r.wins}/{r.ties}/{r.losses}"
    superiority = "-" if c.figure in COMBINED else share_text(r.superiority)
    mark = " *" if differs(c, level) else ""
    return [
        *names, points(r.mean), f"[{points(r.low)}, {points(r.high)}]", p_text(r.p), p_text(c.p_holm) + mark,
        "-" if math.isnan(r.dz) else f"{r.dz:+.2f}", superiority,
        *([p_text(c.p_splits)] if table.settings.nadeau_bengio else []),
        record, splits,
    ]  # fmt: skip


def _headers(table: TableComparison) -> list[str]:
    settings = table.settings
    return [
        "first", "second", "first\n%", "second\n%", "difference\npoints", f"{100 * settings.level:g} %\nover classes",
        "p", "p\n(Holm)", "d_z", "superi-\nority %", *(["p (Nadeau-\nBengio)"] if settings.nadeau_bengio else []),
        "classes won/\ntied/lost", "common\nsplits",
    ]  # fmt: skip


def _matrix(pairs: Sequence[Comparison], names: Sequence[str], level: float) -> list[list[str]]:
    """Return row minus column, in points, after the number and the name of each row."""
    cells: dict[tuple[str, str], str] = {}
    for c in pairs:
        mark = "*" if differs(c, level) else " "
        difference = c.result.mean if c.result else math.nan
        cells[c.first, c.second] = points(difference) + mark
        cells[c.second, c.first] = points(-difference) + mark
    return [[f"{i} {row}", *(cells.get((row, other), "") for other in names)] for i, row in enumerate(names, start=1)]


Grid = Callable[[Sequence[Sequence[str]], Sequence[str]], str]


def _class_lines(pairs: Sequence[Comparison], n: int, grid: Grid) -> list[str]:
    """Return the classes that differ most: a table for one pair, one line per pair for several."""
    pairs = [c for c in pairs if c.classes]
    if not pairs or not n:
        return []
    if len(pairs) > 1:
        lines = [
            f"{c.first} - {c.second}: " + ", ".join(f"{k.name} {points(k.difference)}" for k in c.classes[:n])
            for c in pairs
        ]
        return ["Classes that differ most, in points:", *lines]
    (c,) = pairs
    rows = [
        [k.name, share_text(k.first), share_text(k.second), points(k.difference), str(k.n_splits)]
        for k in c.classes[:n]
    ]
    headers = ["class", f"{c.first}\n%", f"{c.second}\n%", "difference\npoints", "splits"]
    return [f"Classes that differ most, {min(n, len(c.classes))} of {len(c.classes)}:", "", grid(rows, headers)]


def _figure_parts(table: TableComparison, figure: str, n_classes: int, grid: Grid) -> list[str]:
    pairs = table.of(figure)
    counts = sorted({c.result.n_classes for c in pairs if c.result})
    over = f", {' or '.join(map(str, counts))} classes" if counts else ""
    parts = [f"{FIGURE_TITLES[figure]}{over}", "", grid([_pair_cells(c, table) for c in pairs], _headers(table)), ""]
    for c in pairs:
        if c.reason:
            parts += [f"{c.first} and {c.second}: {c.reason}.", ""]
    if len(pairs) > 1:
        names = [row.name for row in table.rows]
        headers = [_CORNER, *map(str, range(1, len(names) + 1))]
        parts += [grid(_matrix(pairs, names, table.settings.level), headers), ""]
    lines = _class_lines(pairs, n_classes, grid)
    return [*parts, *lines, ""] if lines else parts


_EFFECTS = (
    "d_z: mean / standard deviation of the differences by class. superiority: share of the classes on which the first "
    "is better, ties half."
)


def notes(tables: Sequence[TableComparison], *, paper: bool = False) -> list[Note]:
    """Return the notes below comparisons; a paper's tables have fewer columns to explain."""
    settings = tables[0].settings
    found = []
    if any(row.simulated for t in tables for row in t.rows):
        found.append(
            Note(
                "SIMULATED FEATURES in rows marked [simulated]: their differences say nothing about real actions.",
                SIMULATED_NOTE.short,
            )
        )
    found.append(
        Note(
            "The unit is the class: what it adds to the figure on the common splits. p and interval are about new "
            "classes of the same kind: paired t-test over classes, mean +- t standard errors. Splits share their "
            "classes, so no test is over splits."
        )
    )
    found.append(
        Note(
            "p and the interval include the variance between runs (a split with a seed) that their classes do not "
            "explain."
        )
    )
    if any(c.n_cells == 1 and c.result for t in tables for c in t.comparisons):
        found.append(
            Note(
                "Some pairs have only one run in common, where a lucky seed or split looks like a better method. Run "
                "more splits (--splits) or seeds (--seed).",
                "Some pairs have one run in common, which may be luck; run more --splits or --seed.",
            )
        )
    found += one_seed_note(list(dict.fromkeys(
        name
        for t in tables
        for c in t.comparisons if c.result and c.n_seeds == 1
        for name in (c.first, c.second) if any(row.name == name and row.reads_seed for row in t.rows)
    )))  # fmt: skip
    if any(len(t.comparisons) > 1 for t in tables):
        found.append(Note("Holm: corrected over all pairs of a table and figure."))
    differ = f"*: they differ after the correction, at {100 * (1 - settings.level):g} %."
    found.append(
        Note(
            differ if paper else f"{differ} {_EFFECTS}",
            differ if any(differs(c, settings.level) for t in tables for c in t.comparisons) else "",
        )
    )
    if settings.nadeau_bengio:
        found.append(
            Note(
                "Nadeau-Bengio: t-test over splits; its variance is corrected by unseen / seen classes, but its p is "
                "not corrected for the number of pairs. It is conservative in simulations with equal methods "
                "(docs/statistics.md). It is about other splits of these classes, not about other classes, so the two "
                "tests may disagree."
            )
        )
    for t in tables:
        budgets = {row.budget for row in t.rows}
        if len(budgets) > 1:
            found.append(
                Note(
                    f"{t.table.title}: these methods have different information budgets; see the leaderboard.",
                    "These methods have different information budgets; see the leaderboard.",
                )
            )
    return found


def _plain(tables: Sequence[TableComparison], n_classes: int, fmt: str, *, explain: bool = False) -> str:
    """Return the tables as a console shows them, or as Markdown."""

    def grid(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
        drop = [*_DROP, *(name for name in reversed(headers) if name.isdecimal())]
        return table_text(fmt, columns(headers, right=set(headers) - _LEFT, drop=drop), rows)

    level, mark = ("### ", "**") if fmt == "markdown" else ("", "")
    parts = []
    for t in tables:
        parts += [f"{level}{escape(fmt, t.table.title)}", ""]
        for figure in t.settings.figures(t.table):
            title, *rest = _figure_parts(t, figure, n_classes, grid)
            parts += [f"{mark}{escape(fmt, title)}{mark}", *rest]
    text = "\n".join([*parts, *note_lines(fmt, dict.fromkeys(notes(tables)), explain=explain)])
    return wrapped(text) if fmt == "console" else text


def facts(table: TableComparison, comparison: Comparison) -> dict[str, Any]:
    """Return a comparison for programs, without its classes; missing numbers are ``None``."""
    c, r = comparison, comparison.result
    settings = table.settings
    numbers = asdict(r) if r else {}
    if c.figure in COMBINED:
        numbers |= dict.fromkeys(("superiority", "wins", "ties", "losses"))
    values = {
        "first": c.first, "second": c.second, **table.table._asdict(), "figure": c.figure,
        "first_value": c.values[0], "second_value": c.values[1],
        "difference": numbers.pop("mean", None), **numbers, "p_holm": c.p_holm, "p_nadeau_bengio": c.p_splits,
        "level": settings.level,
        "common_splits": c.n_splits, "common_seeds": c.n_seeds, "common_cells": c.n_cells,
        "simulated": any(row.simulated for row in table.rows), "reason": c.reason,
    }  # fmt: skip
    return without_nan(values)


def _csv(tables: Sequence[TableComparison], n_classes: int) -> str:
    return csv_text(facts(t, c) for t in tables for c in t.comparisons)


def _json(tables: Sequence[TableComparison], n_classes: int) -> str:
    def classes(c: Comparison) -> list[dict[str, Any]]:
        return [without_nan(asdict(k) | {"difference": k.difference}) for k in c.classes]

    content = [facts(t, c) | {"classes": classes(c)} for t in tables for c in t.comparisons]
    return json.dumps(
        {"comparisons": content, "notes": [note.text for note in notes(tables)]}, indent=1, ensure_ascii=False
    )


def comparison_document(
    tables: Sequence[TableComparison], fmt: str, *, n_classes: int = 5, intervals: bool = True
) -> Document:
    """Return comparisons as a document for one format; the parameters are those of :func:`render`.

    Parameters
    ----------
    intervals
        Whether tables in LaTeX have the column of intervals.
    """
    paper = fmt == "latex"
    shown = [
        _section(t, figure, intervals=intervals or not paper, paper=paper)
        for t in tables
        for figure in t.settings.figures(t.table)
    ]
    if paper:
        shown[-1] = replace(shown[-1], notes=[_BOLD, *(note.text for note in dict.fromkeys(notes(tables, paper=True)))])
    simulated = any(row.simulated for t in tables for row in t.rows)
    return Document(
        title="zslbench compare",
        sections=shown,
        notes=() if paper else [note.text for note in notes(tables)],
        own={} if fmt in ("latex", "html") else {fmt: render(tables, fmt, n_classes=n_classes)},
        warning=SIMULATED_NOTE.text if simulated else "",
    )


_FIRST, _INTERVAL = 2, 5  # places of the first method's figure and of the interval among the cells of a pair
_NOT_IN_PAPERS = ("p", "d_z", "superiority %", "classes won/ tied/lost", "common splits")
_BOLD = "Bold: the better of two methods that differ after Holm's correction."


def _section(table: TableComparison, figure: str, *, intervals: bool, paper: bool) -> Section[Sequence[Any]]:
    headers = _headers(table)
    described = columns(headers, right=set(headers) - _LEFT)
    left_out = {*(_NOT_IN_PAPERS if paper else ()), *(() if intervals else (described[_INTERVAL].title,))}
    key, title = (
        f"{table.table.dataset}-{table.table.protocol}-{figure}",
        f"{table.table.title}: {FIGURE_TITLES[figure]}",
    )
    rows = [_marked(c, _pair_cells(c, table), table.settings.level) for c in table.of(figure)]
    return Section([column for column in described if column.title not in left_out], rows, title, key)


def _marked(comparison: Comparison, cells: list[str], level: float) -> list[Any]:
    """Return the cells of a pair; the better figure is marked if the methods differ."""
    if not differs(comparison, level):
        return cells
    better = _FIRST if comparison.values[0] > comparison.values[1] else _FIRST + 1
    return [Shown(text, mark="good") if i == better else text for i, text in enumerate(cells)]


_WRITERS: dict[str, Callable[[Sequence[TableComparison], int], str]] = {
    "console": partial(_plain, fmt="console"), "markdown": partial(_plain, fmt="markdown"), "csv": _csv, "json": _json,
}  # fmt: skip
COMPARISON_FORMATS = tuple(_WRITERS)


def render(
    tables: Sequence[TableComparison], fmt: str = "console", *, n_classes: int = 5, explain: bool = False
) -> str:
    """Return comparisons as text.

    Parameters
    ----------
    tables
        Tables, at least one.
    fmt
        One of :data:`COMPARISON_FORMATS`.
    n_classes
        Number of classes that console and Markdown show, those that differ most; JSON has all, CSV none.
    explain
        Whether a console prints all notes as whole sentences.
    """
    if explain and fmt == "console":
        return _plain(tables, n_classes, fmt, explain=True)
    return _WRITERS[fmt](tables, n_classes)
