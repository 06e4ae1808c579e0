"""HOG, HOF and MBH over dense optical flow: the descriptors of the baselines before deep learning, without weights.

The descriptors are those of dense trajectories (Wang, Klaeser, Schmid, Liu, IJCV 2013). They are summed over the cells
of a grid that covers the clip, instead of patches along trajectories. There is no codebook and no Fisher vector: each
clip gives one vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.video.backbone import UNTRAINED, Backbone, BackboneInfo, BackboneParams, Frames, require
from zslbench.videos import FloatArray

Histogram = NDArray[np.float64]
BINS = 8  # directions, of 45 degrees
BLOCKS = (("hog", BINS), ("hof", BINS + 1), ("mbhx", BINS), ("mbhy", BINS))  # HOF's last bin counts pixels at rest
VALUES = sum(size for _, size in BLOCKS)
# The longest side of a resized frame, in shorter sides. Without it, a strip of 400 x 2 pixels would become 25,600 x 128
# and take minutes.
LONGEST = 4
KEPT = 64  # pairs of frames


class MotionParams(BackboneParams):
    """Parameters of the motion descriptors.

    Attributes
    ----------
    size
        Shorter side of the resized frames, in pixels; the ratio of the sides is kept up to 4:1.
    cells
        Cells of the grid in time, height and width.
    rest
        Largest motion of a point that counts as at rest, in pixels per frame.
    flow
        OpenCV's preset of its dense inverse search (Kroeger et al., ECCV 2016).

    Examples
    --------
    >>> MotionParams(cells=(1, 2, 2)).size
    128
    """

    size: int = Field(128, ge=16)
    cells: tuple[int, int, int] = (2, 3, 3)
    rest: float = Field(0.2, ge=0)
    flow: Literal["ultrafast", "fast", "medium"] = "fast"
    batch_size: int = Field(16, ge=1)


class Motion(Backbone):
    """Per cell, 8 directions of grey gradients (HOG), of flow (HOF, and the share at rest) and of the flow's gradients.

    Each descriptor consists of the square roots of its values, scaled to unit length over all cells together.

    Examples
    --------
    >>> clip = np.random.default_rng(0).integers(0, 256, (16, 120, 160, 3), dtype=np.uint8)
    >>> Motion().extract([clip]).shape  # 2 x 3 x 3 cells of 33 values
    (1, 594)
    """

    info = BackboneInfo(
        name="motion",
        summary="HOG, HOF and MBH over dense optical flow in space-time cells; needs no weights.",
        citation="Descriptors of Wang, Klaeser, Schmid, Liu: Dense Trajectories and Motion Boundary Descriptors for "
        "Action Recognition. IJCV 2013.",
        trained_on=UNTRAINED,
        dim=2 * 3 * 3 * VALUES,
        needs_weights=False,
        clip_len=None,
    )

    min_frames = 2
    uses_gpu = False

    class Params(MotionParams):
        """See :class:`MotionParams`."""

    @property
    def dim(self) -> int:
        """Values per feature: 33 per cell."""
        return int(np.prod(self.params.cells)) * VALUES

    def preprocess(self, clip: Frames) -> FloatArray:
        """Return the (dim,) feature of a clip: there is no network, so all of the work can be done beside others."""
        grey = self.grey(clip)
        with single_threaded():
            steps = [self._pair(*pair, grey.shape[1:]) for pair in pairwise(frame.tobytes() for frame in grey)]
        return self._normalised(self._over_time(steps))

    def grey(self, clip: Frames) -> NDArray[np.uint8]:
        """Return grey frames, (T, h, w) uint8; the shorter side is ``size``, the longer one at most 4 ``size``."""
        cv2 = require("cv2", "video")
        grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in clip]
        height, width = clip.shape[1:3]
        scale = self.params.size / min(height, width)
        size = tuple(min(round(side * scale), LONGEST * self.params.size) for side in (width, height))
        if size == (width, height):
            return np.stack(grey)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR  # area averages pixels, so shrinking does not alias
        return np.stack([cv2.resize(frame, size, interpolation=how) for frame in grey])

    def forward(self, batch: Sequence[FloatArray]) -> FloatArray:
        """Return (n, dim) features of n clips."""
        return np.stack(batch)

    @cached_property
    def _pair(self) -> Callable[..., Histogram]:
        """:meth:`_histograms`, which keeps those of the last pairs: default clips overlap by half."""
        return lru_cache(maxsize=KEPT)(self._histograms)

    def _histograms(self, first: bytes, second: bytes, shape: tuple[int, int]) -> Histogram:
        """Return the histograms of two successive grey frames, which are given by their pixels: these can be a key."""
        cv2 = require("cv2", "video")
        before, after = (np.frombuffer(pixels, dtype=np.uint8).reshape(shape) for pixels in (first, second))
        preset = getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{self.params.flow.upper()}")
        # A new object each time: on small frames it changes its own scales, and so later results.
        return self._step(before, cv2.DISOpticalFlow_create(preset).calc(before, after, None))

    def _step(self, grey: NDArray[np.uint8], flow: NDArray[np.float32]) -> Histogram:
        """Return the histograms, (cells per frame, 33), of a frame and the flow, (h, w, 2), to the next frame."""
        height, width = grey.shape
        _, down, across = self.params.cells
        cell = (np.arange(height) * down // height)[:, None] * across + np.arange(width) * across // width
        u, v = flow[..., 0], flow[..., 1]
        moving = u * u + v * v > self.params.rest**2
        rest = np.bincount(cell[~moving], minlength=down * across)[:, None].astype(np.float64)
        parts = [
            directions(*gradient(grey), cell, down * across),
            directions(np.where(moving, u, 0), np.where(moving, v, 0), cell, down * across),
            rest,
            directions(*gradient(u), cell, down * across),
            directions(*gradient(v), cell, down * across),
        ]
        return np.concatenate(parts, axis=1)

    def _over_time(self, steps: list[Histogram]) -> Histogram:
        """Return (cells, 33): the steps summed per cell of time."""
        spans = self.params.cells[0]
        stacked = np.stack(steps)
        span = np.arange(len(steps)) * spans // len(steps)
        return np.concatenate([stacked[span == each].sum(axis=0) for each in range(spans)])

    @staticmethod
    def _normalised(cells: Histogram) -> FloatArray:
        """Return one vector of the square roots, one descriptor after the other, each of unit length or zero."""
        ends = np.cumsum([size for _, size in BLOCKS])[:-1]
        blocks = [np.sqrt(block).ravel() for block in np.split(cells, ends, axis=1)]
        norms = [np.linalg.norm(block) for block in blocks]
        scaled = [block / norm if norm > 0 else block for block, norm in zip(blocks, norms, strict=True)]
        return np.concatenate(scaled).astype(np.float32)


def gradient(image: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the horizontal and vertical differences [-1, 0, 1] of an image, (h, w); zero at the border."""
    values = image.astype(np.float32)
    x, y = np.zeros_like(values), np.zeros_like(values)
    x[:, 1:-1] = values[:, 2:] - values[:, :-2]
    y[1:-1] = values[2:] - values[:-2]
    return x, y


def directions(x: NDArray[np.float32], y: NDArray[np.float32], cell: NDArray[np.int64], n_cells: int) -> Histogram:
    """Return (n_cells, 8): the lengths of vectors (x, y), each divided between its two nearest directions.

    Direction 0 points to the right, 2 down, 4 to the left, 6 up.
    """
    length = np.sqrt(x * x + y * y)
    place = np.arctan2(y, x) * np.float32(BINS / (2 * np.pi))  # from -4 to 4
    floor = np.floor(place)
    upper = length * (place - floor)
    low = floor.astype(np.int64)
    base = cell * BINS
    total = n_cells * BINS
    first = np.bincount((base + (low % BINS)).ravel(), (length - upper).ravel(), minlength=total)
    second = np.bincount((base + ((low + 1) % BINS)).ravel(), upper.ravel(), minlength=total)
    return (first + second).astype(np.float64).reshape(n_cells, BINS)


@contextmanager
def single_threaded() -> Iterator[Any]:
    """Yield OpenCV with one thread, so that results do not depend on the number of threads; restore it at the end."""
    cv2 = require("cv2", "video")
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield cv2
    finally:
        cv2.setNumThreads(before)
