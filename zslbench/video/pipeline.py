"""Videos to features in one process: a thread decodes ahead, the network computes batches across videos."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from zslbench.errors import ZslbenchError
from zslbench.video.backbone import Backbone
from zslbench.video.folders import VideoFile
from zslbench.video.reader import VideoError
from zslbench.video.reader_pyav import PyAVReader
from zslbench.video.recipe import Recipe, clip_length
from zslbench.video.sampling import Sampler, VideoClip
from zslbench.videos import FloatArray

AHEAD_BYTES = 1 << 26  # decoded clips that wait: at most 64 MiB, which is 18 clips of 16 frames of 320 x 240
BATCH_BYTES = 1 << 28  # clips of a batch: at most 256 MiB
_TORCHSCRIPT = "The following operation failed in the TorchScript interpreter"
_T = TypeVar("_T")


@dataclass
class VideoFeatures:
    """The result of one video.

    Attributes
    ----------
    file
        The video.
    rows
        Its features so far, (n, D) each; :attr:`features` joins them.
    indices
        The frames of each clip, as indices in the decoded stream.
    n_frames
        Number of decoded frames.
    reason
        Why there are no features; ``""`` if there are features.
    by_network
        Whether the backbone failed, not the file.
    warnings
        What was wrong with the file although there are features.

    Examples
    --------
    >>> from pathlib import Path
    >>> video = VideoFeatures(VideoFile("clip", Path("clip.mp4"), "wave"))
    >>> video.rows.append(np.zeros((2, 4096), dtype=np.float32))
    >>> video.features.shape
    (2, 4096)
    >>> video.fail("is empty (0 bytes)"); video.features is None
    True
    """

    file: VideoFile
    rows: list[FloatArray] = field(default_factory=list)
    indices: list[list[int]] = field(default_factory=list)
    n_frames: int = 0
    reason: str = ""
    by_network: bool = False
    warnings: list[str] = field(default_factory=list)
    ended: bool = False  # all clips are decoded
    waiting: int = 0  # decoded clips that are not computed yet

    @property
    def features(self) -> FloatArray | None:
        """(n, D) float32; ``None`` if there are none."""
        return np.concatenate(self.rows) if self.rows and not self.reason else None

    def fail(self, reason: str, *, by_network: bool = False) -> None:
        """Record why there are no features, and drop those of its first clips."""
        self.rows.clear()
        self.indices.clear()
        self.reason, self.by_network = reason, by_network


def extract_videos(
    files: Iterable[VideoFile], backbone: Backbone, sampler: Sampler, reader: PyAVReader
) -> Generator[VideoFeatures]:
    """Yield the result of each video, in order; a video that fails does not stop the others.

    Batches depend only on the videos and their order, not on timing: the same videos give the same bits.

    Raises
    ------
    ZslbenchError
        A batch does not fit into the GPU's memory.
    """
    begun: deque[VideoFeatures] = deque()
    batch: list[tuple[VideoFeatures, VideoClip]] = []
    nbytes = 0
    decoded = Ahead(_decode(files, sampler, reader), lambda event: event[1].images.nbytes if event[1] else 0)
    with closing(decoded):
        for video, clip in decoded:
            if not begun or begun[-1] is not video:
                begun.append(video)
            if clip is None:
                video.ended = True
            else:
                # A batch ends before it is too large for memory: long clips of large frames are computed one by one.
                if batch and nbytes + clip.images.nbytes > BATCH_BYTES:
                    _compute(batch, backbone)
                    batch, nbytes = [], 0
                video.waiting += 1
                batch.append((video, clip))
                nbytes += clip.images.nbytes
                if len(batch) == backbone.params.batch_size:
                    _compute(batch, backbone)
                    batch, nbytes = [], 0
            while begun and begun[0].ended and not begun[0].waiting:
                yield begun.popleft()
    if batch:
        _compute(batch, backbone)
    yield from begun


Event = tuple[VideoFeatures, VideoClip | None]


def _decode(files: Iterable[VideoFile], sampler: Sampler, reader: PyAVReader) -> Generator[Event]:
    """Yield (video, clip) for each clip, and (video, None) after the last clip of each video."""
    for file in files:
        video = VideoFeatures(file)
        frames = reader.frames(file.path, file.start, file.end)
        reason, made = "", 0
        try:
            for clip in sampler.clips(frames):
                made += 1
                yield video, clip
        except VideoError as error:
            reason = error.reason
        except Exception as error:  # decoders raise anything on a broken file, and it must not stop the others
            reason = f"cannot be decoded ({one_line(error)})"
        video.n_frames, video.warnings = frames.n_frames, list(frames.warnings)
        if reason and made:
            video.warnings.append(reason)
        elif reason or not made:
            video.fail(reason or "yields no clip")
        yield video, None


def _compute(batch: list[tuple[VideoFeatures, VideoClip]], backbone: Backbone) -> None:
    """Give each video the features of its clips; if a batch fails, compute each video alone to find the cause."""
    for video, _ in batch:
        video.waiting -= 1
    batch = [(video, clip) for video, clip in batch if not video.reason]
    if not batch:
        return
    try:
        features = backbone.extract([clip.images for _, clip in batch])
    except Exception as error:
        # By its words: torch, ONNX Runtime and CUDA have no common exception class for this.
        if "out of memory" in str(error).lower():
            raise ZslbenchError(
                f"{len(batch)} clips at a time do not fit into memory ({one_line(error)}); use a smaller --batch."
            ) from error
        if len({id(video) for video, _ in batch}) == 1:
            batch[0][0].fail(f"{backbone.info.name} failed ({one_line(error)})", by_network=True)
            return
        for each in dict.fromkeys(id(video) for video, _ in batch):
            own = [(video, clip) for video, clip in batch if id(video) == each]
            own[0][0].waiting += len(own)
            _compute(own, backbone)
        return
    for i, (video, clip) in enumerate(batch):
        # A copy: a view would keep the features of the whole batch in memory.
        video.rows.append(features[i * backbone.rows_per_clip : (i + 1) * backbone.rows_per_clip].copy())
        video.indices.append(clip.indices.tolist())


def try_out(recipe: Recipe) -> None:
    """Compute the features of a clip of noise: if that fails, the cause is not in the videos.

    Raises
    ------
    ZslbenchError
        The backbone fails: its weights, parameters or device cannot be used.
    """
    backbone = recipe.open_backbone()
    shape = (clip_length(recipe.open_sampler()), 240, 320, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    try:
        backbone.extract([noise])
    except ZslbenchError:
        raise
    except Exception as error:  # libraries raise anything if the weights do not fit
        raise ZslbenchError(
            f"{backbone.info.name} fails on a clip of noise ({one_line(error)}); fix its weights or settings."
        ) from error


def one_line(error: Exception) -> str:
    """Return the message of an exception in one line."""
    # TorchScript's errors begin with lines of traceback; the reason is in the last line.
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    line = lines[-1 if lines[0].startswith(_TORCHSCRIPT) else 0]
    return line.rstrip(".") if isinstance(error, ZslbenchError) else f"{type(error).__name__}: {line}"


class Ahead(Generic[_T]):
    """Run an iterator in a thread of its own, at most ``room`` bytes ahead of its reader; a single item always fits.

    Parameters
    ----------
    size
        Returns the bytes of an item.

    Examples
    --------
    >>> with closing(Ahead(iter(["a", "b"]), size=len)) as letters:
    ...     list(letters)
    ['a', 'b']
    """

    def __init__(self, items: Iterator[_T], size: Callable[[_T], int], room: int = AHEAD_BYTES) -> None:
        self._items = items
        self._size = size
        self._room = room
        self._held = 0
        self._queue: deque[_T] = deque()
        self._changed = threading.Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        # daemon: Python must not wait at its end for a decoder that hangs.
        self._thread = threading.Thread(target=self._fill, daemon=True, name="decode")
        self._thread.start()

    def _fill(self) -> None:
        try:
            for item in self._items:
                size = self._size(item)
                with self._changed:
                    while self._queue and self._held + size > self._room and not self._stopped:
                        self._changed.wait()
                    if self._stopped:
                        return
                    self._queue.append(item)
                    self._held += size
                    self._changed.notify_all()
        except BaseException as error:  # raised again in the reader's thread, where somebody can see it
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def __iter__(self) -> Iterator[_T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._ended)
                if not self._queue:
                    break
                item = self._queue.popleft()
                self._held -= self._size(item)
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stop reading, and wait until the thread has ended."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()
