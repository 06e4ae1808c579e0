"""From files to the inputs of a network: decode videos, preprocess their clips, run both ahead of who reads them."""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from zslbench.errors import ZslbenchError
from zslbench.video.backbone import Backbone
from zslbench.video.folders import VideoFile
from zslbench.video.reader import VideoError
from zslbench.video.reader_pyav import PyAVReader
from zslbench.video.sampling import Sampler, VideoClip

AHEAD_BYTES = 1 << 26  # what waits between two steps of one process: at most 64 MiB, 18 clips of 16 frames of 320 x 240
_TORCHSCRIPT = "The following operation failed in the TorchScript interpreter"
_T = TypeVar("_T")


@dataclass(frozen=True)
class PreparedClip:
    """A clip as the network takes it.

    Attributes
    ----------
    indices
        Its frames, as indices in the decoded stream.
    inputs
        What :meth:`~zslbench.video.backbone.Backbone.preprocess` returned.

    Examples
    --------
    >>> import numpy as np
    >>> PreparedClip([0, 4], {"pixel_values": np.zeros((2, 3, 8, 8), dtype=np.float32)}).nbytes
    1536
    """

    indices: list[int]
    inputs: Any

    @property
    def nbytes(self) -> int:
        """Size of the inputs."""
        return _nbytes(self.inputs)


@dataclass(frozen=True)
class Ending:
    """What is known of a video after its last clip; see :class:`~zslbench.video.pipeline.VideoFeatures`.

    Examples
    --------
    >>> Ending(reason="is empty (0 bytes)").n_frames
    0
    """

    n_frames: int = 0
    reason: str = ""
    by_network: bool = False
    warnings: list[str] = field(default_factory=list)


DecodedItem = VideoClip | Ending
PreparedItem = PreparedClip | Ending


def decode_videos(files: Iterable[VideoFile], sampler: Sampler, reader: PyAVReader) -> Generator[DecodedItem]:
    """Yield the clips of each video, and an :class:`Ending` after them."""
    for file in files:
        frames = reader.frames(file.path, file.start, file.end)
        reason, made = "", 0
        try:
            for clip in sampler.clips(frames):
                made += 1
                yield clip
        except VideoError as error:
            reason = error.reason
        except Exception as error:  # decoders raise anything on a broken file, and it must not stop the others
            reason = f"cannot be decoded ({one_line(error)})"
        gc.collect(1)  # the first frame is in a cycle with its side data; later, few collections would look at it
        warnings = [*frames.warnings, *([reason] if reason and made else [])]
        yield Ending(frames.n_frames, "" if made else reason or "yields no clip", warnings=warnings)


def prepare_clips(decoded: Iterable[DecodedItem], backbone: Backbone) -> Generator[PreparedItem]:
    """Yield the clips as the network takes them; of a video with a clip that it cannot take, no further ones."""
    reason = ""
    for item in decoded:
        if isinstance(item, Ending):
            yield Ending(item.n_frames, reason, by_network=True, warnings=item.warnings) if reason else item
            reason = ""
        elif not reason:
            try:
                inputs = backbone.prepare(item.images)
            except Exception as error:  # a plugin raises anything
                reason = failed(backbone, error)
                continue
            yield PreparedClip(item.indices.tolist(), inputs)


def prepare_ahead(
    files: Iterable[VideoFile], backbone: Backbone, sampler: Sampler, reader: PyAVReader
) -> Generator[PreparedItem]:
    """Decode in one thread, preprocess in a second one, and yield to the caller's."""
    with (
        closing(Ahead(decode_videos(files, sampler, reader), _nbytes)) as decoded,
        closing(Ahead(prepare_clips(decoded, backbone), _nbytes)) as prepared,
    ):
        yield from prepared


def failed(backbone: Backbone, error: Exception) -> str:
    """Return why a video has no features although it can be decoded."""
    return f"{backbone.info.name} failed ({one_line(error)})"


def one_line(error: Exception) -> str:
    """Return the message of an exception in one line."""
    # TorchScript's errors begin with lines of traceback; the reason is in the last line.
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    line = lines[-1 if lines[0].startswith(_TORCHSCRIPT) else 0]
    return line.rstrip(".") if isinstance(error, ZslbenchError) else f"{type(error).__name__}: {line}"


def _nbytes(value: Any) -> int:
    """Return the bytes of arrays, also of several in a mapping or a sequence."""
    if isinstance(value, VideoClip):
        return value.images.nbytes
    if isinstance(value, Mapping):
        return sum(map(_nbytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_nbytes, value))
    return int(getattr(value, "nbytes", 0))


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
