"""Held-out seen classes: the only ground on which a method may choose anything about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.digests import derive_seed
from zslbench.method import Classes, Method, Report, SeenVideos, Validation, Videos

Mask = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def class_folds(n_classes: int, n_folds: int, seed: int) -> list[IntArray]:
    """Return disjoint folds of class indices that together hold every class once.

    Parameters
    ----------
    n_classes
        Number of seen classes.
    n_folds
        Number of folds; the sizes differ by one at most.
    seed
        Seed of the permutation.

    Returns
    -------
    list of (n,) int64 arrays
        Each in ascending order.

    Raises
    ------
    ValueError
        If there are fewer classes than folds, or fewer than two folds.
    """
    if not 2 <= n_folds <= n_classes:
        raise ValueError(f"{n_folds} folds of {n_classes} classes: between 2 and {n_classes} folds are possible")
    order = np.random.default_rng(seed).permutation(n_classes).astype(np.int64)
    return [np.sort(fold) for fold in np.array_split(order, n_folds)]


def held_out_classes(
    labels: NDArray[np.integer[Any]], n_classes: int, fraction: float, seed: int, fold: int = 0
) -> tuple[Mask, Mask, IntArray]:
    """Split seen videos by class, so that the validation classes are as new to a model as unseen ones.

    Parameters
    ----------
    labels
        (n_videos,) class index of each seen video.
    n_classes
        Number of seen classes.
    fraction
        Share of the classes that have videos to hold out; rounded, at least two, and two are left for training. With
        fewer than four such classes, or a fraction of 0, nothing is held out.
    seed
        Seed of the choice.
    fold
        Which choice: the folds of one seed share no class. Nothing is held out where no class is left for a fold.

    Returns
    -------
    train, validation : (n_videos,) bool
        Masks that share no video and no class.
    validation_classes : (k,) int64
        The held-out class indices in ascending order; empty where nothing is held out.

    Raises
    ------
    ValueError
        If ``fraction`` is not in [0, 1), or a label is not a class index.
    """
    labels = np.asarray(labels)
    if not 0 <= fraction < 1:
        raise ValueError(f"the share of held-out classes is {fraction}; it must be at least 0 and below 1")
    if labels.size and not (labels.min() >= 0 and labels.max() < n_classes):
        raise ValueError(f"labels range over {labels.min()}..{labels.max()}, but there are {n_classes} classes")
    present = np.unique(labels).astype(np.int64)
    if fraction == 0 or len(present) < 4:
        return np.ones(len(labels), dtype=bool), np.zeros(len(labels), dtype=bool), present[:0]
    count = min(max(2, round(fraction * len(present))), len(present) - 2)
    order = np.random.default_rng(seed).permutation(present)
    chosen = np.sort(order[fold * count : (fold + 1) * count])
    if len(chosen) < count:
        chosen = chosen[:0]
    validation = np.isin(labels, chosen)
    return ~validation, validation, chosen


def held_out_accuracy(
    scores: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], classes: NDArray[np.integer[Any]]
) -> float:
    """Return the mean over classes of the share of each class's videos that are labelled rightly.

    Parameters
    ----------
    scores
        (n_videos, k) scores of the classes ``classes``, higher for a better match.
    labels
        (n_videos,) class index of each video; every one must be in ``classes``.
    classes
        (k,) class index of each column of ``scores``.

    Raises
    ------
    ValueError
        If the shapes disagree, there is no video, or a label is not among ``classes``.
    """
    labels, classes = np.asarray(labels), np.asarray(classes)
    if scores.shape != (len(labels), len(classes)) or not len(labels):
        raise ValueError(f"scores of shape {scores.shape} do not fit {len(labels)} labels and {len(classes)} classes")
    if not np.isin(labels, classes).all():
        raise ValueError("a held-out video's class is not among the held-out classes")
    right = classes[np.argmax(scores, axis=1)] == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


class Sides(NamedTuple):
    """The videos and classes that a choice trains on, and those that it is judged by; labels are of their classes."""

    seen: SeenVideos
    classes: Classes
    tested: SeenVideos
    held_out: Classes

    @classmethod
    def without(cls, seen: SeenVideos, classes: Classes, held: IntArray) -> Sides:
        """Return the seen videos without those of the classes ``held``, and these."""
        kept, out = np.setdiff1d(np.arange(len(classes)), held), np.isin(seen.labels, held)
        known, tested = seen.take(~out), seen.take(out)
        return cls(
            known.relabel(np.searchsorted(kept, known.labels)),
            classes.take(kept),
            tested.relabel(np.searchsorted(held, tested.labels)),
            classes.take(held),
        )

    @classmethod
    def given(cls, seen: SeenVideos, classes: Classes, validation: Validation) -> Sides:
        """Return all seen videos, and the family's validation classes."""
        return cls(seen, classes, validation.videos, validation.classes)

    def accuracy(self, scores: NDArray[np.floating[Any]]) -> float:
        """Return the per-class accuracy of scores of the tested videos, (n_tested, n_held_out)."""
        return held_out_accuracy(scores, self.tested.labels, np.arange(len(self.held_out)))


@dataclass(frozen=True)
class Axis:
    """A parameter to choose.

    Attributes
    ----------
    name
        Of the parameter.
    choices
        What to choose among; numbers in ascending order.
    least, most
        Natural bounds of numbers: a choice there does not lie at an edge of the grid.
    """

    name: str
    choices: tuple[Any, ...]
    least: float = -np.inf
    most: float = np.inf

    @classmethod
    def of(cls, name: str, given: Any, choices: Sequence[Any], **bounds: float) -> Axis:
        """Return an axis with the given value alone or, where it is ``None``, with all choices."""
        return cls(name, tuple(choices) if given is None else (given,), **bounds)


def grid_of(*axes: Axis) -> list[tuple[Any, ...]]:
    """Return the points of a grid; the last axis changes fastest."""
    return list(product(*(axis.choices for axis in axes)))


def best_on_held_out(
    axes: Sequence[Axis],
    scores: Callable[[SeenVideos, Classes, Videos, Classes], Iterable[NDArray[np.floating[Any]]]],
    seen: SeenVideos,
    classes: Classes,
    report: Report,
    *,
    method: Method,
    folds: int,
    videos: int,
) -> tuple[Any, ...]:
    """Return the point of a grid with the best per-class accuracy on held-out seen classes.

    If the split family has validation classes, these are tested instead, and all seen classes trained on.

    Parameters
    ----------
    axes
        Of the grid; its middle is taken where there are too few classes to hold any out.
    scores
        Called with the known classes' videos, these classes, the held-out classes' videos and these: yields the
        (n_videos, n_classes) scores of each point of ``grid_of(*axes)``, in order.
    seen, classes
        The seen videos and classes.
    report
        Receives the progress and what :func:`best_of` says.
    method
        The method that chooses; its seed is that of the folds and of the choice of videos.
    folds, videos
        Folds of classes, and how many of the videos are looked at.
    """
    grid = grid_of(*axes)
    accuracies: dict[tuple[Any, ...], list[float]] = {point: [] for point in grid}
    if len(grid) > 1:
        for sides in choice_sides(method, seen, classes, report, folds=folds, videos=videos):
            found = scores(sides.seen, sides.classes, sides.tested.unlabelled(), sides.held_out)
            for point, matrix in zip(grid, found, strict=True):
                accuracies[point].append(sides.accuracy(matrix))
    return best_of(axes, accuracies, report)


def choice_sides(
    method: Method, seen: SeenVideos, classes: Classes, report: Report, *, folds: int, videos: int
) -> Iterator[Sides]:
    """Yield what a method chooses on: the family's validation classes, or else folds of its seen classes.

    Parameters
    ----------
    method
        Its seed is that of the folds and of the choice of videos.
    seen, classes
        The seen videos and classes.
    report
        Receives the progress.
    folds, videos
        Folds of classes, and how many of the videos are looked at. With too few classes, nothing is yielded.
    """
    seed, given = method.seed, method.validation
    some = seen.take(sample(len(seen), videos, seed))
    if given is not None:
        report.progress(0, 1, "choosing on the family's validation classes")
        tested = given.videos.take(sample(len(given.videos), videos, seed))
        yield Sides.given(some, classes, given._replace(videos=tested))
    elif len(classes) >= 2 * folds:
        for i, part in enumerate(class_folds(len(classes), folds, derive_seed(seed, "folds"))):
            report.progress(i, folds, "choosing on held-out seen classes")
            out = np.isin(some.labels, part)
            if out.any() and not out.all():
                yield Sides.without(some, classes, part)


def best_of(
    axes: Sequence[Axis], accuracies: Mapping[tuple[Any, ...], Sequence[float]], report: Report
) -> tuple[Any, ...]:
    """Return the point of a grid with the greatest mean accuracy, or its middle where there is no accuracy.

    Parameters
    ----------
    axes
        Of the grid.
    accuracies
        Those of each point, in the order of the grid, one for each fold.
    report
        Receives every parameter of the point, with a warning where it lies at an edge and no other value is as good;
        the mean accuracy over the folds, its sd over them, and their number.
    """
    grid = list(accuracies)
    if not all(accuracies.values()):
        best = grid[len(grid) // 2]
        report.note(**{axis.name: value for axis, value in zip(axes, best, strict=True)})
        if len(grid) > 1:
            report.note(held_out_folds=0)  # there was a choice, and no ground for it
        return best
    mean = {point: float(np.mean(values)) for point, values in accuracies.items()}
    best = max(grid, key=lambda point: mean[point])
    for i, axis in enumerate(axes):
        tied = any(mean[point] == mean[best] and point[i] != best[i] for point in grid)
        choices = best[i : i + 1] if tied or not isinstance(best[i], int | float) else axis.choices
        report.chosen(axis.name, best[i], choices, least=axis.least, most=axis.most)
    report.note(held_out_top1_per_class=mean[best], held_out_folds=len(accuracies[best]))
    if len(accuracies[best]) > 1:
        report.note(held_out_sd=float(np.std(accuracies[best], ddof=1)))
    return best


def sample(n: int, size: int, seed: int) -> IntArray:
    """Return ``size`` of n places, or all of them, in ascending order."""
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(derive_seed(seed, "sample")).permutation(n)[:size]).astype(np.int64)
