"""Held-out training videos of known classes: what a classifier may choose its parameters on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.digests import derive_seed
from zslbench.method import Report, SeenVideos, Videos
from zslbench_methods._selection import Axis, Mask, best_of, grid_of, held_out_accuracy, sample


def video_folds(
    labels: NDArray[np.integer[Any]], groups: NDArray[np.integer[Any]], folds: int, seed: int
) -> list[Mask]:
    """Return folds of videos that hold out whole source groups, and leave every class videos to train on.

    Parameters
    ----------
    labels, groups
        (n_videos,) class and source group of each video. A group is one within its class.
    folds
        Number of folds, two at least. A class of fewer groups is held out in fewer of them;
        one of a single group in none.
    seed
        Seed of the choice.

    Returns
    -------
    list of (n_videos,) bool arrays
        Which videos are held out; they share no video, and a fold without videos is left out.
    """
    if folds < 2:
        raise ValueError(f"{folds} folds: at least two are needed")
    rng = np.random.default_rng(seed)
    fold_of = np.full(len(labels), -1)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        own, place = np.unique(groups[members], return_inverse=True)
        if len(own) > 1:
            # Each class begins at another fold, so that classes of few groups are spread over all folds.
            order = rng.permutation(len(own)) + rng.integers(folds)
            fold_of[members] = order[place] % folds
    return [fold_of == fold for fold in range(folds) if (fold_of == fold).any()]


def best_on_held_out_videos(
    axes: Sequence[Axis],
    scores: Callable[[SeenVideos, Videos], Iterable[NDArray[np.floating[Any]]]],
    seen: SeenVideos,
    n_classes: int,
    report: Report,
    *,
    folds: int,
    videos: int,
    seed: int,
) -> tuple[Any, ...]:
    """Return the point of a grid with the best per-class accuracy on held-out training videos.

    Parameters
    ----------
    axes
        Of the grid; its middle is taken if every class has a single source group.
    scores
        Called with the videos to train on and the held-out ones: yields the (n_videos, n_classes) scores of each point
        of ``grid_of(*axes)``, in order.
    seen, n_classes
        The training videos, and the number of their classes.
    report
        Receives the progress and what :func:`best_of` says.
    folds, videos
        Folds of videos, and how many of the videos are looked at.
    seed
        Of the folds and of the choice of videos.
    """
    grid, every = grid_of(*axes), np.arange(n_classes)
    accuracies: dict[tuple[Any, ...], list[float]] = {point: [] for point in grid}
    if len(grid) > 1:
        some = seen.take(sample(len(seen), videos, seed))
        held_out = video_folds(some.labels, some.groups, folds, derive_seed(seed, "video folds"))
        for i, out in enumerate(held_out):
            report.progress(i, len(held_out), "choosing on held-out training videos")
            found = scores(some.take(~out), some.take(out).unlabelled())
            for point, matrix in zip(grid, found, strict=True):
                accuracies[point].append(held_out_accuracy(matrix, some.labels[out], every))
    return best_of(axes, accuracies, report)
