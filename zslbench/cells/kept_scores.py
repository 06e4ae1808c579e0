"""Read the scores of all classes that ``run --keep-scores`` stored with a cell, after they have been proved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.cells._sums import read_sums
from zslbench.cells.cell import PREDICTIONS, SCORES, SUMS
from zslbench.cells.integrity import scores_problem
from zslbench.cells.predictions import read_predictions
from zslbench.digests import file_sha256
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.stats.metrics import Labels


@dataclass(frozen=True)
class AllScores:
    """Scores of the test videos of a cell against all of its classes, which are sorted by name.

    Attributes
    ----------
    videos
        (n,) ids.
    labels
        (n,) true classes, as indices into ``classes``.
    unseen
        (n_classes,) which classes were unseen.
    kept
        (n, n_classes) scores, in the type in which they are kept.
    best
        (n, n_classes) float64 scores of the five best classes, and minus infinity for the others. They decide between
        scores that rounding made equal. ``None`` if nothing was rounded.

    Examples
    --------
    >>> kept = np.array([[0.5, 0.5, 0.1]], dtype=np.float32)
    >>> scores = AllScores(("v1",), ("jump", "run", "wave"), np.array([1]), np.ones(3, dtype=bool), kept)
    >>> scores.ranks(np.array([1, 2])).tolist()
    [[0, 1]]
    """

    videos: tuple[str, ...]
    classes: tuple[str, ...]
    labels: Labels
    unseen: NDArray[np.bool_]
    kept: NDArray[np.floating[Any]]
    best: NDArray[np.float64] | None = None

    def ranks(self, columns: Labels) -> Labels:
        """Return the (n, len(columns)) indices into ``columns``, best first; equal scores in the order of columns."""
        kept = -self.kept[:, columns]
        if self.best is None:
            return np.argsort(kept, axis=1, kind="stable")
        return np.lexsort((-self.best[:, columns], kept), axis=1)

    def undecided(self, columns: Labels, labels: Labels) -> int:
        """Return of how many videos only the order of classes says whether the label is the first of ``columns``.

        Their label has the score of another class after rounding, and neither is among the five best of all classes.
        ``labels`` are indices into ``columns``.
        """
        if self.best is None:
            return 0
        kept, best, rows = self.kept[:, columns], self.best[:, columns], np.arange(len(labels))
        own, own_best = kept[rows, labels][:, None], best[rows, labels][:, None]
        same = kept == own
        better = (kept > own) | (same & (best > own_best))
        alike = same & np.isneginf(best) & np.isneginf(own_best)  # the label itself, too
        return int(np.count_nonzero(~better.any(axis=1) & (alike.sum(axis=1) > 1)))

    def take(self, rows: Labels) -> AllScores:
        """Return the scores of some videos."""
        return AllScores(
            tuple(self.videos[i] for i in rows.tolist()), self.classes, self.labels[rows], self.unseen,
            self.kept[rows], None if self.best is None else self.best[rows],
        )  # fmt: skip

    def join(self, other: AllScores) -> AllScores:
        """Return the scores of these videos and of other ones against the same classes."""
        pair = (self, other)
        rounded = any(each.best is not None for each in pair)
        best = [np.full(each.kept.shape, -np.inf) if each.best is None else each.best for each in pair]
        return AllScores(
            self.videos + other.videos, self.classes, np.concatenate([each.labels for each in pair]),
            self.unseen | other.unseen, np.concatenate([each.kept for each in pair]),
            np.concatenate(best) if rounded else None,
        )  # fmt: skip


def read_all_scores(folder: Path) -> AllScores:
    """Return the kept scores of a cell's directory.

    They and the predictions must match their checksums, and the best five classes must be those of the predictions.

    Raises
    ------
    NotFoundError
        The cell kept none.
    ZslbenchError
        They are damaged; the message is the reason in a few words.
    """
    sums = read_sums(folder)
    if SCORES not in sums:
        raise NotFoundError(f"it has no {SCORES}")
    for name in (PREDICTIONS, SCORES):
        try:
            if file_sha256(folder / name) != sums.get(name):
                raise ZslbenchError(f"{name} does not match {SUMS}")
        except OSError as error:
            raise ZslbenchError(f"{name}: {error.strerror or error}") from error
    predictions = read_predictions(folder / PREDICTIONS)
    ranked = predictions.ranked
    if problem := scores_problem(folder / SCORES, predictions):
        raise ZslbenchError(f"{SCORES}: {problem}")
    order = np.argsort(predictions.classes)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    kept = np.load(folder / SCORES, allow_pickle=False)
    best = None
    if (np.take_along_axis(kept, ranked.best, axis=1).astype(np.float64) != ranked.scores).any():
        best = np.full(kept.shape, -np.inf)
        np.put_along_axis(best, place[ranked.best], ranked.scores, axis=1)
    names = tuple(predictions.classes[i] for i in order.tolist())
    unseen = np.ones(len(names), dtype=bool) if not ranked.seen.any() else ~ranked.seen[order]
    return AllScores(predictions.videos, names, place[ranked.labels], unseen, kept[:, order], best)
