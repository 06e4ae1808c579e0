"""Draw a contact sheet: the frames of a video that a backbone reads, clip by clip, and the predictions of a method."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zslbench.report._style import BLUE, FAINT, INK, LINE, ORANGE, PAPER, blank_figure, plain_text, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 8  # frames to draw per clip
_FRAME, _LABEL, _MARGIN, _BARS = 1.55, 1.25, 0.25, 3.6  # inches: a frame's width, a row's label, edges, the predictions
_LANES = 3  # lanes of the time line, because clips overlap
_PIXELS = 320  # most pixels of a frame's longer side


@dataclass(frozen=True)
class DrawnClip:
    """A clip of the sheet.

    Attributes
    ----------
    number
        Number among all clips of the video, from 0.
    indices, times
        (n,) indices and seconds of the drawn frames.
    images
        (H, W, 3) uint8 each.

    Examples
    --------
    >>> frames = np.zeros((16, 64, 48, 3), dtype=np.uint8)
    >>> clip = DrawnClip.of(0, np.arange(16), np.arange(16) / 25, frames)
    >>> len(clip.images) < 16
    True
    """

    number: int
    indices: NDArray[np.int64]
    times: NDArray[np.float64]
    images: list[NDArray[np.uint8]]

    @classmethod
    def of(
        cls, number: int, indices: NDArray[np.int64], times: NDArray[np.float64], images: NDArray[np.uint8]
    ) -> DrawnClip:
        """Return a clip's first and last frames and evenly spaced ones between them, reduced in size."""
        chosen = np.unique(np.linspace(0, len(indices) - 1, min(COLUMNS, len(indices))).round().astype(np.int64))
        step = max(1, int(np.ceil(max(images.shape[1:3]) / _PIXELS)))
        return cls(number, indices[chosen], times[chosen], [images[i, ::step, ::step].copy() for i in chosen])


@dataclass(frozen=True)
class Prediction:
    """A class, its score, and whether the method was trained on it.

    Examples
    --------
    >>> Prediction("juggling balls", score=0.41, seen=False).name
    'juggling balls'
    """

    name: str
    score: float
    seen: bool = False


@plain_text
def contact_sheet(
    title: str, subtitle: str, spans: Sequence[tuple[float, float]], clips: Sequence[DrawnClip],
    predictions: Sequence[Prediction] = (), model: str = "",
) -> Figure:  # fmt: skip
    """Draw the sheet.

    Parameters
    ----------
    spans
        Seconds from the first to the last frame of every clip of the video.
    clips
        Clips to draw, at least one.
    predictions
        The best classes, the best first; may be empty.
    model
        Title of the model of the predictions.
    """
    ratio = max(image.shape[0] / image.shape[1] for clip in clips for image in clip.images)
    columns = max(len(clip.images) for clip in clips)
    frame = (max(_FRAME, 0.8 * _FRAME * COLUMNS / columns) if columns < COLUMNS else _FRAME) / max(1.0, ratio)
    row = frame * ratio + 0.22
    strip = _LABEL + columns * frame
    width = max(_MARGIN * 2 + strip + (_BARS if predictions else 0), 7.0 + (_BARS if predictions else 0))
    top = 1.5
    height = max(top + len(clips) * row + _MARGIN, top + 0.32 * len(predictions) + 0.6 if predictions else 0)
    figure = blank_figure((width, height), dpi=110, facecolor=PAPER)

    def axes(left: float, above: float, across: float, down: float) -> Axes:
        return figure.add_axes((left / width, 1 - (above + down) / height, across / width, down / height))

    figure.text(_MARGIN / width, 1 - 0.3 / height, short(title, 90), color=INK, fontsize=12, weight="bold", va="center")
    figure.text(_MARGIN / width, 1 - 0.56 / height, short(subtitle, 200), color=FAINT, fontsize=8.5, va="center")
    line = axes(_MARGIN + _LABEL, 0.75, max(strip - _LABEL, 4.0), 0.4)
    _time_line(line, spans, {clip.number for clip in clips})
    figure.text(_MARGIN / width, 1 - 0.95 / height, f"{len(spans)} clip{'s' * (len(spans) > 1)}", color=INK, fontsize=9)
    for i, clip in enumerate(clips):
        above = top + i * row
        words = f"clip {clip.number + 1}\n{clip.times[0]:.2f} to {clip.times[-1]:.2f} s"
        middle = 1 - (above + frame * ratio / 2) / height
        figure.text(_MARGIN / width, middle, words, color=INK, fontsize=9, va="center")
        for place, (image, index) in enumerate(zip(clip.images, clip.indices.tolist(), strict=True)):
            drawn = axes(_MARGIN + _LABEL + place * frame, above, frame * 0.97, frame * ratio)
            drawn.imshow(image, aspect="equal", interpolation="antialiased")
            drawn.set_axis_off()
            drawn.set_title(str(index), fontsize=7, color=FAINT, y=-0.01, va="top", pad=0)
    if predictions:
        bars = axes(width - _BARS + 0.3, 1.1, _BARS - 0.3 - _MARGIN, 0.32 * len(predictions))
        _bars(bars, predictions)
        words = textwrap.fill(short(model, 200), 48)
        figure.text(1 - (_BARS - 0.3) / width, 1 - 1.0 / height, words, color=FAINT, fontsize=8, va="bottom")
    return figure


def _time_line(axes: Axes, spans: Sequence[tuple[float, float]], drawn: set[int]) -> None:
    """Draw every clip as a bar over time; overlapping clips take turns in lanes."""
    for i, (start, end) in enumerate(spans):
        colour = BLUE if i in drawn else LINE
        length = max(end - start, 0.02)  # so that a clip of one frame is visible too
        axes.barh(-(i % _LANES), length, left=start, height=0.8, color=colour, edgecolor=PAPER, linewidth=0.5)
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    axes.tick_params(colors=FAINT, labelsize=7.5, length=2)
    words = "seconds; blue: the clips below, with the times of their frames"
    axes.set_xlabel(words, fontsize=7.5, color=FAINT, labelpad=1)
    axes.margins(x=0)


def _bars(axes: Axes, predictions: Sequence[Prediction]) -> None:
    low = min(0.0, *(each.score for each in predictions))  # bars begin at 0 unless a score is negative
    for i, each in enumerate(predictions):
        axes.barh(-i, each.score - low, left=low, height=0.86, color=ORANGE if i == 0 else LINE)
        mark = " (seen)" if each.seen else ""
        axes.annotate(
            f"{short(each.name, 28)}{mark}  {each.score:.3f}", (0, -i), xycoords=("axes fraction", "data"),
            xytext=(4, 0), textcoords="offset points", va="center", fontsize=8.5, color=INK,
        )  # fmt: skip
    axes.set_axis_off()
