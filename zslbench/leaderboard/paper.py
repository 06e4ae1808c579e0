"""A leaderboard as a document: tables for papers, a page, and texts for programs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING

from zslbench.cells.rows import Row, Table, is_reference
from zslbench.leaderboard.notes import SIMULATED_WARNING, footnotes
from zslbench.leaderboard.tables import columns_of, write_table
from zslbench.tables.document import Document, Section
from zslbench.tables.latex import MARKS_NOTE
from zslbench.tables.writer import Column

if TYPE_CHECKING:
    from zslbench.leaderboard.board import Leaderboard

# What a paper's table leaves out: the budget is the heading of a group, chance is the same in every row.
_LEFT_OUT = ("chance %", "fit s", "gain over frozen", "change by control", "splits", "budget")
_INTERVAL = "95 % over classes"
_SPLITS = Column[Row]("splits", lambda row: f"{row.n_done}/{row.n_all}", "right")
_BUDGET = Column[Row]("budget", lambda row: " + ".join(row.budget) or "nothing")


def board_document(board: Leaderboard, fmt: str, *, intervals: bool = True) -> Document:
    """Return a leaderboard as a document for one format.

    Parameters
    ----------
    intervals
        Whether tables in LaTeX have the column of intervals.
    """
    paper = fmt == "latex"
    tables = board.tables.items()
    return Document(
        title="zslbench leaderboard",
        sections=[_paper(board, table, rows, intervals) if paper else _plain(table, rows) for table, rows in tables],
        notes=() if paper else footnotes(board),
        own={} if fmt in ("latex", "html") else {fmt: write_table(board, fmt)},
        warning=SIMULATED_WARNING if any(row.simulated for row in board) else "",
    )


def _title(table: Table, rows: list[Row]) -> str:
    return ("SIMULATED FEATURES: " if any(row.simulated for row in rows) else "") + table.title


def _plain(table: Table, rows: list[Row]) -> Section[Row]:
    return Section(columns_of(rows), rows, _title(table, rows))


def _paper(board: Leaderboard, table: Table, rows: list[Row], intervals: bool) -> Section[Row]:
    left_out = {*_LEFT_OUT, *(() if intervals else (_INTERVAL,))}
    kept = [column for column in columns_of(rows) if column.title not in left_out]
    columns = [*kept, _SPLITS, *((_BUDGET,) if board.mixed else ())]
    return Section(
        columns,
        rows,
        _title(table, rows),
        key=f"{table.dataset}-{table.protocol}",
        notes=[MARKS_NOTE, *footnotes(replace(board, rows=tuple(rows)), {column.title for column in columns})],
        group=None if board.mixed else _group,
        peers=lambda row: _peers(row, board.mixed),
    )


def _group(row: Row) -> str:
    if row.control:
        return f"Control: {row.control}"
    budget = f"Information budget: {' + '.join(row.budget) or 'nothing'}"
    return f"{budget} (reference, in no ranking of methods)" if is_reference(row) else budget


def _peers(row: Row, mixed: bool) -> Hashable | None:
    """Return what rows share that are ranked together, if their figures are of methods and of the same videos."""
    if is_reference(row):
        return None
    return row.simulated, row.features_digest, () if mixed else row.budget
