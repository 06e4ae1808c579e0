"""Draw accuracy against the number of unseen classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zslbench.cells.rows import Row
from zslbench.report._intervals import TITLES
from zslbench.report._style import FAINT, INK, MARKERS, PAPER, SERIES, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """One row of one split family.

    Attributes
    ----------
    unseen
        Number of unseen classes, mean over the row's splits.
    """

    family: str
    unseen: float
    row: Row


def points_by_method(rows: Sequence[Row]) -> dict[str, list[Point]]:
    """Return each method's points, the fewest unseen classes first; empty if fewer than two sizes were measured.

    Parameters
    ----------
    rows
        Rows with counts, whose tables differ only in the split family. Rows of one name are one method.
    """
    found = defaultdict(list)
    for row in rows:
        assert row.counts is not None  # noqa: S101
        found[row.name].append(Point(row.table.family, float(row.counts.unseen.sum(axis=1).mean()), row))
    sizes = {round(point.unseen) for points in found.values() for point in points}
    if len(sizes) < 2:
        return {}
    return {name: sorted(points, key=lambda point: point.unseen) for name, points in found.items()}


def unseen_figure(methods: dict[str, list[Point]]) -> Figure:
    """Draw one line per method, with 95 % intervals over classes; in ZSL, draw chance as a broken line.

    Parameters
    ----------
    methods
        Methods, at most six, see :data:`zslbench.report._style.SERIES`.
    """
    primary = next(iter(methods.values()))[0].row.primary
    figure, axes = new_figure(8, 3.6)
    for i, (name, points) in enumerate(methods.items()):
        # Shifted sideways, or the intervals of one size would cover each other.
        x = np.array([point.unseen for point in points]) * 1.012 ** (i - (len(methods) - 1) / 2)
        mean, low, high = (100 * np.array([p.row.figures[key] for p in points]) for key in (primary, "low", "high"))
        axes.vlines(x, low, high, color=SERIES[i], linewidth=1.3, alpha=0.75)
        axes.plot(x, mean, color=SERIES[i], marker=MARKERS[i], markersize=6, linewidth=1.4, label=short(name, 34),
                  markeredgecolor=PAPER, markeredgewidth=0.6)  # fmt: skip
    every = [point for points in methods.values() for point in points]
    sizes = sorted({round(point.unseen) for point in every})
    if primary == "top1":
        x = np.geomspace(sizes[0], sizes[-1], 50)
        axes.plot(x, 100 / x, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)), label="chance")
    families = {size: sorted({p.family for p in every if round(p.unseen) == size}) for size in sizes}
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size}\n" + "\n".join(families[size]) for size in sizes], fontsize=8, color=INK)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("unseen classes of a split (logarithmic)")
    axes.set_ylabel(f"{TITLES[primary]}, %")
    figure.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=8.5, labelcolor=INK,
                  borderaxespad=0)  # fmt: skip
    return figure
