"""What training gains over a frozen scorer, and what a control of time changes: by class, in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from pydantic import ValidationError

from zslbench.cells.rows import Change, Row
from zslbench.leaderboard._pairing import Pairing
from zslbench.method import Budget, Method
from zslbench.registry import installed_method
from zslbench.stats.intervals import FIGURES
from zslbench.stats.paired import compare_classes

FROZEN = ("nearest-text", "clip-zero-shot")  # scorers without training; gains are over the first of them that ran


def with_changes(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows with their gain over the frozen row, and with the change that their control makes.

    Parameters
    ----------
    rows
        The rows of one table and one version of its data.
    """
    figure, pairing = rows[0].primary, Pairing(rows[0].primary)
    done = [row for row in rows if row.counts is not None and figure in FIGURES]  # others have no values per class
    installed = cache(installed_method)  # finding a plugin takes milliseconds
    frozen_rows = sorted((row for row in done if row.method in FROZEN), key=_preferred)

    def change(row: Row, over: Row | None) -> Change | None:
        if row.counts is None or over is None or over.counts is None:
            return None
        paired = pairing.pair(row.counts, over.counts)
        return None if isinstance(paired, str) else Change(over.name, compare_classes(paired[0], runs=paired.runs))

    for row in rows:
        frozen = next((other for other in frozen_rows if other.control == row.control), None)
        without = row.name.replace(f" [{row.control}]", "")
        plain = next((other for other in done if row.control and other.name == without), None)
        yield replace(
            row,
            gain=change(row, frozen) if frozen and is_trained(row, installed(row.method)) else None,
            control_change=change(row, plain),
        )


def _preferred(row: Row) -> tuple[int, bool, bool, str]:
    """Return a key that sorts frozen rows: those with parameters of their own, and imported ones, come later."""
    return FROZEN.index(row.method), bool(row.chosen), bool(row.origin), row.name


def is_trained(row: Row, method: type[Method] | None) -> bool:
    """Return whether a row's method is trained; one that is not installed is, unless its name or budget says no."""
    if row.method in FROZEN or Budget.ORACLE in row.budget:
        return False
    try:
        return bool(row.budget) if method is None else method(row.params).trains
    except ValidationError:  # it has other parameters by now
        return True
