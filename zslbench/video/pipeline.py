"""Videos to features in one process: a thread decodes ahead while the network computes batches across videos."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from zslbench.errors import ZslbenchError
from zslbench.video.backbone import Backbone, FloatArray
from zslbench.video.folders import VideoFile
from zslbench.video.reader import FrameReader, VideoError
from zslbench.video.recipe import Recipe, clip_length
from zslbench.video.sampling import Clip, Sampler

AHEAD_BYTES = 1 << 26  # of decoded clips that wait: 64 MiB, 17 clips of 320 x 240
BATCH_BYTES = 1 << 28  # of the clips of a batch: 256 MiB
_TORCHSCRIPT = "The following operation failed in the TorchScript interpreter"
T = TypeVar("T")


@dataclass
class VideoFeatures:
    """What became of one video.

    Attributes
    ----------
    file
        Which.
    rows
        Its features so far, (n, D) each; :attr:`features` joins them.
    indices
        The frames of each clip, as places in the decoded stream.
    n_frames
        Frames that were decoded.
    reason
        Why there are no features; ``""`` where there are.
    by_network
        Whether it was the backbone that failed, not the file.
    warnings
        What was wrong with the file although there are features.
    """

    file: VideoFile
    rows: list[FloatArray] = field(default_factory=list)
    indices: list[list[int]] = field(default_factory=list)
    n_frames: int = 0
    reason: str = ""
    by_network: bool = False
    warnings: list[str] = field(default_factory=list)
    ended: bool = False  # no clip is to come
    waiting: int = 0  # clips that are not yet computed

    @property
    def features(self) -> FloatArray | None:
        """(n, D) float32; ``None`` where there are none."""
        return np.concatenate(self.rows) if self.rows and not self.reason else None

    def fail(self, reason: str, *, by_network: bool = False) -> None:
        """Note why there are no features."""
        self.rows.clear()
        self.indices.clear()
        self.reason, self.by_network = reason, by_network


def extract_videos(
    files: Iterable[VideoFile], backbone: Backbone, sampler: Sampler, reader: FrameReader
) -> Generator[VideoFeatures]:
    """Yield what became of each video, in order; a video that yields nothing stops no other.

    Batches depend on the videos and their order only, not on time: the same videos give the same bits.

    Raises
    ------
    ZslbenchError
        A batch does not fit into the GPU's memory.
    """
    begun: deque[VideoFeatures] = deque()
    batch: list[tuple[VideoFeatures, Clip]] = []
    nbytes = 0
    with ahead(_decode(files, sampler, reader), lambda event: event[1].images.nbytes if event[1] else 0) as events:
        for video, clip in events:
            if not begun or begun[-1] is not video:
                begun.append(video)
            if clip is None:
                video.ended = True
            else:
                # A batch ends before it is too large: long clips of large frames are computed one by one.
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


Event = tuple[VideoFeatures, Clip | None]


def _decode(files: Iterable[VideoFile], sampler: Sampler, reader: FrameReader) -> Generator[Event]:
    """Yield (video, clip) for each clip, and (video, None) behind the last one of each video."""
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
        except Exception as error:  # whatever a decoder makes of a broken file: it must not stop the others
            reason = f"cannot be decoded ({words(error)})"
        video.n_frames, video.warnings = frames.n_frames, list(frames.warnings)
        if reason and made:
            video.warnings.append(reason)
        elif reason or not made:
            video.fail(reason or "yields no clip")
        yield video, None


def _compute(batch: list[tuple[VideoFeatures, Clip]], backbone: Backbone) -> None:
    """Give each video the features of its clips; where a batch fails, find out whose clip it was."""
    for video, _ in batch:
        video.waiting -= 1
    batch = [(video, clip) for video, clip in batch if not video.reason]
    if not batch:
        return
    try:
        features = backbone.extract([clip.images for _, clip in batch])
    except Exception as error:
        if "out of memory" in str(error).lower():
            raise ZslbenchError(
                f"{len(batch)} clips at a time do not fit into memory ({words(error)}); give a smaller --batch."
            ) from error
        if len({id(video) for video, _ in batch}) == 1:
            batch[0][0].fail(f"{backbone.info.name} failed ({words(error)})", by_network=True)
            return
        for each in dict.fromkeys(id(video) for video, _ in batch):
            own = [(video, clip) for video, clip in batch if id(video) == each]
            own[0][0].waiting += len(own)
            _compute(own, backbone)
        return
    for i, (video, clip) in enumerate(batch):
        video.rows.append(features[i * backbone.rows_per_clip : (i + 1) * backbone.rows_per_clip].copy())
        video.indices.append(clip.indices.tolist())


def try_out(recipe: Recipe) -> None:
    """Compute the features of a clip of noise: nothing is wrong with that.

    Raises
    ------
    ZslbenchError
        The backbone fails: its weights, parameters or device will not do.
    """
    backbone = recipe.open_backbone()
    shape = (clip_length(recipe.open_sampler()), 240, 320, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    try:
        backbone.extract([noise])
    except ZslbenchError:
        raise
    except Exception as error:  # whatever a library makes of weights that do not fit
        raise ZslbenchError(
            f"{backbone.info.name} fails on a clip of noise ({words(error)}); mend its weights or settings."
        ) from error


def words(error: Exception) -> str:
    """Return what an exception says, in a line; TorchScript's tell the reason last."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    line = lines[-1 if lines[0].startswith(_TORCHSCRIPT) else 0]
    return line.rstrip(".") if isinstance(error, ZslbenchError) else f"{type(error).__name__}: {line}"


class _Ahead(Generic[T]):
    """A queue that is bounded by the bytes of what is in it; one item always fits."""

    def __init__(self, items: Iterator[T], size: Callable[[T], int], room: int) -> None:
        self._items = items
        self._size = size
        self._room = room
        self._held = 0
        self._queue: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None
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
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
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

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()


@contextmanager
def ahead(items: Iterator[T], size: Callable[[T], int], room: int = AHEAD_BYTES) -> Generator[Iterable[T]]:
    """Run an iterator in a thread of its own, at most ``room`` bytes (as ``size`` tells them) ahead of its reader."""
    queue = _Ahead(items, size, room)
    try:
        yield queue
    finally:
        queue.stop()
