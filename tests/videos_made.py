"""Small videos of known content, written in a few milliseconds."""

from fractions import Fraction

import av
import numpy as np

SIZE = (64, 48)  # width, height


def picture(i, size=SIZE):
    """Return frame i: a grey that tells i (up to 50 frames), and a white top left corner."""
    width, height = size
    image = np.full((height, width, 3), 4 * (i % 50) + 20, dtype=np.uint8)
    image[: height // 3, : width // 3] = 255
    return image


def number(image):
    """Return which frame an image shows."""
    return round((float(image[-8:, -8:].mean()) - 20) / 4)


def write_video(
    path, n=20, *, fps=25, codec="libx264", size=SIZE, pts=None, rotate=None, audio=False, file=None, form=None,
    **options,
):  # fmt: skip
    """Write n frames; ``pts`` are their times in milliseconds, ``rotate`` the arguments of ``set_display_rotation``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    extra = {"options": options.pop("container")} if "container" in options else {}
    with av.open(file or str(path), "w", format=form, **extra) as out:
        stream = out.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = {"gif": "rgb8", "ffv1": "bgr0"}.get(codec, "yuv420p")
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "5", "g": "8"} | options
        elif codec == "mpeg4":
            stream.bit_rate = 2_000_000
            stream.options = options
        if pts is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        if rotate is not None:
            stream.set_display_rotation(*rotate)
        if audio:
            _add_sound(out)
        for i in range(n):
            frame = av.VideoFrame.from_ndarray(picture(i, size), format="rgb24")
            frame.pts, frame.time_base = (pts[i], Fraction(1, 1000)) if pts is not None else (i, Fraction(1, fps))
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _add_sound(out):
    stream = out.add_stream("aac", rate=8000)
    sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
    sound.sample_rate, sound.pts = 8000, 0
    out.mux(stream.encode(sound))
    out.mux(stream.encode(None))


def write_sound(path):
    """Write a file that has sound only."""
    with av.open(str(path), "w") as out:
        _add_sound(out)
    return path
