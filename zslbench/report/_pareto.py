"""Draw accuracy against the time to fit, with the rows that no other row beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zslbench.cells.rows import Row
from zslbench.report._apart import place_texts
from zslbench.report._intervals import TITLES
from zslbench.report._style import BLUE, FAINT, INK, PAPER, new_figure, plain_text, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST = 1e-3  # seconds; shorter times are noise of the clock, and the logarithm of 0 does not exist


def pareto_front(rows: Sequence[Row]) -> list[Row]:
    """Return the rows for which no other row is faster without lower accuracy, or more accurate without taking longer.

    Parameters
    ----------
    rows
        Rows of one table, with the figure ``fit_seconds`` and the primary one.

    Returns
    -------
    list of Row
        The rows, fastest first; of equal rows the first.
    """
    front: list[Row] = []
    for row in sorted(rows, key=lambda row: (_seconds(row), -row.figures[row.primary])):
        if not front or row.figures[row.primary] > front[-1].figures[row.primary]:
            front.append(row)
    return front


def _seconds(row: Row) -> float:
    return max(row.figures["fit_seconds"], _LEAST)


@plain_text
def pareto_figure(rows: Sequence[Row]) -> Figure:
    """Draw accuracy against the mean seconds per fit; the front is a stepped line with names.

    Parameters
    ----------
    rows
        See :func:`pareto_front`; the first rows are named if there is room.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    figure, axes = new_figure(8, 3.5)
    front = pareto_front(rows)
    others = [row for row in rows if row not in front]
    for group, colour, fill in ((others, FAINT, PAPER), (front, BLUE, BLUE)):
        x, y = [_seconds(row) for row in group], [100 * row.figures[row.primary] for row in group]
        axes.plot(x, y, "o", color=colour, markerfacecolor=fill, markersize=6.5, markeredgewidth=1.4, zorder=3)
    axes.step(
        [_seconds(row) for row in front], [100 * row.figures[row.primary] for row in front], where="post", color=BLUE,
        linewidth=1.2, zorder=2,
    )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(0.16, 0.16)
    named = front + (others if len(rows) <= 12 else [])
    texts = [
        axes.text(_seconds(row), 100 * row.figures[row.primary], short(row.name, 26), fontsize=8.5,
                  color=INK if row in front else FAINT, fontweight="bold" if row in front else "normal")
        for row in named[:12]
    ]  # fmt: skip
    markers = np.array([(_seconds(row), 100 * row.figures[row.primary]) for row in rows])
    place_texts(axes, texts, markers, colour=FAINT)
    axes.set_xlabel("mean seconds per fit of a split (logarithmic)")
    axes.set_ylabel(f"{TITLES[rows[0].primary]}, %")
    return figure
