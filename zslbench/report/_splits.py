"""Draw accuracy by split: which splits are hard, and whether methods agree about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from zslbench.cells.rows import Row, is_reference
from zslbench.report._intervals import TITLES
from zslbench.report._style import FAINT, INK, LINE, MARKERS, PAPER, SERIES, new_figure, plain_text, short
from zslbench.stats.intervals import Float64Array, figure_by_split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMED = len(SERIES)  # rows with their own colour; the others are grey
_MOST_LABELS = 60


@dataclass(frozen=True)
class SplitAccuracies:
    """The primary figure by row and split.

    Attributes
    ----------
    primary
        ``top1`` or ``H``.
    methods
        Names of the rows, in the given order.
    splits
        Numbers of the splits in their family, the hardest first, by the mean over rows.
    values
        (n_methods, n_splits) shares.
    agreement
        Spearman's rank correlation of splits, mean over pairs of rows; NaN if it is undefined.
    """

    primary: str
    methods: tuple[str, ...]
    splits: tuple[int, ...]
    values: Float64Array
    agreement: float

    @property
    def means(self) -> Float64Array:
        """(n_splits,) mean over rows."""
        return np.asarray(self.values.mean(axis=0), dtype=np.float64)


def split_accuracies(rows: Sequence[Row], numbers: Mapping[str, int]) -> SplitAccuracies | None:
    """Return the accuracy of each row on each split that all rows have finished.

    Reference rows (chance, the most frequent class) are left out, because they do not show how hard a split is.

    Parameters
    ----------
    rows
        Rows of one table, with counts.
    numbers
        Digest -> number of the split.

    Returns
    -------
    SplitAccuracies or None
        ``None`` if the rows have fewer than two common splits.
    """
    kept = [row for row in rows if not is_reference(row)] or list(rows)
    common = sorted(frozenset.intersection(*(row.splits for row in kept)), key=numbers.__getitem__) if kept else []
    if len(common) < 2:
        return None
    values = np.empty((len(kept), len(common)))
    for i, row in enumerate(kept):
        assert row.counts is not None  # noqa: S101
        counts = row.counts
        by_split = figure_by_split(counts.top1, counts.scored, row.primary, counts.unseen)
        found = dict(zip(counts.splits, by_split, strict=True))
        values[i] = [found[split] for split in common]
    order = np.argsort(values.mean(axis=0), kind="stable")
    splits = tuple(numbers[common[i]] for i in order)
    return SplitAccuracies(kept[0].primary, tuple(r.name for r in kept), splits, values[:, order], _agreement(values))


def _agreement(values: Float64Array) -> float:
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=1)
    spread = ranks.std(axis=1) > 0
    pairs = [np.corrcoef(a, b)[0, 1] for a, b in combinations(ranks[spread], 2)]
    return float(np.mean(pairs)) if pairs and values.shape[1] > 2 else float("nan")


@plain_text
def split_figure(found: SplitAccuracies) -> Figure:
    """Draw every row's accuracy on each split, the hardest on the left, and the mean over rows as a line."""
    n = len(found.splits)
    figure, axes = new_figure(float(np.clip(0.2 * n, 4.5, 11.5)), 2.9)
    x = np.arange(n)
    axes.plot(x, 100 * found.means, color=INK, linewidth=1.6, zorder=2, label=f"mean of {len(found.methods)} rows")
    for i in range(len(found.methods))[::-1]:
        named = i < _NAMED
        axes.plot(
            x, 100 * found.values[i], linestyle="none", marker=MARKERS[i] if named else ".",
            color=SERIES[i] if named else LINE, markersize=6, markeredgecolor=PAPER, markeredgewidth=0.5,
            zorder=3 if named else 1, label=short(found.methods[i], 34) if named else None,
        )  # fmt: skip
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-0.6, n - 0.4)
    step = -(-n // _MOST_LABELS)
    axes.set_xticks(x[::step], [str(s) for s in found.splits[::step]], fontsize=7.5)
    axes.set_xlabel("number of the split in its family, the hardest first")
    axes.set_ylabel(f"{TITLES[found.primary]}, %")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        [handles[0], *handles[:0:-1]], [labels[0], *labels[:0:-1]], loc="upper left", bbox_to_anchor=(1.01, 1.0),
        frameon=False, fontsize=8.5, labelcolor=INK, borderaxespad=0,
    )  # fmt: skip
    axes.tick_params(axis="x", colors=FAINT)
    return figure
