"""Read the frames of a video file one after the other: their indices, their times and upright RGB images.

Decoding is sequential: a frame's index is its place among all frames that the file yields, and the container's own
index is not used. Damaged files are decoded as far as possible; :class:`Decoded` has warnings about them. Pixels are
read as stored: the pixel aspect ratio is ignored.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError

Image = NDArray[np.uint8]  # (H, W, 3), RGB


class VideoError(ZslbenchError):
    """A video that has no frame.

    Attributes
    ----------
    path
        The file.
    reason
        The end of a sentence that begins with the file: ``is empty (0 bytes)``.

    Examples
    --------
    >>> from zslbench.video.reader_pyav import PyAVReader
    >>> _ = Path("empty.mp4").write_bytes(b"")
    >>> list(PyAVReader().frames(Path("empty.mp4")))
    Traceback (most recent call last):
    zslbench.video.reader.VideoError: empty.mp4 is empty (0 bytes).
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}.")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:  # an exception is unpickled from its message, which does not fit __init__
        return type(self), (self.path, self.reason)


class Frame:
    """One decoded frame.

    Parameters
    ----------
    index
        Its place in the decoded stream, from 0.
    time
        When it is shown, in seconds after the stream's first frame.
    image
        (H, W, 3) uint8, RGB, upright; or a function that returns it. The function is called when the image is first
        needed, so frames that a sampler skips are never converted.

    Examples
    --------
    >>> frame = Frame(3, 0.12, lambda: np.zeros((240, 320, 3), dtype=np.uint8))
    >>> frame.image.shape
    (240, 320, 3)
    """

    __slots__ = ("_image", "index", "time")

    def __init__(self, index: int, time: float, image: Image | Callable[[], Image]) -> None:
        self.index = index
        self.time = time
        self._image = image

    @property
    def image(self) -> Image:
        """(H, W, 3) uint8, RGB, upright."""
        if callable(self._image):
            self._image = self._image()
        return self._image


class Decoded:
    """The frames of a file, or of a part of it. Each iteration decodes the file again and sets the attributes.

    Attributes
    ----------
    n_frames
        Frames yielded by the last iteration.
    warnings
        What was wrong with the file, as far as it was decoded.
    announced
        Number of frames according to the container; 0 if it does not say, or if a part was asked for.

    Examples
    --------
    >>> from zslbench.video.reader_pyav import PyAVReader
    >>> video = PyAVReader().frames(Path("clip.mp4"))
    >>> [round(frame.time, 2) for frame in video][:4]
    [0.0, 0.04, 0.08, 0.12]
    >>> video.n_frames, video.warnings
    (20, [])
    """

    def __init__(self, path: Path, decode: Callable[[Decoded], Iterator[Frame]]) -> None:
        self.path = path
        self.n_frames = 0
        self.warnings: list[str] = []
        self.announced = 0
        self._decode = decode

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises
        ------
        VideoError
            There is no frame; the message says why.
        """
        self.n_frames, self.warnings, self.announced = 0, [], 0
        _check_file(self.path)
        # closing: a sampler that has all its clips stops early, and the file must not stay open.
        with contextlib.closing(self._decode(self)) as frames:  # type: ignore[type-var]
            for frame in frames:
                self.n_frames += 1
                yield frame
        if not self.n_frames:
            raise VideoError(self.path, "; ".join(["yields no frame", *self.warnings]))
        if self.n_frames < self.announced:
            self.warnings.append(f"only {self.n_frames} of the {self.announced} frames that it announces are there")


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise VideoError(path, "is not a file" if path.exists() else "does not exist")
    if not path.stat().st_size:
        raise VideoError(path, "is empty (0 bytes)")


def why(error: Exception) -> str:
    """Return FFmpeg's message without its error number and the file's name."""
    text = getattr(error, "strerror", None) or str(error)
    return str(text).strip().splitlines()[0].rstrip(".") if str(text).strip() else type(error).__name__
