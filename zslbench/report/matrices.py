"""Draw similarity matrices of the same classes side by side, as heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zslbench.report._style import blank_figure, filled, plain_text, short
from zslbench.stats.intervals import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_LETTERS = (8.0, 9.0)  # size of class names in points; if not all fit, every second, third, ... is shown
_SPACING = 1.25  # lines per name
_DRAWN = 0.8  # share of a panel's side for the matrix; names and the colour bar take the rest
_LONGEST = 24  # letters per name
_COLOURS = "viridis"  # differs in lightness, so it works for colour-blind readers and in print too
_UNDEFINED, _DIAGONAL = "#ededed", "#ffffff"


def cluster_order(similarity: Float64Array) -> NDArray[np.intp]:
    """Return an order of the classes with similar ones side by side.

    The order is that of average-linkage clustering of 1 - similarity, averaged over both directions; leaves are ordered
    so that neighbours are most similar. An undefined pair counts as completely dissimilar.

    Parameters
    ----------
    similarity
        (n, n), at most 1; NaN where undefined.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(similarity) < 3:
        return np.arange(len(similarity))
    distance = 1 - np.nan_to_num((similarity + similarity.T) / 2, nan=0.0)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), method="average", optimal_ordering=True)
    return np.asarray(leaves_list(tree), dtype=np.intp)


@plain_text
def matrices_figure(
    matrices: Sequence[tuple[str, Float64Array]], names: Sequence[str], *, diagonal: bool = True, title: str = ""
) -> Figure:
    """Draw heat maps of two or more similarity matrices, in the order that clusters the first.

    Parameters
    ----------
    matrices
        Title and (n, n) values of each; the first one (WordNet's) orders the classes; NaN where undefined.
    names
        (n,) class names. If there are too many to read, every second, third, ... is shown, and the picture says so.
    diagonal
        Whether the diagonal counts; otherwise it is white. Each matrix has its own colour scale, over the pairs off the
        diagonal, because only their order is compared.

    Returns
    -------
    matplotlib.figure.Figure
        A figure made without pyplot: it changes no global state and needs no display.
    """
    n = len(names)
    order = cluster_order(matrices[0][1])
    side = float(np.clip(0.18 * n, 4.2, 12.5))
    columns = len(matrices) if len(matrices) <= 3 else -(-len(matrices) // 2)
    rows = -(-len(matrices) // columns)
    size = (side + 0.5) * columns + 1.4, (side + 1.4) * rows + 0.4
    figure = blank_figure(size, dpi=130 if n <= 60 else 110, layout="compressed")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for spare in panels[len(matrices) :]:
        spare.remove()
    for axes, (name, matrix) in zip(panels, matrices, strict=False):
        _draw(axes, matrix[np.ix_(order, order)], diagonal)
        axes.set_title(filled(name, 10 * side), fontsize=11, loc="left")
        _label(axes, [names[i] for i in order], side)
    notes = _notes([matrix for _, matrix in matrices], diagonal, _step(n, side))
    figure.suptitle("\n".join(filled(line, 9 * size[0]) for line in (title, notes) if line),
                    fontsize=11, x=0.01, ha="left")  # fmt: skip
    figure.draw_without_rendering()  # the layout of square panels is only final after the second drawing
    return figure


def _draw(axes: Axes, matrix: Float64Array, diagonal: bool) -> None:
    own = np.eye(len(matrix), dtype=bool)
    off = matrix[~own & np.isfinite(matrix)]
    low, high = (float(off.min()), float(off.max())) if len(off) else (0.0, 1.0)
    axes.patch.set(facecolor=_UNDEFINED, edgecolor="#a0a0a0", hatch="//////", linewidth=0)
    shown = np.ma.masked_invalid(matrix if diagonal else np.where(own, np.nan, matrix))
    image = axes.imshow(shown, cmap=_COLOURS, vmin=low, vmax=high, interpolation="nearest")
    if not diagonal:  # painted white, or it would look like undefined pairs
        from matplotlib.colors import ListedColormap

        axes.imshow(np.ma.masked_equal(own, False), cmap=ListedColormap([_DIAGONAL]), interpolation="nearest")
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02, aspect=30)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)


def _step(n: int, side: float) -> int:
    """Return k if only every k-th of n class names fits along a side of that many inches."""
    return max(1, int(np.ceil(n * _LETTERS[0] * _SPACING / (72 * side * _DRAWN))))


def _label(axes: Axes, names: Sequence[str], side: float) -> None:
    step = _step(len(names), side)
    shown = [short(name, _LONGEST) for name in names[::step]]
    size = float(np.clip(72 * side * _DRAWN / len(shown) / _SPACING, *_LETTERS))
    axes.set_xticks(range(0, len(names), step), shown, rotation=90, fontsize=size)
    axes.set_yticks(range(0, len(names), step), shown, fontsize=size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _notes(matrices: Sequence[NDArray[Any]], diagonal: bool, step: int) -> str:
    undefined = any(np.isnan(matrix).any() for matrix in matrices)
    notes = ["hatched: undefined pair"] * undefined + ["white: the diagonal, left out"] * (not diagonal)
    rank = {2: "second", 3: "third"}.get(step, f"{step}th")
    return "; ".join(notes + [f"every {rank} class is named"] * (step > 1))
