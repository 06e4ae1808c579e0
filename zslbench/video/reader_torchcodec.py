"""Read frames with torchcodec, if it is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from zslbench.errors import ZslbenchError
from zslbench.video.reader import Decoded, Frame, VideoError


class TorchCodecReader:
    """Frames by torchcodec, which needs an FFmpeg of the system.

    Parameters
    ----------
    threads
        Decoding threads per file.

    Raises
    ------
    ZslbenchError
        torchcodec is not installed, or does not find FFmpeg.

    Examples
    --------
    >>> video = TorchCodecReader().frames(Path("clip.mp4"), end=0.2)
    >>> [frame.index for frame in video]
    [0, 1, 2, 3, 4]
    """

    def __init__(self, threads: int = 1) -> None:
        if find_spec("torchcodec") is None:
            raise ZslbenchError(
                "torchcodec is not installed; run 'pip install torchcodec' (it also needs FFmpeg), or use pyav."
            )
        try:
            from torchcodec.decoders import VideoDecoder
        except (ImportError, OSError, RuntimeError) as error:
            reason = str(error).strip().partition(". ")[0]
            raise ZslbenchError(f"torchcodec cannot be loaded ({reason}); install FFmpeg, or use pyav.") from error
        self._decoder = VideoDecoder
        self.threads = threads

    @property
    def name(self) -> str:
        """``torchcodec 0.7.0``."""
        from importlib.metadata import version

        return f"torchcodec {version('torchcodec')}"

    def frames(self, path: Path, start: float | None = None, end: float | None = None) -> Decoded:
        """Return the frames of a file, from ``start`` until before ``end`` (seconds); nothing is opened yet."""
        return Decoded(path, lambda decoded: self._decode(decoded, start, end))

    def _decode(self, decoded: Decoded, start: float | None, end: float | None) -> Iterator[Frame]:
        try:
            # "exact" scans the file first; "approximate" would trust the container's number of frames.
            decoder = self._decoder(
                str(decoded.path), dimension_order="NHWC", num_ffmpeg_threads=self.threads, seek_mode="exact"
            )
        except (RuntimeError, ValueError) as error:
            raise VideoError(decoded.path, f"cannot be opened as a video ({_why(error)})") from error
        n = len(decoder)
        if start is None and end is None:
            decoded.announced = n
        first: float | None = None
        for index in range(n):
            try:
                found = decoder.get_frame_at(index)
            except (RuntimeError, IndexError) as error:
                decoded.warnings.append(f"it breaks off at frame {index} ({_why(error)})")
                return
            first = found.pts_seconds if first is None else first
            time = found.pts_seconds - first
            if end is not None and time >= end:
                return
            if start is None or time >= start:
                yield Frame(index, time, found.data.numpy())


def _why(error: Exception) -> str:
    """Return the message without the line of torchcodec's source and without the file's name."""
    return re.sub(r"^.*?\.cpp:\d+, |Could not open input file: \S+ ", "", str(error)).strip().partition("\n")[0]
