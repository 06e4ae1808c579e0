"""The counts per class of a row's cells, as matrices of splits and classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.store import Record
from zslbench.stats.intervals import Float64Array


@lru_cache(maxsize=64)
def _layout(splits: tuple[int, ...], names: tuple[tuple[str, ...], ...]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the flat indices into (n_splits, n_classes) of the counts of several cells, one after the other.

    The result is cached, since all methods of a table have the same splits. Classes are sorted by name, so that a row's
    figures do not depend on the order of its cells, to the last bit.
    """
    known = tuple(sorted(set(chain.from_iterable(names))))
    place = {name: i for i, name in enumerate(known)}
    columns = [place[name] for cell in names for name in cell]
    rows = np.repeat(np.array(splits), [len(cell) for cell in names])
    return rows * len(place) + np.array(columns), known


class Counts:
    """The counts per class of one row, as (n_splits, n_classes) matrices summed over seeds.

    Parameters
    ----------
    records
        Cells that are done, in any order.

    Attributes
    ----------
    splits, names
        Digests of the splits and names of the classes, both sorted: the rows and columns of the matrices.
    cells
        The splits with their seeds.
    scored, top1, top5
        Numbers of scored and of correct videos; 0 if a class was not tested.
    unseen
        Whether a class was an unseen one in a split.

    Examples
    --------
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.method import Report
    >>> from zslbench.run.evaluate import evaluate
    >>> from zslbench.run.experiment import make_experiment
    >>> from zslbench.run.plan import make_plan
    >>> experiment = make_experiment({"method": "ridge", "dataset": "hmdb51", "splits": "1"})
    >>> (cell,) = make_plan(experiment, simulate=lambda dataset: simulate(dataset, videos_per_class=3)).cells
    >>> counts = Counts([Record(cell, evaluate(cell, Report()).result)])
    >>> counts.scored.shape, counts.scored.sum()
    ((1, 25), np.float64(75.0))
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.cells = frozenset((record.cell.split_digest, record.cell.seed) for record in records)
        self.splits = tuple(sorted({record.cell.split_digest for record in records}))
        place = {split: i for i, split in enumerate(self.splits)}
        parts = [(place[r.cell.split_digest], r.result.classes) for r in records if r.result.classes]
        parts.sort(key=lambda part: part[0])
        where, self.names = _layout(tuple(i for i, _ in parts), tuple(counts.names for _, counts in parts))
        shape = (len(self.splits), len(self.names))

        def matrix(values: Iterable[Sequence[int]]) -> Float64Array:
            # One pass over all cells; adding each cell to its row would take ten times as long.
            flat = np.fromiter(chain.from_iterable(values), dtype=np.float64, count=len(where))
            summed: Float64Array = np.bincount(where, flat, minlength=shape[0] * shape[1]).astype(np.float64)
            return summed.reshape(shape)

        self.scored = matrix(counts.scored for _, counts in parts)
        self.top1 = matrix(counts.top1 for _, counts in parts)
        self.top5 = matrix(counts.top5 for _, counts in parts)
        self.unseen = matrix(counts.unseen for _, counts in parts) > 0
