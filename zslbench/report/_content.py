"""The content of a report's sections, and limits on the number of pictures and rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zslbench.audit.findings import Finding
from zslbench.cells.rows import Key, Row, Table
from zslbench.cells.store import Record, Store
from zslbench.digests import canonical_json
from zslbench.leaderboard.board import Leaderboard

if TYPE_CHECKING:
    from zslbench.report.page import Page

MOST_ROWS = 500  # rows of a table in the page
MOST_DRAWN = 40  # rows in a picture
MOST_TABLES = 12  # tables that have pictures


@dataclass(frozen=True)
class Content:
    """Ranked rows, the cells of each row, and the findings of an audit.

    Attributes
    ----------
    board
        The leaderboard; names of rows contain the codes of leaks, such as ``[L5]``.
    cells
        :func:`row_id` -> records of the row.
    names
        :func:`row_id` -> name of the row in :func:`zslbench.leaderboard.comparison.compare`.
    """

    store: Store
    board: Leaderboard
    cells: Mapping[Key, tuple[Record, ...]]
    names: Mapping[Key, str]
    findings: tuple[Finding, ...]

    def drawn(self, least: int = 1) -> dict[Table, list[Row]]:
        """Return the tables that get pictures, each with its rows with figures, the best first.

        Parameters
        ----------
        least
            Number of rows that a table needs.
        """
        found = {}
        for table, rows in self.board.tables.items():
            kept = [row for row in rows if row.counts is not None]
            if len(kept) >= least:
                found[table] = sorted(kept, key=lambda row: (-row.figures[row.primary], row.name))
        chosen = set(sorted(found, key=lambda table: -self.size(table))[:MOST_TABLES])
        return {table: rows for table, rows in found.items() if table in chosen}

    def records(self, row: Row) -> tuple[Record, ...]:
        """Return the cells of a row."""
        return self.cells[row_id(row)]

    def size(self, table: Table) -> int:
        """Return the number of cells of a table."""
        return sum(len(self.records(row)) for row in self.board if row.table == table)

    def say_left_out(self, page: Page, drawn: Mapping[Table, Sequence[Row]], least: int = 1) -> None:
        """Add a sentence if some tables have no picture because there are too many."""
        able = sum(sum(row.counts is not None for row in rows) >= least for rows in self.board.tables.values())
        if able > len(drawn):
            page.text(
                f"Shown: {len(drawn)} of {able} tables, those with the most cells. To see others, use filters such as "
                "--dataset and --family."
            )


def by_table(
    fill: Callable[[Page, Content, Table, list[Row]], bool], why: str, least: int = 1
) -> Callable[[Page, Content], str]:
    """Return a section that ``fill`` fills table by table; ``why`` it is empty if no table has what it shows.

    Parameters
    ----------
    fill
        Returns whether the table has what the section shows.
    least
        See :meth:`Content.drawn`.
    """

    def section(page: Page, content: Content) -> str:
        drawn = content.drawn(least)
        told = [fill(page, content, table, rows) for table, rows in drawn.items()]
        content.say_left_out(page, drawn, least)
        return "" if any(told) else why

    return section


def row_id(row: Row) -> Key:
    """Return the key that distinguishes current rows, without the marks in their names."""
    return row.table, row.method, row.version, canonical_json(row.params), row.origin, row.control


def first(rows: Sequence[Row]) -> tuple[Sequence[Row], str]:
    """Return the rows to draw, and a sentence about rows that are left out, if any."""
    left_out = f"Drawn: the best {MOST_DRAWN} of {len(rows):,} rows." if len(rows) > MOST_DRAWN else ""
    return rows[:MOST_DRAWN], left_out
