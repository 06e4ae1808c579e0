"""Draw dots with intervals: one figure of each row of a table, or each row's difference from the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zslbench.cells.rows import Row, is_reference
from zslbench.leaderboard.comparison import Comparison
from zslbench.report._style import BLUE, FAINT, INK, PAPER, new_figure, plain_text, short
from zslbench.report.comparison_text import FIGURE_TITLES, differs, points
from zslbench.tables.writer import share_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = 0.27  # inches per row
_WIDTH = 8
TITLES = {"top1": "top-1", "H": "H", "HM": "HM"}


@plain_text
def interval_figure(rows: Sequence[Row]) -> Figure:
    """Draw each row's accuracy with its 95 % interval over classes, and chance as a broken line.

    Filled dots are the best of their information budget, and rows with no significant difference from it. Squares are
    rows that were not tested against it. Reference rows are never filled.

    Parameters
    ----------
    rows
        Rows of one table, with figures.
    """
    figure, axes = _lines([short(row.name) for row in rows])
    for y, row in enumerate(rows):
        mean, low, high = (100 * row.figures[name] for name in (row.primary, "low", "high"))
        near = not is_reference(row) and (row.rank == 1 or bool(row.near_best))
        _dot(axes, y, mean, low, high, BLUE if near else FAINT, filled=near, marker="s" if row.untested else "o")
        _value(axes, y, share_text(row.figures[row.primary]), bold=near)
    chances = {round(100 * row.figures["chance"], 6) for row in rows if "chance" in row.figures}
    for chance in chances:
        axes.axvline(chance, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{TITLES[rows[0].primary]}, %" + (" (broken line: chance)" if chances else ""))
    return figure


@plain_text
def difference_figure(pairs: Sequence[Comparison], level: float) -> Figure:
    """Draw the difference of each row from the best, with its interval over classes.

    Parameters
    ----------
    pairs
        Comparisons by one figure, with a result; the best row is the first in each.
    level
        Level of the intervals, and of the test after Holm's correction: filled dots differ.
    """
    figure, axes = _lines([short(pair.second) for pair in pairs])
    for y, pair in enumerate(pairs):
        result = pair.result
        assert result is not None  # noqa: S101
        told = differs(pair, level)
        _dot(axes, y, -100 * result.mean, -100 * result.high, -100 * result.low, BLUE if told else FAINT, filled=told)
        _value(axes, y, points(-result.mean), bold=told)
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    axes.set_xlabel(f"{FIGURE_TITLES[pairs[0].figure]}, minus that of {short(pairs[0].first)}, points")
    return figure


@plain_text
def dot_figure(rows: Sequence[Row], name: str, label: str) -> Figure:
    """Draw one figure of each row, without an interval.

    Parameters
    ----------
    name
        A figure that every row has.
    label
        Label of the axis.
    """
    figure, axes = _lines([short(row.name) for row in rows])
    values = [row.figures[name] for row in rows]
    axes.hlines(range(len(rows)), 0, values, color=BLUE, linewidth=1.4)
    for y, value in enumerate(values):
        _dot(axes, y, value, np.nan, np.nan, BLUE, filled=True)
        _value(axes, y, f"{value:z.2f}")
    axes.axvline(0, color=FAINT, linewidth=1, zorder=1)
    axes.set_xlabel(label)
    return figure


def _lines(names: Sequence[str]) -> tuple[Figure, Axes]:
    """Return axes with one line per name, the first at the top."""
    figure, axes = new_figure(_WIDTH, _LINE * len(names) + 0.12)
    axes.set_yticks(range(len(names)), names, fontsize=9, color=INK)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    return figure, axes


def _dot(
    axes: Axes, y: float, mean: float, low: float, high: float, colour: str, *, filled: bool, marker: str = "o"
) -> None:  # fmt: skip
    if not np.isnan(low):
        axes.plot([low, high], [y, y], color=colour, linewidth=1.8, solid_capstyle="round", zorder=2)
    axes.plot(mean, y, marker, markersize=6.2, color=colour, markerfacecolor=colour if filled else PAPER, zorder=3,
              markeredgewidth=1.5)  # fmt: skip


def _value(axes: Axes, y: float, text: str, *, bold: bool = False) -> None:
    axes.annotate(
        text, (1, y), xycoords=("axes fraction", "data"), xytext=(34, 0), textcoords="offset points", ha="right",
        va="center", fontsize=9, color=INK, fontweight="bold" if bold else "normal", annotation_clip=False,
    )  # fmt: skip
