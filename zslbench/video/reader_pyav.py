"""Read frames with PyAV: every format that FFmpeg knows, and damaged files as far as possible."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.video.reader import Decoded, Frame, Image, VideoError, why

if TYPE_CHECKING:
    import av


class PyAVReader:
    """Frames by PyAV (FFmpeg's libraries).

    Raises
    ------
    ZslbenchError
        PyAV is not installed.

    Examples
    --------
    >>> video = PyAVReader().frames(Path("clip.mp4"), end=0.2)
    >>> [frame.index for frame in video]
    [0, 1, 2, 3, 4]
    """

    def __init__(self) -> None:
        if find_spec("av") is None:
            raise ZslbenchError("PyAV, which reads videos, is missing; run: pip install 'zslbench[video]'.")

    @property
    def name(self) -> str:
        """``pyav 18.1.0, libavcodec 62.28.102``."""
        import av

        return f"pyav {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"

    def frames(self, path: Path, start: float | None = None, end: float | None = None) -> Decoded:
        """Return the frames of a file, from ``start`` until before ``end`` (seconds); nothing is opened yet.

        The file is decoded from its beginning, so that indices are right; frames before ``start`` are not converted.
        """
        return Decoded(path, lambda decoded: self._decode(decoded, start, end))

    def _decode(self, decoded: Decoded, start: float | None, end: float | None) -> Iterator[Frame]:
        import av

        try:
            container = av.open(str(decoded.path), metadata_errors="ignore")
        except (av.FFmpegError, OSError) as error:
            raise VideoError(decoded.path, f"cannot be opened as a video ({why(error)})") from error
        with container:
            stream = _video_stream(container, decoded.path)
            stream.codec_context.thread_type = "NONE"  # extraction decodes several files at a time
            if start is None and end is None:
                decoded.announced = stream.frames
            clock = _Clock(stream, container.format.name)
            convert: _ToRGB | None = None
            last = 0.0
            for index, frame in enumerate(_av_frames(container, stream, decoded.warnings)):
                convert = convert or _ToRGB(frame)
                last = clock(frame)
                if end is not None and last >= end:
                    break
                if start is None or last >= start:
                    yield Frame(index, last, partial(convert, frame))
            else:
                _check_length(decoded, container, last, start)


def _check_length(decoded: Decoded, container: av.container.InputContainer, last: float, start: float | None) -> None:
    if start is not None and not decoded.n_frames:
        decoded.warnings.append(f"the part from {start:g} s on was asked for, but its last frame is at {last:.1f} s")
    # Matroska announces a duration only, no number of frames. Sound may last a little longer than the pictures, so a
    # difference counts only above half a second and 5 %.
    seconds = (container.duration or 0) / 1e6
    if not decoded.announced and last + 0.5 < 0.95 * seconds:
        decoded.warnings.append(f"its last frame is at {last:.1f} s of the {seconds:.1f} s that it announces")


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # a cover picture in a sound file is no video
            if stream.codec_context is None:
                raise VideoError(path, "is in a codec that this build of FFmpeg does not know")
            return stream
    kinds = sorted({stream.type for stream in container.streams})
    raise VideoError(path, f"has no video stream ({' and '.join(kinds) + ' only' if kinds else 'no stream at all'})")


def _av_frames(
    container: av.container.InputContainer, stream: av.VideoStream, warnings: list[str]
) -> Iterator[av.VideoFrame]:
    """Yield what can be decoded. A damaged packet loses its own frames, a damaged container all that follow."""
    import av

    damaged, reason = 0, ""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as error:
            warnings.append(f"it breaks off ({why(error)})")
            packet = None
        ended = packet is None or (not packet.size and packet.dts is None)
        if packet is not None and not packet.size and not ended:  # AVI: an empty packet repeats the frame before it
            continue
        try:
            yield from stream.codec_context.decode(packet)  # the last, empty packet flushes the decoder
        except (av.FFmpegError, OSError) as error:
            if not isinstance(error, EOFError):  # the decoder has no more frames, which is no damage
                damaged, reason = damaged + 1, reason or why(error)
        if ended:
            break
    if damaged:
        warnings.append(f"{damaged} damaged packet{'s' if damaged > 1 else ''} could not be decoded ({reason})")


class _Clock:
    """Return the seconds between a stream's first frame and each of its frames; they never decrease.

    Frames have a presentation time stamp and a decoding time stamp. As in FFmpeg (``guess_correct_pts``), the first is
    used unless it has run backwards more often than the second. AVI has no presentation times: FFmpeg makes up those
    of MPEG-4 in UCF101's files (1, 2, 4, 3, 5, 7, 6, ...). For AVI, the second is used from the start.
    """

    def __init__(self, stream: av.VideoStream, container: str) -> None:
        self._unit = float(stream.time_base or 1)
        rate = stream.average_rate or stream.base_rate
        self._interval = float(1 / rate) if rate else 0.0
        self._backwards = [int(container == "avi"), 0]
        self._stamps = [float("-inf")] * 2
        self._first: float | None = None
        self._last = 0.0

    def __call__(self, frame: av.VideoFrame) -> float:
        stamps = (frame.pts, frame.dts)
        for i, stamp in enumerate(stamps):
            if stamp is not None:
                self._backwards[i] += stamp <= self._stamps[i]
                self._stamps[i] = stamp
        order = stamps if self._backwards[0] <= self._backwards[1] else stamps[::-1]
        stamp = next((stamp for stamp in order if stamp is not None), None)
        if self._first is None:
            self._first = stamp * self._unit if stamp is not None else 0.0
            return 0.0
        time = stamp * self._unit - self._first if stamp is not None else self._last + self._interval
        self._last = max(self._last, time)
        return self._last


class _ToRGB:
    """Convert the frames of a stream to upright images of the first frame's size and rotation.

    All frames share one converter: PyAV would set up a new one for each frame, which takes as long as the conversion.
    The display matrix is read from the first frame only. Asking a frame for its side data makes a reference cycle,
    which keeps its picture in memory until the garbage collector runs.
    """

    def __init__(self, first: av.VideoFrame) -> None:
        from av.video.reformatter import VideoReformatter

        self._size = first.width, first.height
        self._converter = VideoReformatter()
        matrix: Any = first.side_data.get("DISPLAYMATRIX")
        self._matrix = None if matrix is None else np.frombuffer(bytes(matrix), np.int32)

    def __call__(self, frame: av.VideoFrame) -> Image:
        width, height = self._size
        converted = self._converter.reformat(frame, width, height, format="rgb24", threads=1)
        image = converted.to_ndarray().astype(np.uint8, copy=False)
        return image if self._matrix is None else upright(image, self._matrix)


def upright(image: Image, matrix: NDArray[np.int32]) -> Image:
    """Return an image as it is meant to be shown.

    Parameters
    ----------
    image
        (H, W, 3) as stored.
    matrix
        (9,) FFmpeg's display matrix ``a b u c d v x y w``: apart from a shift, the pixel (p, q) is shown at
        (a p + c q, b p + d q). Rotations are rounded to quarter turns.
    """
    a, b, _, c, d = (int(value) for value in matrix[:5])
    if abs(b) + abs(c) > abs(a) + abs(d):  # a quarter turn exchanges the axes
        image, across, down = image.transpose(1, 0, 2), c, b
    else:
        across, down = a, d
    image = image[:, ::-1] if across < 0 else image
    return np.ascontiguousarray(image[::-1] if down < 0 else image)
