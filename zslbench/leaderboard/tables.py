"""Write a leaderboard as text: console, Markdown and HTML for people, CSV and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from zslbench.cells.rows import Change, Row
from zslbench.families.catalog import distinct_splits
from zslbench.leaderboard.notes import SIMULATED_WARNING, board_notes, footnotes
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.tables.notes import note_lines
from zslbench.tables.widths import wrapped
from zslbench.tables.writer import Column, csv_text, escape, share_text, table_text, without_nan

if TYPE_CHECKING:
    from zslbench.leaderboard.board import Leaderboard


def _figure(header: str, cell: Callable[[Row], str], drop: int = 0) -> Column[Row]:
    return Column(header, cell, "right", drop=drop)


def _percent(name: str, header: str, drop: int = 0) -> Column[Row]:
    marked = None if name in ("split_std", "chance") else lambda row: row.figures.get(name)
    return Column(header, lambda row: share_text(row.figures.get(name)), "right", drop=drop, figure=marked)


def _interval(row: Row) -> str:
    low, high = share_text(row.figures.get("low")), share_text(row.figures.get("high"))
    return "-" if low == "-" else f"[{low}, {high}]"


def splits_text(row: Row) -> str:
    """Return how many splits of a family are finished: ``2/50``, or ``1 of 47 distinct`` if some repeat."""
    seeds = f", {len(row.seeds)} seeds" if len(row.seeds) > 1 else ""
    known = distinct_splits(row.table.dataset, row.table.family)
    if row.n_done < row.n_all and len(known) < row.n_all and row.splits and row.splits <= known:
        return f"{row.n_splits} of {len(known)} distinct{seeds}"
    distinct = f" ({row.n_splits} distinct)" if row.n_splits != row.n_done else ""
    return f"{row.n_done}/{row.n_all}{distinct}{seeds}"


def _failures(row: Row) -> str:
    return ", ".join(f"{n} {state}" for state, n in sorted(row.failures.items())) or "-"


def fit_seconds(row: Row) -> str:
    """Return the mean time per fit, as text for a table."""
    seconds = row.figures.get("fit_seconds")
    if seconds is None:
        return "-"
    return "<0.01" if seconds < 0.01 else f"{seconds:.2f}" if seconds < 100 else f"{seconds:.0f}"


def _rank(row: Row) -> str:
    """Return the rank; ``~`` means no significant difference from the best, ``?`` that this was not tested."""
    if row.rank is None:
        return "-"
    if row.untested:
        return f"{row.rank} ?"
    return f"{row.rank} ~" if row.near_best and row.rank > 1 else str(row.rank)


def _change(change: Change | None) -> str:
    """Return a difference in points with its interval."""
    if change is None:
        return "-"
    found = change.difference
    mean, low, high = (f"{100 * each:+z.1f}" for each in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]"


_INTERVAL = _figure("95 %\nover classes", _interval)
# The numbers are the order in which a narrow terminal leaves columns out: the highest first, those without one never.
_SPREAD = _percent("split_std", "sd over\nsplits", 8)
_ZSL = (_percent("top1", "top-1 %"), _INTERVAL, _SPREAD, _percent("top1_per_class", "per-class\ntop-1 %", 3),
        _percent("top5", "top-5 %", 6))  # fmt: skip
_GZSL = (_percent("H", "H %"), _INTERVAL, _SPREAD, _percent("S", "S %", 2), _percent("U", "U %", 2),
         _percent("H_calibrated", "H cali-\nbrated %", 6), _percent("AUSUC", "AUSUC %", 6))  # fmt: skip
_NOVEL = (_percent("HM", "HM %"), _INTERVAL, _SPREAD, _percent("base", "base %", 2), _percent("novel", "novel %", 2),
          _percent("top1_per_class", "per-class\ntop-1 %", 6))  # fmt: skip
_COLUMNS = {"both": _GZSL, "apart": _NOVEL}  # tested -> columns
_BEFORE: tuple[Column[Row], ...] = (Column("method", lambda row: row.name, least=24), _figure("rank", _rank))
_AFTER: tuple[Column[Row], ...] = (
    _percent("chance", "chance\n%", 7), _figure("splits", splits_text, 4), _figure("fit s", fit_seconds, 9),
)  # fmt: skip
_BUDGET: Column[Row] = Column("budget", lambda row: " + ".join(row.budget) or "nothing", drop=5)
_FAILED = Column("without\nfigures", _failures)
_GAIN = _figure("gain over\nfrozen", lambda row: _change(row.gain), 1)
_CONTROL = _figure("change by\ncontrol", lambda row: _change(row.control_change), 1)


def columns_of(rows: list[Row]) -> tuple[Column[Row], ...]:
    """Return the columns of a table of these rows."""
    figures = _COLUMNS.get(PROTOCOLS[rows[0].table.protocol].tested, _ZSL)
    several = len({row.budget for row in rows}) > 1
    changes = (
        *((_GAIN,) if any(row.gain for row in rows) else ()),
        *((_CONTROL,) if any(row.control_change for row in rows) else ()),
    )
    # Ranks are within one budget, so a reader of several needs the column.
    budget = replace(_BUDGET, drop=1) if several else _BUDGET
    return (*_BEFORE, *figures, *changes, *_AFTER, budget, *((_FAILED,) if any(row.failures for row in rows) else ()))


def _sections(board: Leaderboard, fmt: str) -> list[tuple[str, str]]:
    """Return (title, table) pairs."""
    sections = []
    for table, rows in board.tables.items():
        simulated = "SIMULATED FEATURES: " if any(row.simulated for row in rows) else ""
        title = escape(fmt, simulated + table.title)
        sections.append((wrapped(title) if fmt == "console" else title, table_text(fmt, columns_of(rows), rows)))
    return sections


def _plain(board: Leaderboard, fmt: str, *, explain: bool = False) -> str:
    """Return the tables as a console shows them, or as Markdown."""
    level = "### " if fmt == "markdown" else ""
    parts = [f"{level}{title}\n\n{text}\n" for title, text in _sections(board, fmt)]
    return "\n".join([*parts, *note_lines(fmt, board_notes(board), explain=explain)])


_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>zslbench leaderboard</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .25rem .7rem; border-bottom: 1px solid #ddd; white-space: nowrap }}
th {{ border-bottom: 2px solid #888 }}
.wide {{ overflow-x: auto }}
.warning {{ background: #b00020; color: #fff; padding: .6rem 1rem; font-weight: bold }}
ul {{ max-width: 60rem; color: #555; font-size: .9em }}
</style>
</head>
<body>
<h1>zslbench leaderboard</h1>
{body}
</body>
</html>"""


def html_body(board: Leaderboard) -> str:
    """Return the tables and notes of a leaderboard as HTML, without a page around them."""
    warning = f'<p class="warning">{SIMULATED_WARNING}</p>\n' if any(row.simulated for row in board.rows) else ""
    body = "\n".join(
        f'<h2>{title}</h2>\n<div class="wide">\n{text}\n</div>' for title, text in _sections(board, "html")
    )
    notes = "\n".join(f"<li>{escape('html', note)}</li>" for note in footnotes(board))
    return f"{warning}{body}\n<ul>\n{notes}\n</ul>"


def _html(board: Leaderboard) -> str:
    return _PAGE.format(body=html_body(board))


def row_facts(row: Row) -> dict[str, Any]:
    """Return a row for programs; the first keys are the most important."""
    facts = {
        "method": row.name,
        "rank": row.rank,
        "ranked_by": row.ranked_by,
        "no_significant_difference_from_best": row.near_best,
        "not_tested": row.untested,
        "leaks": list(row.leaks),
        "overlap_unknown": row.overlap_unknown,
        "checked": row.checked,
        **row.table._asdict(),
        "simulated": row.simulated,
        "reconstruction": row.reconstruction,
        "budget": " + ".join(row.budget),
        "label": row.label,
        "params": row.params,
        "version": row.version,
        "seeds": list(row.seeds),
        "splits_done": row.n_done,
        "splits_all": row.n_all,
        "splits_distinct": row.n_splits,
        "without_figures": row.failures,
        **{LONG_NAMES.get(key, key): value for key, value in row.figures.items()},
        **({"control": row.control} if row.control else {}),
        **_change_facts("gain_over_frozen", row.gain),
        **_change_facts("change_by_control", row.control_change),
    }
    return without_nan(facts)


def _change_facts(name: str, change: Change | None) -> dict[str, Any]:
    if change is None:
        return {}
    found = change.difference
    low, high = f"{name}_low_95_over_classes", f"{name}_high_95_over_classes"
    return {name: found.mean, low: found.low, high: found.high, f"{name}_against": change.over}


# CSV and JSON have no footnotes, so these names say what a spread is over.
LONG_NAMES = {"low": "low_95_over_classes", "high": "high_95_over_classes", "split_std": "sd_over_splits_ddof1"}


def _csv(board: Leaderboard) -> str:
    return csv_text(row_facts(row) for row in board.rows)


def _json(board: Leaderboard) -> str:
    content = {"rows": [row_facts(row) for row in board.rows], "hidden": board.hidden, "notes": footnotes(board)}
    return json.dumps(content, indent=1, ensure_ascii=False)


_WRITERS: dict[str, Callable[[Leaderboard], str]] = {
    "console": partial(_plain, fmt="console"), "markdown": partial(_plain, fmt="markdown"),
    "csv": _csv, "json": _json, "html": _html,
}  # fmt: skip
BOARD_FORMATS = tuple(_WRITERS)


def write_table(board: Leaderboard, fmt: str = "console", *, explain: bool = False) -> str:
    """Return a leaderboard in one of :data:`BOARD_FORMATS`, without a newline at its end.

    Parameters
    ----------
    explain
        Whether a console prints the notes as whole sentences, and those on columns, ranks and intervals.
    """
    return _plain(board, fmt, explain=True) if explain and fmt == "console" else _WRITERS[fmt](board)
