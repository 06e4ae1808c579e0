"""Frames by torchcodec, where it is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from zslbench.errors import ZslbenchError
from zslbench.video.reader import Decoded, Frame, VideoError


class TorchCodecReader:
    """Frames by torchcodec, where it and a system's FFmpeg are installed.

    Parameters
    ----------
    threads
        Decoding threads of one file.

    Raises
    ------
    ZslbenchError
        torchcodec is not installed, or does not find FFmpeg.
    """

    def __init__(self, threads: int = 1) -> None:
        if find_spec("torchcodec") is None:
            raise ZslbenchError(
                "torchcodec is not installed; run 'pip install torchcodec' (it also needs FFmpeg), or read with pyav."
            )
        try:
            from torchcodec.decoders import VideoDecoder
        except (ImportError, OSError, RuntimeError) as error:
            reason = str(error).strip().partition(". ")[0]
            raise ZslbenchError(
                f"torchcodec cannot be loaded ({reason}); install FFmpeg, or read with pyav."
            ) from error
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
    """Return the words without the place in torchcodec's source that comes before them, and the file's name."""
    return re.sub(r"^.*?\.cpp:\d+, |Could not open input file: \S+ ", "", str(error)).strip().partition("\n")[0]
