"""Choose the frames of a video that become clips: a sliding window at a fixed rate, uniform segments, or all frames.

Samplers read frames one after the other, keep at most one clip of them, and convert only the chosen ones to images.
The choice depends only on the order and the times of the frames.

Resampling. With ``fps`` set, the target times are 0, 1 / fps, 2 / fps, ... after the first frame. The frame nearest to
each target is taken, and the earlier one of two equally near frames. So a frame can be taken twice, or not at all.
A video lasts until one mean frame interval after its last frame. A target after the last frame counts if at least half
of its slot of 1 / fps lies in the video. So 100 frames at 25 per second last 4 s and become 120 at 30 per second.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from zslbench.video.reader import Frame

_SAME = 1e-9  # seconds; times that differ by no more differ by rounding only, as sums of 1 / fps do
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class VideoClip:
    """Some frames of a video.

    Attributes
    ----------
    indices
        (T,) indices of the frames in the decoded stream.
    times
        (T,) seconds after the stream's first frame.
    images
        (T, H, W, 3) uint8, RGB.

    Examples
    --------
    >>> frames = [Frame(i, i / 25, np.full((4, 6, 3), i, dtype=np.uint8)) for i in range(3)]
    >>> VideoClip.of(frames).images.shape
    (3, 4, 6, 3)
    """

    indices: NDArray[np.int64]
    times: NDArray[np.float64]
    images: NDArray[np.uint8]

    @classmethod
    def of(cls, frames: Iterable[Frame]) -> VideoClip:
        """Return the clip of these frames."""
        frames = list(frames)
        return cls(
            np.array([frame.index for frame in frames], dtype=np.int64),
            np.array([frame.time for frame in frames]),
            np.stack([frame.image for frame in frames]),
        )


class Sampler(Protocol):
    """The interface of a sampler: it makes clips of a video.

    Examples
    --------
    >>> frames = [Frame(i, i / 25, np.zeros((4, 6, 3), dtype=np.uint8)) for i in range(40)]
    >>> sampler: Sampler = SegmentSampler(n_segments=2)
    >>> [clip.indices.tolist() for clip in sampler.clips(frames)]
    [[10], [30]]
    """

    def clips(self, frames: Iterable[Frame]) -> Iterator[VideoClip]:
        """Yield the clips; at least one for any video that has a frame."""

    def describe(self) -> str:
        """Return one line that says which frames are taken, for the provenance of a feature set."""


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClipSampler(_Parameters):
    """Clips of successive frames, at a fixed distance from each other.

    The defaults are Action2Vec's (arXiv 1901.00484). There, 14 s at 30 frames per second are 420 frames. Clips of 16
    frames with a stride of 8 start at frames 0, 8, ..., 400: 51 clips. The 52nd starts at 408 and lacks four frames.

    Attributes
    ----------
    clip_len, clip_stride
        Frames per clip, and frames from the start of one clip to the start of the next.
    fps
        Frames per second after resampling; ``None`` takes the frames as stored.
    max_seconds
        How much of the video is used; ``None`` for all of it.
    n_slots
        The largest number of clips; ``None`` for no limit.
    tail
        What to do with frames after the last full clip. ``pad``: one more clip starts a stride after it and repeats the
        last frame as often as needed. ``drop``: leave them out. A video shorter than a clip gives one padded clip in
        both cases.

    Examples
    --------
    >>> frames = [Frame(i, i / 25, np.zeros((4, 6, 3), dtype=np.uint8)) for i in range(40)]
    >>> [clip.indices[[0, -1]].tolist() for clip in ClipSampler(fps=None).clips(frames)]
    [[0, 15], [8, 23], [16, 31], [24, 39]]
    """

    clip_len: Count = 16
    clip_stride: Count = 8
    fps: Positive | None = 30.0
    max_seconds: Positive | None = 14.0
    n_slots: Count | None = 52
    tail: Literal["pad", "drop"] = "pad"

    def clips(self, frames: Iterable[Frame]) -> Iterator[VideoClip]:
        """Yield the clips; nothing is decoded after the last one."""
        return islice(self._all_clips(frames), self.n_slots)

    def _all_clips(self, frames: Iterable[Frame]) -> Iterator[VideoClip]:
        window: deque[Frame] = deque()
        skip = covered = made = 0  # covered: frames of the window that the last clip has too
        for frame in resample(frames, self.fps, self.max_seconds):
            if skip:
                skip -= 1
                continue
            window.append(frame)
            if len(window) == self.clip_len:
                yield VideoClip.of(window)
                made += 1
                skip = max(0, self.clip_stride - self.clip_len)
                for _ in range(min(self.clip_stride, self.clip_len)):
                    window.popleft()
                covered = len(window)
        if window and (not made or (self.tail == "pad" and len(window) > covered)):
            yield VideoClip.of([*window, *[window[-1]] * (self.clip_len - len(window))])

    def describe(self) -> str:
        """Return what is taken, in a line."""
        rate = f"{self.fps:g} fps (nearest frame)" if self.fps else "the stored frame rate"
        return ", ".join(
            [
                f"clips of {self.clip_len} frames with a stride of {self.clip_stride} at {rate}",
                f"first {self.max_seconds:g} s" if self.max_seconds else "whole video",
                *([f"at most {self.n_slots} clips"] if self.n_slots else []),
                f"incomplete last clip {'padded' if self.tail == 'pad' else 'dropped'}",
            ]
        )


class WholeVideo(_Parameters):
    """The whole video, cut into clips without gaps or overlaps; the last one is padded.

    ``WholeVideo(clip_len=1)`` yields every frame.

    Attributes
    ----------
    clip_len
        Frames per clip.
    fps
        Frames per second after resampling; ``None`` takes the frames as stored.

    Examples
    --------
    >>> frames = [Frame(i, i / 25, np.zeros((4, 6, 3), dtype=np.uint8)) for i in range(40)]
    >>> [clip.indices[[0, -1]].tolist() for clip in WholeVideo().clips(frames)]
    [[0, 15], [16, 31], [32, 39]]
    """

    clip_len: Count = 16
    fps: Positive | None = None

    def clips(self, frames: Iterable[Frame]) -> Iterator[VideoClip]:
        """Yield the clips."""
        return self._as_clips().clips(frames)

    def _as_clips(self) -> ClipSampler:
        return ClipSampler(
            clip_len=self.clip_len, clip_stride=self.clip_len, fps=self.fps, max_seconds=None, n_slots=None
        )

    def describe(self) -> str:
        """Return what is taken, in a line."""
        return self._as_clips().describe()


class SegmentSampler(_Parameters):
    """Frames from the middle of equal segments (Wang et al., Temporal Segment Networks, ECCV 2016, at test time).

    Of n stored frames, segment i of k reaches from i n / k to (i + 1) n / k. The m frames around its middle are taken.
    They start at ``floor((2 i + 1) n / (2 k) - (m - 1) / 2)``, or as near to it as the video permits. A video of fewer
    than m frames repeats its last one.

    Attributes
    ----------
    n_segments, frames_per_segment
        k and m.
    joined
        Whether all frames form one clip of k m frames, for networks that see a few frames of the whole video.
        Otherwise each segment is a clip.

    Examples
    --------
    >>> SegmentSampler(n_segments=4, frames_per_segment=2).indices(80).tolist()
    [[9, 10], [29, 30], [49, 50], [69, 70]]
    """

    n_segments: Count = 8
    frames_per_segment: Count = 1
    joined: bool = False

    def indices(self, n: int) -> NDArray[np.int64]:
        """Return the indices of the frames that are taken of n, (n_segments, frames_per_segment)."""
        k, m = self.n_segments, self.frames_per_segment
        # The formula of the class in whole numbers: a rounded quotient could fall just below the integer it should be.
        starts = ((2 * np.arange(k) + 1) * n - k * (m - 1)) // (2 * k)
        starts = np.clip(starts, 0, max(n - m, 0))
        indices: NDArray[np.int64] = np.minimum(starts[:, None] + np.arange(m), n - 1)
        return indices

    def clips(self, frames: Iterable[Frame]) -> Iterator[VideoClip]:
        """Yield the clips.

        The frames are read a second time if their number is not ``frames.announced``, or if none is announced. So only
        the frames that are taken are kept in memory.

        Parameters
        ----------
        frames
            An iterable that can be iterated twice: :class:`~zslbench.video.reader.Decoded`, or a list.
        """
        if isinstance(frames, Iterator):
            raise TypeError("segments need frames that can be iterated twice, such as PyAVReader.frames() returns")
        taken, n = self._take(frames, None)
        if not n:
            return
        if taken is None:
            taken, _ = self._take(frames, n)
        assert taken is not None  # noqa: S101 - the same frames come twice
        places = self.indices(n)
        for clip in places.reshape(1, -1) if self.joined else places:
            yield VideoClip.of(taken[place] for place in clip.tolist())

    def _take(self, frames: Iterable[Frame], n: int | None) -> tuple[dict[int, Frame] | None, int]:
        """Return the chosen frames of n (by default: the announced number), and how many frames there are.

        If there are not n frames, return ``None`` instead of the chosen frames.
        """
        wanted: set[int] | None = None
        taken: dict[int, Frame] = {}
        place = -1
        for place, frame in enumerate(frames):
            if wanted is None:  # the announced number is known only after the file was opened
                n = n or getattr(frames, "announced", 0)
                wanted = set(self.indices(n).ravel().tolist()) if n else set()
            if place in wanted:
                taken[place] = frame
        return (taken if place + 1 == n else None), place + 1

    def describe(self) -> str:
        """Return what is taken, in a line."""
        several = f"{self.frames_per_segment} frames" if self.frames_per_segment > 1 else "the frame"
        joined = ", joined into one clip" if self.joined else ""
        return f"{several} in the middle of each of {self.n_segments} equal segments{joined}"


def resample(frames: Iterable[Frame], fps: float | None, max_seconds: float | None = None) -> Iterator[Frame]:
    """Yield the frames nearest to the target times 0, 1 / fps, ... (see the module's text), reading one frame ahead.

    Parameters
    ----------
    frames
        Frames in the order of their times.
    fps
        Targets per second; ``None`` yields the frames as they are.
    max_seconds
        Leave out targets (frames) at this time after the first frame, and later ones.
    """
    if fps is None:
        yield from _until(frames, max_seconds)
        return
    limit = math.inf if max_seconds is None else math.ceil(max_seconds * fps - _SAME * fps)
    target, n = 0, 0
    first = before = None
    for frame in frames:
        n += 1
        first = frame.time if first is None else first
        while before is not None and target < limit:
            time = first + target / fps
            if time > frame.time + _SAME:
                break
            yield before if time - before.time <= frame.time - time + _SAME else frame
            target += 1
        if target >= limit:
            return
        before = frame
    if before is None or first is None:
        return
    # The last frame is shown for one mean frame interval, so n frames last n intervals, not n - 1.
    lasts = (before.time - first) * n / (n - 1) if n > 1 else 0.0
    end = min(limit, max(1, math.floor(lasts * fps + 0.5 + _SAME)))
    while target < end:
        yield before
        target += 1


def _until(frames: Iterable[Frame], max_seconds: float | None) -> Iterator[Frame]:
    first: float | None = None
    for frame in frames:
        first = frame.time if first is None else first
        if max_seconds is not None and frame.time - first >= max_seconds - _SAME:
            return
        yield frame
