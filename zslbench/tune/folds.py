"""Held-out seen classes: a method is fitted on the others, and scores their videos.

The videos and vectors of a split's unseen classes are in none of these tasks. Each is built from a split of the seen
classes alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zslbench.cells.cell import Cell
from zslbench.datasets.splits import Split, SplitFamily, VideoChoice
from zslbench.digests import derive_seed
from zslbench.errors import ZslbenchError
from zslbench.features.ensemble import part_names
from zslbench.method import Method, Report
from zslbench.run.evaluate import fit_and_score
from zslbench.run.task import planned_split, split_task
from zslbench.stats.metrics import Ranked, per_class_accuracy


@dataclass(frozen=True)
class Fold:
    """A part of a split's seen classes that takes the place of unseen ones.

    Attributes
    ----------
    cell
        The cell of the split, for its inputs and seeds.
    split
        The other seen classes as seen ones, and this part as unseen ones.

    Examples
    --------
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.run.experiment import make_experiment
    >>> from zslbench.run.plan import make_plan
    >>> experiment = make_experiment({"method": "ridge", "dataset": "hmdb51", "splits": "1"})
    >>> plan = make_plan(experiment, simulate=lambda dataset: simulate(dataset, videos_per_class=3))
    >>> fold, other = seen_folds(plan.cells, 2)
    >>> len(fold.split.seen), len(fold.split.unseen), set(fold.split.unseen) & set(other.split.unseen)
    (13, 13, set())
    """

    cell: Cell
    split: Split

    def top1_per_class(self, params: dict[str, Any], report: Report) -> float:
        """Return the per-class accuracy on the held-out classes of a method that is fitted on the others.

        Raises
        ------
        Exception
            The method raised it.
        """
        cell = self.cell.model_copy(update={"params": params, "split_digest": self.split.digest})
        task = split_task(cell, self.split)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, for each of many fits
            scores = fit_and_score(cell, task, report).scores
        return per_class_accuracy(Ranked.of(scores, task.labels).hits(), task.labels)


def check_tunable(method: type[Method], family: SplitFamily | None) -> None:
    """Refuse methods that score trained classes only, and families without seen classes to hold out in zsl.

    Raises
    ------
    ZslbenchError
        The method or the family is such a one.
    """
    if method.info.scores == "trained":
        raise ZslbenchError(
            f"{method.info.name} scores only the classes that it was trained on, and tune tests held-out classes; give "
            f"its parameters to 'zslbench run' by --set."
        )
    if family is None:
        return
    first = family.splits[0]
    if not (first.seen and first.unseen) or (first.videos and not family.has_own_lists):
        raise ZslbenchError(
            f"tune holds out seen classes of zero-shot splits, and {family.name} has none, or takes its videos from "
            f"lists of another protocol; give --family random-50/50."
        )


def seen_folds(cells: Sequence[Cell], n_folds: int) -> list[Fold]:
    """Return folds of the seen classes of each cell's split; the first folds of all splits come first.

    Raises
    ------
    ZslbenchError
        The seen classes are those of another dataset, or too few, or the features are an ensemble.
    """
    found: list[list[Fold]] = []
    for cell in cells:
        if len(names := part_names(cell.features)) > 1:
            raise ZslbenchError(f"tune takes one feature set; give --features {', or '.join(names)}.")
        if cell.seen_dataset:
            raise ZslbenchError(
                f"{cell.family} trains on {cell.seen_dataset}, whose classes cannot be held out here; tune with "
                f"--dataset {cell.seen_dataset}."
            )
        split = planned_split(cell)
        seen = split.seen
        if len(seen) < 2 * n_folds:
            raise ZslbenchError(
                f"{cell.family} split {cell.split} has {len(seen)} seen classes, too few for {n_folds} folds of at "
                f"least two; give fewer --folds, or another --family."
            )
        order = np.random.default_rng(derive_seed(cell.seed, "tune", cell.split_digest)).permutation(len(seen))
        parts = [{seen[i] for i in part} for part in np.array_split(order, n_folds)]
        found.append([Fold(cell, _without(part, split)) for part in parts])
    return [fold for of_place in zip(*found, strict=True) for fold in of_place]


def _without(part: set[str], split: Split) -> Split:
    """Return a split whose unseen classes are a part of the seen ones.

    Of a family's own list, the training videos alone are used: those of the part are tested.
    """
    videos = None
    if split.videos and (own := split.videos.own):
        held_out = {video for video in own.train if own.class_of[video] in part}
        videos = VideoChoice.of(replace(own, train=tuple(set(own.train) - held_out), test=tuple(held_out)))
    return Split(tuple(set(split.seen) - part), tuple(part), videos=videos)
