"""Compare methods class by class, and test which of them differ.

Methods are compared within one table (features, protocol, splits, class vectors), on the splits and seeds that both
have finished.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.cell import Cell
from zslbench.cells.counts import Counts
from zslbench.cells.rows import Defaults, Row, Table, current_rows, finished_cells, grouped, registered_defaults
from zslbench.cells.store import Record
from zslbench.datasets.splits import RANDOM_FAMILIES
from zslbench.errors import ZslbenchError, suggest
from zslbench.families.catalog import find_family
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.stats.intervals import COMBINED, Float64Array, class_accuracy, class_values, figure_by_split
from zslbench.stats.paired import (
    LEAST_COMPARED_CLASSES,
    PairedDifference,
    compare_classes,
    holm,
    nadeau_bengio,
)
from zslbench.stats.runs import RunEffect, run_effect

COMPARED_METRICS = tuple(dict.fromkeys(name for rules in PROTOCOLS.values() for name in rules.figures))


@dataclass(frozen=True)
class Settings:
    """Settings of a comparison of methods.

    Attributes
    ----------
    metric
        One of :data:`COMPARED_METRICS`; ``None`` for those of each table's protocol
        (:attr:`zslbench.protocols.protocol.ProtocolRules.compared`).
    level
        Coverage of the intervals; methods differ at 1 - level.
    nadeau_bengio
        Whether to add the corrected resampled t-test over splits.

    Examples
    --------
    >>> Settings(metric="top1").figures(Table("ucf101", "c3d", "zsl", "xu-50/50", "minilm"))
    ('top1',)
    """

    metric: str | None = None
    level: float = 0.95
    nadeau_bengio: bool = False

    def figures(self, table: Table) -> tuple[str, ...]:
        """Return the figures by which to compare the methods of a table; none if its protocol has not the metric."""
        rules = PROTOCOLS[table.protocol]
        return tuple(name for name in rules.figures if name == self.metric) if self.metric else rules.compared


@dataclass(frozen=True)
class ClassDifference:
    """The accuracies of both methods in one class, averaged over the splits that test it.

    Examples
    --------
    >>> ClassDifference("wave", first=0.75, second=0.5, n_splits=9).difference
    0.25
    """

    name: str
    first: float
    second: float
    n_splits: int

    @property
    def difference(self) -> float:
        """First minus second."""
        return self.first - self.second


@dataclass(frozen=True)
class Comparison:
    """The comparison of two methods by one figure.

    Attributes
    ----------
    first, second
        Names of the rows.
    values
        Their figures on the common cells: means over classes, see :func:`zslbench.stats.intervals.class_values`.
    n_splits, n_seeds, n_cells
        Numbers of splits, of seeds, and of splits with seeds, that both have finished.
    result
        The paired difference; ``None`` if it cannot be computed, for the given ``reason``.
    p_holm
        The p-value, corrected by Holm over all pairs of this table and figure.
    p_splits
        The p-value of Nadeau and Bengio's test, if it was requested.
    classes
        The classes, largest difference first; empty for H, to which a class contributes twice (see S and U).

    Examples
    --------
    >>> Comparison("ridge", "eszsl", "top1", values=(0.31, 0.29), n_splits=10).result is None
    True
    """

    first: str
    second: str
    figure: str
    values: tuple[float, float] = (math.nan, math.nan)
    n_splits: int = 0
    n_seeds: int = 0
    n_cells: int = 0
    result: PairedDifference | None = None
    reason: str = ""
    p_holm: float = math.nan
    p_splits: float = math.nan
    classes: tuple[ClassDifference, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class TableComparison:
    """All pairs of one table, figure by figure; rows and pairs are sorted by the first figure, the best first.

    Examples
    --------
    >>> pairs = (Comparison("ridge", "eszsl", "H"), Comparison("ridge", "eszsl", "U"))
    >>> table = TableComparison(Table("ucf101", "c3d", "gzsl", "xu-50/50", "minilm"), (), pairs, Settings())
    >>> len(table.of("H"))
    1
    """

    table: Table
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    settings: Settings

    def of(self, figure: str) -> list[Comparison]:
        """Return the pairs of one figure."""
        return [c for c in self.comparisons if c.figure == figure]


_Entry = tuple[Row, list[Record]]


def compare(
    records: Iterable[Record], methods: Sequence[str] = (), settings: Settings | None = None, *,
    defaults: Defaults = registered_defaults,
) -> list[TableComparison]:  # fmt: skip
    """Return the comparisons of every table that has at least two of the methods.

    Parameters
    ----------
    records
        Stored cells; of several versions of code or data, the newest counts.
    methods
        Labels (``ridge``, ``action2vec:paper``) or names of rows in the leaderboard; empty for all. Controls
        take part by the name of their row, ``ridge [reversed]``, or if a table has one other row only.
    settings
        Settings; defaults if ``None``.
    defaults
        Function from a label to its parameters, to find those that were chosen.

    Raises
    ------
    ZslbenchError
        A name is that of no row, or of several rows of one table; or no table has two of the methods.
    """
    settings = settings or Settings()
    pairs, _ = current_rows(records, defaults=defaults)
    tables = grouped((entry for entry in pairs if entry[0].counts is not None), lambda entry: entry[0].table)
    wanted = list(dict.fromkeys(methods))
    known = {name for row, _ in pairs for name in (row.label, plain_name(row))}
    for name in wanted:
        if name not in known and not any(name == row.name for row, _ in pairs):
            raise ZslbenchError(f"no stored result is called {name!r}.{suggest(name, known)}")
    if len(wanted) == 1:
        raise ZslbenchError(f"{wanted[0]} alone cannot be compared; add a second method, or name none to compare all.")
    chosen = {table: _chosen(entries, wanted) for table, entries in sorted(_with_metric(tables, settings).items())}
    found = [_compare_table(table, entries, settings) for table, entries in chosen.items() if len(entries) > 1]
    if not found:
        where = "; ".join(f"{table.title}: {', '.join(row.name for row, _ in e)}" for table, e in chosen.items() if e)
        raise ZslbenchError(f"no table has figures of two of these methods ({where or 'none has figures'}); run them.")
    return found


def _with_metric(tables: dict[Table, list[_Entry]], settings: Settings) -> dict[Table, list[_Entry]]:
    """Return the tables whose protocol has the metric."""
    found = {table: entries for table, entries in tables.items() if settings.figures(table)}
    if tables and not found:
        protocols = dict.fromkeys(table.protocol for table in tables)
        has = "; ".join(f"{name} has {', '.join(PROTOCOLS[name].figures)}" for name in protocols)
        raise ZslbenchError(f"no table has the figure {settings.metric}: {has}.")
    return found


def plain_name(row: Row) -> str:
    """Return a row's name without its marks."""
    return re.sub(r" \[(simulated|reconstruction|local)\]", "", row.name)


def _chosen(entries: list[_Entry], wanted: Sequence[str]) -> list[_Entry]:
    """Return the entries of the names; a full name has priority over a label."""
    plain = [e for e in entries if not e[0].control]
    if not wanted:
        return plain if len(plain) > 1 else entries
    kept: list[_Entry] = []
    for name in wanted:
        matches = [e for e in entries if name in (e[0].name, plain_name(e[0]))] or [
            e for e in plain if e[0].label == name
        ]
        if len(matches) > 1:
            names = ", ".join(repr(plain_name(row)) for row, _ in matches)
            raise ZslbenchError(
                f"{name!r} is the label of several rows of one table: {names}; give the full name of one."
            )
        kept += [e for e in matches if e not in kept]
    return kept


def _compare_table(table: Table, entries: list[_Entry], settings: Settings) -> TableComparison:
    meeting = _Meeting({row.name: group for row, group in entries}, settings)
    figures = settings.figures(table)
    in_order = sorted((row for row, _ in entries), key=lambda row: (-row.figures.get(figures[0], -math.inf), row.name))
    found = []
    for figure in figures:
        pairs = [meeting.pair(a.name, b.name, figure) for a, b in combinations(in_order, 2)]
        corrected = holm(np.array([c.result.p if c.result else math.nan for c in pairs]))
        found += [replace(c, p_holm=float(p)) for c, p in zip(pairs, corrected, strict=True)]
    return TableComparison(table, tuple(in_order), tuple(found), settings)


Cells = frozenset[tuple[str, int]]


class _Meeting:
    """Compare the rows of one table in pairs, and cache the counts of each row for the next pair."""

    def __init__(self, groups: dict[str, list[Record]], settings: Settings) -> None:
        self.settings = settings
        self.done = {
            name: {(r.cell.split_digest, r.cell.seed): r for r in finished_cells(group)}
            for name, group in groups.items()
        }
        self.counts = cache(self._counts)
        self.values = cache(self._values)
        self.values_of_run = cache(self._values_of_run)

    def _counts(self, name: str, cells: Cells) -> Counts:
        return Counts([self.done[name][cell] for cell in sorted(cells)])

    def _values(self, name: str, cells: Cells, figure: str) -> Float64Array:
        counts = self.counts(name, cells)
        return class_values(_correct(counts, figure), counts.scored, figure, counts.unseen)

    def _values_of_run(self, name: str, cell: tuple[str, int], figure: str) -> dict[str, float]:
        """Return class -> its value in one split with one seed."""
        counts = self.counts(name, frozenset([cell]))
        values = class_values(_correct(counts, figure), counts.scored, figure, counts.unseen)
        return dict(zip(counts.names, values.tolist(), strict=True))

    def _by_run(self, first: str, second: str, cells: Cells, figure: str) -> Float64Array:
        """Return the (n_runs, n_classes) differences of two methods; NaN for classes that a run did not test."""
        names = self.counts(first, cells).names
        runs = [[self.values_of_run(name, cell, figure) for name in (first, second)] for cell in sorted(cells)]
        return np.array([[ours.get(n, np.nan) - theirs.get(n, np.nan) for n in names] for ours, theirs in runs])

    def pair(self, first: str, second: str, figure: str) -> Comparison:
        """Compare two rows by one figure on their common cells, or give the reason why they cannot be compared."""
        empty = Comparison(first, second, figure)
        cells = frozenset(self.done[first]) & frozenset(self.done[second])
        if not cells:
            return replace(empty, reason="they have no split and seed in common; run the missing ones")
        sides = self.counts(first, cells), self.counts(second, cells)
        if sides[0].names != sides[1].names or not np.array_equal(sides[0].scored, sides[1].scored):
            return replace(empty, reason="they were scored on different videos of the same splits; run both again")
        ours, theirs = (self.values(name, cells, figure) for name in (first, second))
        used = ~np.isnan(ours)
        means = float(ours[used].mean()), float(theirs[used].mean())
        n_seeds = len({seed for _, seed in cells})
        empty = replace(empty, values=means, n_splits=len(sides[0].splits), n_seeds=n_seeds, n_cells=len(cells))
        if used.sum() < LEAST_COMPARED_CLASSES:
            few = f"{used.sum()} class{'es were' if used.sum() > 1 else ' was'} tested"
            return replace(empty, reason=f"{few}; the variance between classes needs at least {LEAST_COMPARED_CLASSES}")
        share = None
        if self.settings.nadeau_bengio and len(sides[0].splits) > 1:
            share = _test_share(self.done[first][min(cells)].cell)
        runs = run_effect(self._by_run(first, second, cells, figure))
        return _filled(empty, (ours - theirs)[used], sides, used, self.settings, share, runs)


def _filled(
    empty: Comparison, differences: Float64Array, sides: tuple[Counts, Counts], used: NDArray[np.bool_],
    settings: Settings, test_share: float | None, runs: RunEffect,
) -> Comparison:  # fmt: skip
    """Return a comparison with its numbers."""
    names = np.array(sides[0].names)[used]
    # A class's share of a figure is not an accuracy, but lists and counts of wins show accuracies.
    figure = empty.figure
    unseen = sides[0].unseen
    part = unseen if figure in ("U", "novel") else ~unseen if figure in ("S", "base") else np.True_
    first, second = (class_accuracy(_correct(c, figure), c.scored * part)[used] for c in sides)
    tested = ((sides[0].scored > 0) & part).sum(axis=0)[used]
    result = compare_classes(differences, by_class=first - second, level=settings.level, runs=runs)
    columns = (values.tolist() for values in (names, first, second, tested))
    classes = [ClassDifference(*of_class) for of_class in zip(*columns, strict=True)]
    classes.sort(key=lambda c: (-abs(c.difference), c.name))
    p_splits = math.nan
    if test_share is not None:
        ours, theirs = (figure_by_split(_correct(c, figure), c.scored, figure, c.unseen) for c in sides)
        p_splits = nadeau_bengio(ours - theirs, test_share)
    return replace(empty, result=result, classes=() if empty.figure in COMBINED else tuple(classes), p_splits=p_splits)


def _correct(counts: Counts, figure: str) -> Float64Array:
    return counts.top5 if figure == "top5" else counts.top1


def _test_share(cell: Cell) -> float:
    """Return unseen / seen classes of a cell's split."""
    from zslbench.datasets.catalog import get_dataset

    if cell.family in RANDOM_FAMILIES:  # splits the classes of the features, which may have been removed
        return RANDOM_FAMILIES[cell.family] / (100 - RANDOM_FAMILIES[cell.family])
    split = find_family(get_dataset(cell.dataset), cell.family).splits[cell.split]
    return len(split.unseen) / max(len(split.seen), 1)
