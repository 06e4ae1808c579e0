"""Draw comparisons: the classes that differ, or a matrix of all pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zslbench.leaderboard.comparison import Comparison, TableComparison
from zslbench.report._style import blank_figure, filled, plain_text, short
from zslbench.report.comparison_text import FIGURE_TITLES, differs, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FIRST, _SECOND, _GREY = "#1f77b4", "#d9642c", "#888888"
_MOST_CLASSES = 101


def _new(width: float, height: float) -> tuple[Figure, Axes]:
    figure = blank_figure((width, height), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def comparison_figure(table: TableComparison) -> Figure:
    """Draw one table, with at least one pair, by its first figure: the classes of two methods, or all pairs."""
    figure = table.settings.figures(table.table)[0]
    pairs = table.of(figure)
    return class_figure(pairs[0], table) if len(pairs) == 1 and pairs[0].classes else matrix_figure(table, figure)


@plain_text
def class_figure(comparison: Comparison, table: TableComparison) -> Figure:
    """Draw the sorted differences of the classes, with the mean difference and its interval above them."""
    classes = sorted(comparison.classes[:_MOST_CLASSES], key=lambda c: c.difference)
    result = comparison.result
    assert result is not None  # noqa: S101  (a comparison with classes has one)
    first, second = short(comparison.first), short(comparison.second)
    picture, axes = _new(7.5, 1.9 + 0.16 * len(classes))
    y = np.arange(len(classes))
    differences = 100 * np.array([c.difference for c in classes])
    colours = [_FIRST if d > 0 else _SECOND if d < 0 else _GREY for d in differences]
    axes.hlines(y, 0, differences, color=colours, linewidth=1.5)
    axes.scatter(differences, y, color=colours, s=14, zorder=3)
    top = len(classes) + 1.0
    axes.hlines(top, 100 * result.low, 100 * result.high, color="black", linewidth=2)
    axes.scatter([100 * result.mean], [top], color="black", marker="D", s=34, zorder=3)
    axes.axvline(0, color="black", linewidth=0.8)
    names = [*(short(c.name) for c in classes), f"mean, {100 * table.settings.level:g} %"]
    axes.set_yticks([*y, top], names, fontsize=6.5)
    axes.set_ylim(-1, top + 1.2)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{first} minus {second}, {FIGURE_TITLES[comparison.figure]}, points",
                    fontsize=8)  # fmt: skip
    shown = f" (the {_MOST_CLASSES} that differ most are shown)" if len(comparison.classes) > _MOST_CLASSES else ""
    axes.set_title(
        f"{short(table.table.title, 120)}\nbetter by {first}: {result.wins}, {second}: {result.losses}, "
        f"equal: {result.ties} of {result.n_classes} classes{shown}; {comparison.n_splits} common splits",
        loc="left", fontsize=8,
    )  # fmt: skip
    return picture


@plain_text
def matrix_figure(table: TableComparison, figure: str) -> Figure:
    """Draw row minus column for all pairs, in bold if they differ after Holm's correction."""
    names = [row.name for row in table.rows]
    place = {name: i for i, name in enumerate(names)}
    values = np.full((len(names), len(names)), np.nan)
    bold = np.zeros(values.shape, dtype=bool)
    for c in table.of(figure):
        if c.result:
            i, j = place[c.first], place[c.second]
            values[i, j], values[j, i] = 100 * c.result.mean, -100 * c.result.mean
            bold[i, j] = bold[j, i] = differs(c, table.settings.level)
    side = 0.62 * len(names)
    picture, axes = _new(side + 3.6, side + 2.4)
    limit = np.nanmax(np.abs(values)) if np.isfinite(values).any() else 1.0
    image = axes.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit)
    picture.colorbar(image, ax=axes, shrink=0.6).set_label("row minus column, points", fontsize=8)
    for i, j in zip(*np.nonzero(~np.isnan(values)), strict=True):
        dark = abs(values[i, j]) > 0.6 * limit
        axes.text(j, i, points(values[i, j] / 100), ha="center", va="center", fontsize=8,
                  color="white" if dark else "black" if bold[i, j] else "#777777",
                  fontweight="bold" if bold[i, j] else "normal")  # fmt: skip
    names = [short(name) for name in names]
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    told = f"bold: they differ (Holm, {100 * (1 - table.settings.level):g} %)"
    lines = (table.table.title, f"{FIGURE_TITLES[figure]}; {told}")
    axes.set_title("\n".join(filled(line, 14 * (side + 2.4)) for line in lines), loc="left", fontsize=8)
    return picture
