"""Leaderboards: records -> ranked rows; :mod:`zslbench.tables` writes them down."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

from zslbench.cell import Cell
from zslbench.errors import ZslbenchError, suggest
from zslbench.rows import (
    Defaults,
    Row,
    Table,
    code_version,
    data_version,
    group_cells,
    make_row,
    registered_defaults,
    row_name,
    table_of,
)
from zslbench.store import Record
from zslbench.tables import FORMATS, write_table

__all__ = ["FORMATS", "METRICS", "Leaderboard", "Row", "Table", "build_rows", "render"]

METRICS = ("top1", "top1_per_class", "top5", "H", "S", "U", "H_calibrated", "AUSUC", "hubness", "fit_seconds")
_LESS_IS_BETTER = ("hubness", "fit_seconds")

Group = list[Record]
T = TypeVar("T")


@dataclass(frozen=True)
class Leaderboard:
    """Ranked rows, table by table.

    Attributes
    ----------
    rows
        Tables in order of their names, rows by information budget (unless mixed) and rank, those without figures last.
    hidden
        How many rows of older code or older data were left out.
    mixed
        Whether methods of different information budgets were ranked together.
    """

    rows: tuple[Row, ...]
    hidden: int = 0
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
        return _grouped(self.rows, lambda row: row.table)


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
        Stored cells; only those that are done give figures, the others are counted.
    sort
        One of :data:`METRICS`; ``None`` for ``H`` in gzsl and ``top1`` elsewhere.
    mix_budgets
        Rank methods of different information budgets together.
    all_versions
        Show rows of older code and data too, each with its version; otherwise only the newest data of a table and,
        of each method in it, the newest code.
    defaults
        Function from a label to its parameters, to tell which were chosen.

    Raises
    ------
    ZslbenchError
        ``sort`` is no figure, or none of these rows has it.
    """
    if sort is not None and sort not in METRICS:
        raise ZslbenchError(f"--sort {sort!r} is no figure.{suggest(sort, METRICS)}")
    groups = list(group_cells(records).values())
    kept = groups
    if not all_versions:
        kept = _newest(kept, table_of, data_version)
        kept = _newest(kept, lambda cell: (table_of(cell), cell.method), code_version)
    looked_up = cache(defaults)  # finding a plugin takes milliseconds
    rows = _told_apart([make_row(group, looked_up) for group in kept], kept)
    if sort is not None and rows and not any(sort in row.figures for row in rows):
        raise ZslbenchError(f"none of these rows has the figure {sort!r}; leave --sort out or choose another.")
    tables = sorted(_grouped(rows, lambda row: row.table).items())
    ranked = [row for _, table in tables for row in _ranked(table, sort, mix_budgets)]
    return Leaderboard(tuple(ranked), hidden=len(groups) - len(kept), mixed=mix_budgets)


def render(board: Leaderboard, fmt: str = "console") -> str:
    """Return a leaderboard as text.

    Parameters
    ----------
    fmt
        One of :data:`FORMATS`.
    """
    return write_table(board, fmt)


def _newest(groups: list[Group], place: Callable[[Cell], Hashable], version: Callable[[Cell], Hashable]) -> list[Group]:
    """Return the groups whose version is the one that ran last in their place."""
    last: dict[Hashable, tuple[float, Hashable]] = {}
    for group in groups:
        cell, finished = group[0].cell, max(record.result.finished for record in group)
        if finished > last.get(place(cell), (-math.inf, None))[0]:
            last[place(cell)] = finished, version(cell)
    return [group for group in groups if last[place(group[0].cell)][1] == version(group[0].cell)]


def _told_apart(rows: list[Row], groups: list[Group]) -> list[Row]:
    """Give rows of one table and name the parameters that differ between them, else their versions."""
    cells = {id(row): group[0].cell for row, group in zip(rows, groups, strict=True)}
    for same in _grouped(rows, lambda row: (row.table, row.name)).values():
        if len(same) == 1:
            continue
        differing = [k for k in same[0].params if any(row.params.get(k) != same[0].params[k] for row in same)]
        versions = len({row.version for row in same}) > 1
        for row in same:
            chosen = row.chosen | {key: row.params[key] for key in differing if key in row.params}
            name = row_name(cells[id(row)], chosen) + (f" @{row.version}" if versions else "")
            rows[rows.index(row)] = replace(row, chosen=chosen, name=name)
    return rows


def _ranked(rows: list[Row], sort: str | None, mix_budgets: bool) -> Iterator[Row]:
    """Yield the rows of one table with their ranks; equal figures share one."""
    figure = sort if sort is not None and any(sort in row.figures for row in rows) else rows[0].primary
    sign = 1 if figure in _LESS_IS_BETTER else -1
    budgets = _grouped(rows, lambda row: () if mix_budgets else row.budget)
    for _, group in sorted(budgets.items(), key=lambda item: (len(item[0]), item[0])):
        values = sorted(sign * row.figures[figure] for row in group if figure in row.figures)
        for row in sorted(group, key=lambda row: (sign * row.figures.get(figure, sign * math.inf), row.name)):
            value = row.figures.get(figure)
            rank = None if value is None else 1 + values.index(sign * value)
            yield replace(row, rank=rank, ranked_by=figure)


def _grouped(items: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    groups: dict[Any, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)
