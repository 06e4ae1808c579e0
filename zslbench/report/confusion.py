"""Sum the confusion matrix of a row's cells over splits, and draw it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zslbench.report._style import blank_figure, filled, plain_text, short

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

_MOST_LABELS = 150


def summed_confusion(files: Iterable[Path]) -> tuple[NDArray[np.int64], tuple[str, ...]] | None:
    """Return the summed counts of prediction tables, true class by row, and the sorted class names.

    Parameters
    ----------
    files
        ``predictions.parquet`` of several cells; missing files (of failed cells) are left out.

    Returns
    -------
    tuple or None
        ``None`` if no file exists.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = [_counts(path) for path in files if path.is_file()]
    if not counts:
        return None
    table = pa.concat_tables(counts)
    names = sorted({name for side in ("true", "best") for name in table[side].to_pylist()})
    true, best = (pc.index_in(table[side], pa.array(names)).to_numpy() for side in ("true", "best"))
    total = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(total, (true, best), table["count_all"].to_numpy())
    return total, tuple(names)


def _counts(path: Path) -> pa.Table:
    """Return the true class, the first prediction and the number of videos of each pair that a cell has."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["label", "predicted"])
    pairs = pa.table({"true": table["label"], "best": pc.list_element(table["predicted"], 0)})
    names = pa.schema([("true", pa.string()), ("best", pa.string())])  # a dictionary of one file is not another's
    return pairs.cast(names).group_by(["true", "best"]).aggregate([([], "count_all")])


@plain_text
def confusion_figure(matrix: NDArray[Any], names: Sequence[str], *, title: str = "") -> Figure:
    """Draw a confusion matrix, each row as shares of its class's videos.

    Parameters
    ----------
    matrix
        (n, n) counts, true class by row and predicted class by column.
    names
        (n,) class names; not drawn for more than 150 classes, where they could not be read.

    Returns
    -------
    matplotlib.figure.Figure
        A figure made without pyplot: it changes no global state and needs no display.
    """
    n = len(names)
    names = [short(name) for name in names]
    side = float(np.clip(0.19 * n, 4.5, 22))
    figure = blank_figure((side + 3.2, side + 2.6), dpi=110 if n > 60 else 130, layout="constrained")
    axes = figure.add_subplot()
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label("% of the class's videos")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(filled(title, 12 * side), loc="left", fontsize=10)
    if n <= _MOST_LABELS:
        size = float(np.clip(72 * 0.19 * 0.62, 5.5, 8.5)) if n > 15 else 8.5
        axes.set_xticks(range(n), names, rotation=90, fontsize=size)
        axes.set_yticks(range(n), names, fontsize=size)
        axes.tick_params(length=0)
    # Minor ticks are between the cells, where the grid lines belong.
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e8e8e8", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    return figure
