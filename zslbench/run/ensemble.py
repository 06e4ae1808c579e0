"""Run a method on each feature set of an ensemble by itself, and add up the standardised scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.cell import Cell
from zslbench.errors import ZslbenchError
from zslbench.features.ensemble import part_names
from zslbench.method import Report

_SHARED = frozenset({"validation_classes"})  # notes of the harness, which are the same for every part


def part_cells(cell: Cell) -> list[Cell]:
    """Return a cell for each feature set of an ensemble, or the cell itself if it is of one set.

    A part has the videos, class vectors and split of the ensemble. Its seeds are those that it has by itself.
    """
    n = len(part_names(cell.features))
    return [cell.model_copy(update={"part": i}) for i in range(n)] if n > 1 else [cell]


def why_no_model(cell: Cell) -> str:
    """Return why the model of a cell cannot be saved; empty if it can."""
    names = part_names(cell.features)
    if len(names) == 1:
        return ""
    return f"{cell.features} is an ensemble, whose models are not saved; name one feature set: {', '.join(names)}"


def standardised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores less their mean over the classes, divided by their sd over them (ddof=0), for each video by itself.

    This is the test normalisation (T-norm) of Auckenthaler, Carey and Lloyd-Thomas, "Score normalization for
    text-independent speaker verification systems", Digital Signal Processing 10, 2000. No other test video has a say.

    Parameters
    ----------
    scores
        (n_videos, n_classes); minus infinity for a class that a video is not compared with, which stays so.

    Examples
    --------
    >>> standardised(np.array([[1.0, 3.0], [0.5, 0.5], [2.0, -np.inf]])).tolist()
    [[-1.0, 1.0], [0.0, 0.0], [0.0, -inf]]
    """
    offered = np.isfinite(scores)
    count = offered.sum(axis=1, keepdims=True)
    centred = scores - np.where(offered, scores, 0).sum(axis=1, keepdims=True) / count
    deviation = np.sqrt((np.where(offered, centred, 0) ** 2).sum(axis=1, keepdims=True) / count)
    result: NDArray[np.float64] = centred / np.where(deviation > 0, deviation, 1)
    return result


def combined(ids: Sequence[Sequence[str]], scores: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the sum of the standardised scores of the parts of an ensemble; a single part's are returned unchanged.

    The sum rule is that of Kittler, Hatef, Duin and Matas, "On combining classifiers", PAMI 20(3), 1998.

    Parameters
    ----------
    ids
        The ids of each part's videos: the same ones, in any order.
    scores
        (n_videos, n_classes) of each part.

    Returns
    -------
    (n_videos, n_classes) array
        In the order of the first part.

    Raises
    ------
    ZslbenchError
        Two parts have different videos.

    Examples
    --------
    >>> ours, theirs = np.array([[3.0, 1.0], [0.0, 1.0]]), np.array([[0.2, 0.6], [0.3, 0.9]])
    >>> (combined([["x", "y"], ["y", "x"]], [ours, theirs]).round(9) + 0).tolist()
    [[0.0, 0.0], [-2.0, 2.0]]
    """
    if len(scores) == 1:
        return scores[0]
    total = standardised(scores[0])
    for of_part, more in zip(ids[1:], scores[1:], strict=True):
        row = {video: i for i, video in enumerate(of_part)}
        if row.keys() != set(ids[0]):
            raise ZslbenchError(
                "the feature sets of the ensemble test different videos; import them with the same source groups and "
                "official lists."
            )
        total = total + standardised(more)[[row[video] for video in ids[0]]]
    return total


class PartReport(Report):
    """What a method says of one part of an ensemble, passed on with the part's name in front.

    Examples
    --------
    >>> whole = Report()
    >>> PartReport(whole, "clip", 0, 2).note(alpha=0.5)
    >>> whole.notes
    {'clip.alpha': 0.5}
    """

    def __init__(self, whole: Report, name: str, index: int, n_parts: int) -> None:
        super().__init__()
        self._whole, self._name, self._index, self._n = whole, name, index, n_parts

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Pass on how far the fits of all parts are."""
        share = done / total if total else 0.0
        self._whole.progress(self._index + share, self._n, f"{self._name}: {what}" if what else self._name)

    def epoch(self, **metrics: float) -> None:
        """Pass on a record of metrics: ``clip.loss``."""
        self._whole.epoch(**{f"{self._name}.{metric}": value for metric, value in metrics.items()})

    def warn(self, sentence: str) -> None:
        """Pass on a sentence."""
        self._whole.warn(f"{self._name}: {sentence}")

    def note(self, **values: float | str) -> None:
        """Pass on choices: ``clip.alpha``."""
        self._whole.note(**{n if n in _SHARED else f"{self._name}.{n}": value for n, value in values.items()})


def part_reports(cell: Cell, report: Report) -> list[Report]:
    """Return the report of each of :func:`part_cells`."""
    names = part_names(cell.features)
    return [PartReport(report, name, i, len(names)) for i, name in enumerate(names)] if len(names) > 1 else [report]
