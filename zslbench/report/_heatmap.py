"""Draw accuracy by method and class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.rows import Row
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.report._style import FAINT, INK, blank_figure, plain_text, short
from zslbench.stats.intervals import Float64Array, class_accuracy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CLASSES = 208
_COLUMNS = 52  # classes per panel
_SIDE, _GAP, _LABELS = 0.235, 0.15, 1.3  # inches: a cell, between panels, for class names
_DARK, _ON_DARK, _ON_LIGHT = 0.6, "#ffffff", "#111111"  # viridis is light above this share, on any page


@dataclass(frozen=True)
class ClassAccuracies:
    """Accuracy by row and class, averaged over the splits in which the class is tested (GZSL: unseen).

    Attributes
    ----------
    methods
        Names of the rows, in the given order.
    classes
        Names of the classes, the easiest first, by the mean over rows.
    values
        (n_methods, n_classes) shares; NaN if a row was never tested on a class.
    """

    methods: tuple[str, ...]
    classes: tuple[str, ...]
    values: Float64Array

    @property
    def means(self) -> Float64Array:
        """(n_classes,) mean over the rows that were tested on a class."""
        return np.asarray(np.nanmean(self.values, axis=0), dtype=np.float64)


def class_accuracies(rows: Sequence[Row]) -> ClassAccuracies:
    """Return the accuracy of each row of a table on each tested class; in GZSL, on each unseen one.

    Parameters
    ----------
    rows
        Rows with counts.
    """
    names = tuple(sorted({name for row in rows for name in row.counts.names})) if rows else ()  # type: ignore[union-attr]
    place = {name: i for i, name in enumerate(names)}
    values = np.full((len(rows), len(names)), np.nan)
    for i, row in enumerate(rows):
        counts = row.counts
        assert counts is not None  # noqa: S101
        columns = [place[name] for name in counts.names]
        only_unseen = PROTOCOLS[row.table.protocol].tested in ("unseen", "both")
        values[i, columns] = class_accuracy(counts.top1, counts.scored * (counts.unseen if only_unseen else 1))
    tested = np.flatnonzero(~np.isnan(values).all(axis=0))
    means = np.nanmean(values[:, tested], axis=0)
    order = tested[np.argsort(-means, kind="stable")]
    return ClassAccuracies(tuple(row.name for row in rows), tuple(names[i] for i in order), values[:, order])


def drawn_classes(n: int) -> NDArray[np.int64]:
    """Return the indices of the classes to draw: all, or the easiest and the hardest if there are too many."""
    half = MOST_CLASSES // 2
    return np.arange(n) if n <= MOST_CLASSES else np.r_[:half, n - half : n]


@plain_text
def heat_map_figure(found: ClassAccuracies) -> Figure:
    """Draw classes by column, the easiest first, in as many panels as are necessary to read their names.

    With up to 15 methods, the cells contain numbers. Of more than 208 classes, only the easiest and the hardest are
    drawn.
    """
    places = drawn_classes(len(found.classes))
    columns = int(np.ceil(len(places) / np.ceil(len(places) / _COLUMNS)))
    panels = [places[i : i + columns] for i in range(0, len(places), columns)]
    panel = _SIDE * len(found.methods)
    height = len(panels) * (panel + _LABELS + _GAP)
    figure = blank_figure((_SIDE * columns, height), dpi=96)
    for k, chosen in enumerate(panels):
        bottom = height - (k + 1) * (panel + _LABELS + _GAP) + _GAP
        axes = figure.add_axes((0, bottom / height, len(chosen) / columns, panel / height))
        _panel(axes, found, chosen)
    return figure


def _panel(axes: Axes, found: ClassAccuracies, chosen: NDArray[np.int64]) -> None:
    values = found.values[:, chosen]
    axes.imshow(100 * values, cmap="viridis", vmin=0, vmax=100, interpolation="none", aspect="auto")
    if len(found.methods) <= 15:
        for i, j in zip(*np.nonzero(~np.isnan(values)), strict=True):
            colour = _ON_LIGHT if values[i, j] > _DARK else _ON_DARK
            axes.text(j, i, f"{100 * values[i, j]:.0f}", ha="center", va="center", fontsize=6.5, color=colour)
    axes.set_yticks(range(len(found.methods)), [short(name, 34) for name in found.methods], fontsize=9, color=INK)
    names = [short(found.classes[i], 24) for i in chosen]
    axes.set_xticks(range(len(chosen)), names, rotation=60, ha="left", rotation_mode="anchor", fontsize=8, color=INK)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, colors=FAINT, labelcolor=INK, pad=2)
    axes.spines[:].set_visible(False)
