"""The scores that can be read again, and why some cannot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zslbench.cells.cell import ClassCounts
from zslbench.cells.kept_scores import AllScores
from zslbench.cells.predictions import Predictions
from zslbench.datasets.video_ids import video_key
from zslbench.errors import ZslbenchError
from zslbench.rescoring.readings import LabelSpace
from zslbench.stats.metrics import TOP, Labels, Ranked

_NEAR = 1e-4  # of the largest score: float32 products of one video in two batches differ by less


@dataclass(frozen=True)
class Source:
    """Scores of one cell, or of several cells of an untrained method with the same classes.

    Attributes
    ----------
    whole
        Classes all of whose videos are here.
    lists
        Test lists all of whose videos are here, of every class.

    Examples
    --------
    >>> kept = np.array([[0.5, 0.4, 0.1]], dtype=np.float32)
    >>> scores = AllScores(("v1",), ("jump", "run", "wave"), np.array([1]), np.ones(3, dtype=bool), kept)
    >>> source = Source(scores, frozenset({"jump", "run", "wave"}))
    >>> counts, _ = source.read(LabelSpace(("run", "wave")))
    >>> counts.top1
    (1, 0)
    """

    scores: AllScores
    whole: frozenset[str]
    lists: frozenset[str] = frozenset()

    @cached_property
    def unseen(self) -> frozenset[str]:
        """The unseen classes."""
        return frozenset(np.array(self.scores.classes)[self.scores.unseen].tolist())

    @cached_property
    def apart(self) -> bool:
        """Whether each video was only offered the classes of its own side, as in base-to-novel."""
        return bool(np.isneginf(self.scores.kept).any())

    @cached_property
    def _keys(self) -> list[str]:
        return [video_key(video) for video in self.scores.videos]

    def refusal(self, space: LabelSpace, *, trains: bool) -> str:
        """Return why the scores cannot be read with these classes and videos; empty if they can be."""
        offered = set(space.classes)
        if trains and not self.unseen:
            return "its cells test the classes that it trained on"
        if trains and not offered <= self.unseen:
            return "a class is not among the unseen ones of its cells, and it trained on the seen ones"
        if not offered <= set(self.scores.classes):
            return "no cell scored all of these classes together; a run of all classes, or in gzsl, does"
        if self.apart and not self._offered_together(space):
            return "its cells offered base and novel classes apart, so their scores were never compared"
        if space.tested is not None and space.tested.isdisjoint(self._keys):
            return f"none of its videos is on the test list {space.listed}"
        if offered <= self.whole or space.listed in self.lists:
            return ""
        if space.tested is None and self.lists:
            lists = sorted(self.lists)
            return f"its cells tested videos of {', '.join(lists)} only; NAME@{lists[0]} reads these"
        if space.tested is None:
            return "its cells lack videos of these classes; those of more splits may have them"
        lacking = space.tested.difference(self._keys)
        return f"its cells lack {len(lacking):,} videos of {space.listed}" if lacking else ""

    def _offered_together(self, space: LabelSpace) -> bool:
        columns = np.isin(self.scores.classes, space.classes)
        return not np.isneginf(self.scores.kept[np.ix_(self._rows(space), np.flatnonzero(columns))]).any()

    def read(self, space: LabelSpace) -> tuple[ClassCounts, int]:
        """Return the counts per class, and how many videos hang on scores that rounding made equal."""
        rows = self._rows(space)
        place = {name: i for i, name in enumerate(self.scores.classes)}
        columns = np.array([place[name] for name in space.classes])
        index = np.full(len(place), -1)
        index[columns] = np.arange(len(columns))
        scores, labels = self.scores.take(rows), index[self.scores.labels[rows]]
        best = scores.ranks(columns)[:, :TOP]
        values = np.take_along_axis(scores.kept[:, columns], best, axis=1).astype(np.float64)
        ranked = Ranked(labels, best, values, np.zeros(len(columns), dtype=bool))
        return Predictions(scores.videos, space.classes, ranked).counts(), scores.undecided(columns, labels)

    def _rows(self, space: LabelSpace) -> Labels:
        chosen = np.isin(self.scores.classes, space.classes)[self.scores.labels]
        if space.tested is not None:
            chosen &= np.array([key in space.tested for key in self._keys], dtype=bool)
        return np.flatnonzero(chosen)


def merged(sources: Iterable[Source]) -> list[Source]:
    """Return the sources of an untrained method, those of the same classes as one; each video counts once.

    Raises
    ------
    ZslbenchError
        Two cells have other scores of one video, so they depend on more than the video and the class.
    """
    found: dict[tuple[tuple[str, ...], bool], Source] = {}
    for source in sources:
        key = source.scores.classes, source.apart
        found[key] = _joined(found[key], source) if key in found else source
    return list(found.values())


def _joined(first: Source, other: Source) -> Source:
    place = {video: i for i, video in enumerate(first.scores.videos)}
    at = np.array([place.get(video, -1) for video in other.scores.videos])
    twice, new = np.flatnonzero(at >= 0), np.flatnonzero(at < 0)
    if twice.size:
        mine, theirs = first.scores.kept[at[twice]].astype(np.float64), other.scores.kept[twice].astype(np.float64)
        given = np.isfinite(mine) & np.isfinite(theirs)
        if np.abs(mine[given] - theirs[given]).max() > _NEAR * np.abs(mine[given]).max():
            raise ZslbenchError("its cells have different scores of one video and class")
    return Source(first.scores.join(other.scores.take(new)), first.whole | other.whole, first.lists | other.lists)
