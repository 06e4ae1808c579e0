"""Pair two rows of a table by class, on the splits that both have finished."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.counts import Counts
from zslbench.stats.intervals import Float64Array, class_values, values_by_split
from zslbench.stats.paired import LEAST_COMPARED_CLASSES
from zslbench.stats.runs import RunEffect, run_effect


class Paired(NamedTuple):
    """The (n_classes,) differences of two rows, and what the classes of a split have in common."""

    differences: Float64Array
    runs: RunEffect


class Pairing:
    """Pairs of the rows of one table by one figure; the values of a row are computed once."""

    def __init__(self, figure: str) -> None:
        self._figure = figure
        self._values = cache(self._computed)  # most rows have the same splits in common with another one

    def _computed(self, counts: Counts, splits: frozenset[str]) -> tuple[Float64Array, Float64Array]:
        kept = _kept(counts, splits)
        sides = counts.top1[kept], counts.scored[kept], self._figure, counts.unseen[kept]
        return class_values(*sides), values_by_split(*sides)

    def pair(self, first: Counts, second: Counts, called: str = "it") -> Paired | str:
        """Return first minus second by class, or why they cannot be compared; one of them is ``called`` so there."""
        common = frozenset(first.splits) & frozenset(second.splits)
        if not common:
            return f"no split in common with {called}"
        place = {name: i for i, name in enumerate(second.names)}
        known = [i for i, name in enumerate(first.names) if name in place]
        shared = [place[first.names[i]] for i in known]
        if not _same_videos(first, known, second, shared, common):
            return f"scored on other videos than {called}"
        differences, by_split = (
            ours[..., known] - theirs[..., shared]
            for ours, theirs in zip(self._values(first, common), self._values(second, common), strict=True)
        )
        differences = differences[~np.isnan(differences)]
        if len(differences) < LEAST_COMPARED_CLASSES:
            return f"fewer than {LEAST_COMPARED_CLASSES} classes"
        return Paired(differences, run_effect(by_split))


def _kept(counts: Counts, splits: frozenset[str]) -> NDArray[np.bool_]:
    return np.array([split in splits for split in counts.splits])


def _same_videos(
    first: Counts, known: list[int], second: Counts, shared: list[int], splits: frozenset[str]
) -> bool:  # fmt: skip
    """Return whether two rows were scored on as many videos of each class in every split, but for their seeds.

    Parameters
    ----------
    known, shared
        Where the classes that both rows know are in each.
    """
    ours, theirs = (counts.scored[_kept(counts, splits)] for counts in (first, second))
    totals = ours.sum(axis=1, keepdims=True), theirs.sum(axis=1, keepdims=True)
    ours, theirs = ours[:, known] * totals[1], theirs[:, shared] * totals[0]
    return bool((ours == theirs).all() and (ours.sum(axis=1, keepdims=True) == totals[0] * totals[1]).all())
