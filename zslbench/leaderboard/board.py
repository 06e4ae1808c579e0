"""Make leaderboards: turn records into ranked rows, which :mod:`zslbench.leaderboard.tables` writes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zslbench.audit.inputs import marks
from zslbench.cells.cell import Cell
from zslbench.cells.rows import (
    Defaults,
    Row,
    Table,
    current_rows,
    data_version,
    grouped,
    is_reference,
    marked,
    registered_defaults,
    row_key,
)
from zslbench.cells.store import Record
from zslbench.errors import ZslbenchError, suggest
from zslbench.leaderboard._gains import with_changes
from zslbench.leaderboard._pairing import Pairing
from zslbench.stats.intervals import FIGURES
from zslbench.stats.paired import near_best

METRICS = (
    "top1", "top1_per_class", "top5", "H", "S", "U", "H_calibrated", "AUSUC", "HM", "base", "novel", "hubness",
    "fit_seconds",
)  # fmt: skip
_LESS_IS_BETTER = ("hubness", "fit_seconds")


@dataclass(frozen=True)
class Leaderboard:
    """Ranked rows, table by table.

    Attributes
    ----------
    rows
        Rows, sorted by name of the table, information budget (unless mixed) and rank; rows without figures are last.
        Controls follow all other rows of their table, and have no rank.
    hidden
        Names of the rows of older code or older data that were left out.
    mixed
        Whether methods of different information budgets were ranked together.

    Examples
    --------
    >>> from pathlib import Path
    >>> from zslbench.cells.store import Store
    >>> board = build_rows(Store(Path("results/runs")).records())
    >>> for row in board:
    ...     print(row.rank, row.name, row.figures["top1"])
    """

    rows: tuple[Row, ...]
    hidden: tuple[str, ...] = ()
    mixed: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, place: int) -> Row:
        return self.rows[place]

    @property
    def tables(self) -> dict[Table, list[Row]]:
        """The rows of each table."""
        return grouped(self.rows, lambda row: row.table)


def build_rows(
    records: Iterable[Record],
    *,
    sort: str | None = None,
    mix_budgets: bool = False,
    all_versions: bool = False,
    defaults: Defaults = registered_defaults,
) -> Leaderboard:
    """Return ranked rows.

    Parameters
    ----------
    records
        Stored cells; finished ones give figures, the others are counted.
    sort
        One of :data:`METRICS`; ``None`` for ``H`` in gzsl and ``top1`` elsewhere.
    mix_budgets
        Whether to rank methods of different information budgets together.
    all_versions
        Whether to show also rows of older code and data, each with its version. Otherwise only the newest data of each
        table and the newest code of each method count.
    defaults
        Function from a label to its parameters, to find those that were chosen.

    Raises
    ------
    ZslbenchError
        ``sort`` is not a figure, or none of these rows has it.
    """
    if sort is not None and sort not in METRICS:
        raise ZslbenchError(f"--sort {sort!r} is not a figure.{suggest(sort, METRICS)}")
    pairs, hidden = current_rows(records, all_versions=all_versions, defaults=defaults)
    codes = marks(record for _, group in pairs for record in group)
    same_data = grouped(pairs, lambda pair: (pair[0].table, data_version(pair[1][0].cell)))
    rows = [
        marked(row, codes.get(row_key(group[0]), ()))
        for same in same_data.values()
        for row, (_, group) in zip(with_changes([row for row, _ in same]), same, strict=True)
    ]
    if sort is not None and rows and not any(sort in row.figures for row in rows):
        raise ZslbenchError(f"none of these rows has the figure {sort!r}; leave out --sort, or choose another.")
    tables = sorted(grouped(rows, lambda row: row.table).items())
    ranked = [row for _, table in tables for row in _ranked(table, sort, mix_budgets)]
    return Leaderboard(tuple(ranked), hidden=tuple(hidden), mixed=mix_budgets)


def defaults_of_run(cells: Sequence[Cell]) -> Defaults:
    """Return the parameters of labels without those that vary between these cells, so that each row shows them."""
    by_label = grouped(cells, lambda cell: cell.label)
    varied = {
        label: {name for cell in cells for name, value in cell.params.items() if value != cells[0].params[name]}
        for label, cells in by_label.items()
    }

    def defaults(label: str) -> Mapping[str, Any] | None:
        known = registered_defaults(label)
        return known and {name: value for name, value in known.items() if name not in varied.get(label, ())}

    return defaults


def _ranked(rows: list[Row], sort: str | None, mix_budgets: bool) -> Iterator[Row]:
    """Yield the rows of one table with their ranks; equal figures share one."""
    figure = sort if sort is not None and any(sort in row.figures for row in rows) else rows[0].primary
    sign = 1 if figure in _LESS_IS_BETTER else -1
    budgets = grouped(rows, lambda row: (row.control, () if mix_budgets else row.budget))
    # References that recognise no action (chance, a choice by test labels) are below all methods, then come controls.
    in_turn = sorted(
        budgets.items(), key=lambda item: (item[0][0], is_reference(item[1][0]), len(item[0][1]), item[0][1])
    )
    for (control, _), group in in_turn:
        values = sorted(sign * row.figures[figure] for row in group if figure in row.figures)
        # sign * sign * inf: rows without the figure come last in both directions.
        in_order = sorted(group, key=lambda row: (sign * row.figures.get(figure, sign * math.inf), row.name))
        if control:
            yield from (replace(row, ranked_by=figure) for row in in_order)
            continue
        for place, (row, (near, why)) in enumerate(zip(in_order, _near_best(in_order, figure), strict=True)):
            value = row.figures.get(figure)
            rank = None if value is None else 1 + values.index(sign * value)
            untested = why if rank and place > 0 else ""
            yield replace(row, rank=rank, ranked_by=figure, near_best=near, untested=untested)


_Tested = tuple[bool | None, str]  # whether there is no significant difference from the best, or why that is not known


def _near_best(rows: list[Row], figure: str) -> list[_Tested]:
    """Return which rows have no significant difference from the first, on common splits, or why that is not tested."""
    counts = [row.counts for row in rows if row.counts]
    if len(counts) < 2:
        return [(None, "")] * len(rows)
    if figure not in FIGURES:
        return [(None, f"{figure} has no values per class")] * len(rows)

    pairing = Pairing(figure)

    def tested(row: Row) -> _Tested:
        if row.counts is None:
            return None, "no figures"
        paired = pairing.pair(counts[0], row.counts, "rank 1")
        if isinstance(paired, str):
            return None, paired
        return bool(near_best(paired.differences, len(counts), runs=paired.runs)), ""

    return [tested(row) for row in rows]
