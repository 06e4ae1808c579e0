"""Controls of time: videos whose frames are shuffled, reversed, or reduced to one, when they are read.

A control asks whether a figure needs the order of frames, or more than one of them. It changes the test videos; with
``+train`` also the training videos, those of other datasets included. No frame is copied on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.cell import Cell, Control
from zslbench.digests import derive_seed
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet
from zslbench.features.transforms import Projection
from zslbench.run.variants import Variant
from zslbench.videos import FloatArray, FrameStore, IntArray

_ALSO_TRAIN = "+train"  # ends the name of a control that changes the training videos, too


class ControlledStore(FrameStore):
    """The frames of another store under a control; the patches of a frame move with it.

    A shuffled video has one order, drawn from its id. Each order is equally likely, the true one too: only so does the
    place of a frame say nothing about its time. A single frame is the middle one.

    Parameters
    ----------
    parent
        The frames in their order.
    control
        ``shuffled-frames``, ``reversed`` or ``single-frame``.
    ids
        (n_videos,) ids of the videos.

    Examples
    --------
    >>> store = FrameStore(np.arange(10.0).reshape(5, 2), offsets=[0, 3], lengths=[3, 2])
    >>> ControlledStore(store, "reversed", ["a", "b"]).gather(np.array([0])).tolist()
    [[4.0, 5.0], [2.0, 3.0], [0.0, 1.0]]
    >>> ControlledStore(store, "single-frame", ["a", "b"]).pooled().tolist()
    [[2.0, 3.0], [8.0, 9.0]]
    """

    def __init__(self, parent: FrameStore, control: str, ids: Sequence[str]) -> None:
        kept = np.minimum(parent.lengths, parent.tokens) if control == "single-frame" else parent.lengths
        super().__init__(parent.frames, parent.offsets, kept, parent.tokens)
        self._parent = parent
        self._control = control
        self._ids = ids

    @property
    def dim(self) -> int:
        """D, the number of values per frame."""
        return self._parent.dim

    def _pool(self) -> FloatArray:
        # The order does not change a mean, so the frames need not be read again.
        return super()._pool() if self._control == "single-frame" else self._parent.pooled()

    def gather(self, rows: IntArray) -> FloatArray:
        """Return the frames of the videos ``rows``, one after the other, as a new float32 array."""
        result = np.empty((int(self.lengths[rows].sum()), self.dim), dtype=np.float32)
        at = 0
        for row in rows.tolist():  # one by one: of a single frame's video all frames are read
            frames = self._parent.gather(np.array([row])).reshape(-1, self.tokens, self.dim)
            kept = frames[self._places(row, len(frames))].reshape(-1, self.dim)
            result[at : at + len(kept)] = kept
            at += len(kept)
        return result

    def _places(self, row: int, n: int) -> NDArray[Any]:
        """Return which of a video's ``n`` frames are kept, in their new order."""
        if self._control == "reversed":
            return np.arange(n)[::-1]
        if self._control == "single-frame":
            return np.array([n // 2])
        return np.random.default_rng(derive_seed("shuffled frames", self._ids[row])).permutation(n)


def frames_of(cell: Cell, features: FeatureSet, projection: Projection | None, *, training: bool) -> FrameStore:
    """Return the frames that a cell reads, under its control if it has one; the same object for all cells of one kind.

    Parameters
    ----------
    features
        Those of the tested or of the training videos.
    projection
        As for :meth:`~zslbench.features.feature_set.FeatureSet.projected`.
    training
        Whether the frames are for training.
    """
    store = features.projected(projection)
    if cell.control is None or (training and not cell.control.endswith(_ALSO_TRAIN)):
        return store
    control = cell.control.removesuffix(_ALSO_TRAIN)
    key = ("control", control)
    if key not in store.cache:
        store.cache[key] = ControlledStore(store, control, features.ids)
    controlled: FrameStore = store.cache[key]
    return controlled


def check_controls(controls: Sequence[Control], features: FeatureSet) -> None:
    """Refuse controls of features with one frame per video, which they do not change.

    Raises
    ------
    ZslbenchError
        There are controls, and each video has one frame.
    """
    for each in features.parts if controls else ():
        if (each.lengths <= each.manifest.tokens).all():
            kind = "is pooled" if each.manifest.kind == "pooled" else "has single frames"
            raise ZslbenchError(
                f"{each.title} {kind}, one frame per video, so --control {controls[0]} changes nothing; use a feature "
                "set with sequences, or leave out --control."
            )


def control_notices(controls: Sequence[Control], chosen: Sequence[Variant]) -> Iterator[str]:
    """Yield a note about methods that some of these controls cannot change."""
    of_order = [control for control in controls if not control.startswith("single-frame")]
    pooled = sorted({one.label for one in chosen if one.method.info.wants == "pooled"})
    if of_order and pooled:
        yield (
            "methods that read only the mean of a video's frames keep their figures under "
            f"--control {' and '.join(dict.fromkeys(of_order))}, but for rounding: {', '.join(pooled)}."
        )
