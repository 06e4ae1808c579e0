"""Place names in a picture, beside points that may move (:func:`move_apart`) or that stay (:func:`place_texts`).

Both search a fine grid greedily. So it is certain that a place is free, unlike with forces, which may not converge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zslbench.stats.intervals import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text


_CELL = 2.0  # width of the grid of places that a point can move to
_GAP = 2.0  # between two markers or names
_NEAR = (80.0, 30.0)  # distances in x and y below which points crowd each other
_MARKER, _LINE = 5.0, 2.0  # points (1/72 inch) around the middle of a marker and of a line that texts avoid
_AROUND = 1.0  # the same unit, around a text
_CENTRED = 0.05  # weight of the distance to a label's middle, relative to that to its edge
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Arrangement:
    """Places of points that leave room for their names, to the right of them.

    Attributes
    ----------
    places
        (n, 2), within :attr:`room`.
    named
        (n,) bool, whether there is room for a point's name.
    room
        Width and height of the picture, in the unit of ``places``.
    size, offset
        Size of the letters, and distance from a point to its name.
    moved
        (n,) distance by which each point was moved, as a share of the width.
    """

    places: Float64Array
    named: NDArray[np.bool_]
    room: tuple[float, float]
    size: float
    offset: float
    moved: Float64Array


def move_apart(
    points: Float64Array,
    names: Sequence[str],
    named: NDArray[np.bool_],
    room: tuple[float, float],
    *,
    size: float,
    radius: float,
) -> Arrangement:
    """Stretch the points to the room, and move each as little as the earlier ones allow, so that its name fits.

    A point and its name are one rectangle. The points are placed one after the other, each at the nearest free place:
    named ones first, and among these the densest crowds first. So no name covers a marker or another name, and each
    name is nearest to its own marker.

    Parameters
    ----------
    points
        (n, 2).
    names
        (n,) names.
    named
        (n,) bool, which names to write. If there is no place for a name, only the marker is drawn.
    room
        Width and height.
    size, radius
        Size of the letters and radius of a marker, in the unit of ``room``.
    """
    extent, offset = np.array(room), radius + _GAP
    margin = radius + _GAP / 2
    tall = max(0.65 * size + _GAP / 2, margin)  # half a line of text, with its descenders
    widths = np.array([_width(name, size) if written else 0.0 for name, written in zip(names, named, strict=True)])
    alone = np.full(4, margin)  # extent of a marker to the left, down, to the right and up
    with_name = [np.array([margin, tall, offset + width + _GAP, tall]) for width in widths]
    own = _stretched(points, np.array([extent - box[:2] - box[2:] for box in with_name])) + np.array([margin, tall])

    x, y = _grid(room)
    boxes = np.empty((0, 4))
    places, written = own.copy(), np.zeros(len(points), dtype=bool)
    for i in np.lexsort((-_crowd(own), ~named)):
        distance = np.hypot(x - own[i, 0], y - own[i, 1])
        for box in (with_name[i], alone) if named[i] else (alone,):
            if (best := _cheapest(distance, boxes, box, extent)) is not None:
                places[i], written[i] = best, box is not alone
                boxes = np.vstack([boxes, np.r_[best - box[:2], best + box[2:]]])
                break
    return Arrangement(places, written, room, size, offset, np.linalg.norm(places - own, axis=1) / room[0])


def place_labels(
    points: Float64Array, sizes: Float64Array, room: tuple[float, float], taken: Sequence[Float64Array]
) -> Float64Array:
    """Return the centres of labels, (n, 2), each as near to its point as the earlier ones allow.

    The densest crowds come first. If there is room, no label covers another label or a box of ``taken``.

    Parameters
    ----------
    points
        (n, 2), the points of the labels.
    sizes
        (n, 2), widths and heights of the labels.
    room
        Width and height.
    taken
        Boxes (m, 4) of left, lower, right and upper edges. If no place is free of all of them, the last ones are
        covered.
    """
    x, y = _grid(room)
    middles, labels = points.copy(), np.empty((0, 4))
    for i in np.argsort(-_crowd(points), kind="stable"):
        half = sizes[i] / 2 + _GAP / 2
        dx, dy = np.abs(x - points[i, 0]), np.abs(y - points[i, 1])
        away = np.hypot((dx - half[0]).clip(0), (dy - half[1]).clip(0))  # distance from the label's edge
        cost = away + _CENTRED * np.hypot(dx, dy)
        for kept_off in range(len(taken), -1, -1):
            boxes = np.vstack([labels, *taken[:kept_off]])
            if (best := _cheapest(cost, boxes, np.r_[half, half], np.array(room))) is not None:
                middles[i] = best
                break
        labels = np.vstack([labels, np.r_[middles[i] - half, middles[i] + half]])
    return middles


def place_texts(
    axes: Axes, texts: Sequence[Text], markers: Float64Array, lines: Float64Array | None = None, *, colour: str
) -> None:
    """Move texts from their points to free places; draw a thin line to the point if it is far.

    Parameters
    ----------
    texts
        Texts at their points.
    markers, lines
        (n, 2) in the coordinates of the axes: markers, and points on lines. Lines are covered only if necessary.
    colour
        Colour of the thin lines.
    """
    axes.get_xlim(), axes.get_ylim()  # matplotlib computes the limits, and so all places on the paper, only on request
    frame = axes.get_window_extent()
    to_paper, scale = axes.transData, axes.figure.dpi / 72
    corner = np.array([frame.x0, frame.y0])

    def boxes(points: Float64Array, radius: float) -> Float64Array:
        middles = to_paper.transform(points).reshape(-1, 2) - corner
        return np.hstack([middles - radius * scale, middles + radius * scale])

    points = to_paper.transform([text.get_position() for text in texts]) - corner
    sizes = np.array([text.get_window_extent().size for text in texts]) + 2 * _AROUND * scale
    taken = [boxes(markers, _MARKER), *([boxes(lines, _LINE)] if lines is not None else [])]
    middles = place_labels(points, sizes, (frame.width, frame.height), taken)
    for text, point, middle, size in zip(texts, points, middles, sizes, strict=True):
        edge = np.clip(point, middle - size / 2, middle + size / 2)
        if np.linalg.norm(edge - point) > size[1]:
            start, end = to_paper.inverted().transform([edge + corner, point + corner])
            line = {"arrowstyle": "-", "color": colour, "lw": 0.7, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", xy=tuple(end), xytext=tuple(start), arrowprops=line, zorder=1)
        text.set(position=to_paper.inverted().transform(middle + corner), ha="center", va="center")


def _grid(room: tuple[float, float]) -> tuple[Float64Array, Float64Array]:
    """Return the x (columns) and y (rows) of the grid of places in a room."""
    x, y = (np.arange(0, length + _ROUNDING, _CELL) for length in room)
    return x[:, None], y


def _crowd(points: Float64Array) -> NDArray[np.int64]:
    """Return the number of points near each point."""
    near: NDArray[np.int64] = (np.abs(points[:, None] - points) < _NEAR).all(axis=2).sum(axis=1)
    return near


def _cheapest(cost: Float64Array, boxes: Float64Array, box: Float64Array, extent: Float64Array) -> Float64Array | None:
    """Return the free place of the grid with the lowest cost, if there is one."""
    cost = np.where(_free(boxes, box, extent, cost.shape), cost, np.inf)
    best = np.unravel_index(np.argmin(cost), cost.shape)
    return _CELL * np.array(best, dtype=np.float64) if np.isfinite(cost[best]) else None


def _stretched(points: Float64Array, room: Float64Array) -> Float64Array:
    """Stretch the points from their least x and y as far as each has ``room``, (n, 2), for its name."""
    from_edge = points - points.min(axis=0)
    factor = np.divide(room.clip(0), from_edge, out=np.full(points.shape, np.inf), where=from_edge > 0).min(axis=0)
    stretched: Float64Array = from_edge * np.where(np.isfinite(factor), factor, 0)
    return stretched


def _free(boxes: Float64Array, box: Float64Array, extent: Float64Array, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the places of the grid at which a box (left, below, right, above) overlaps no other and stays inside."""
    free = np.zeros(shape, dtype=bool)
    first = np.ceil(box[:2] / _CELL - _ROUNDING).astype(int)
    last = np.floor((extent - box[2:]) / _CELL + _ROUNDING).astype(int).clip(-1)
    free[first[0] : last[0] + 1, first[1] : last[1] + 1] = True
    starts = np.floor((boxes[:, :2] - box[2:]) / _CELL + _ROUNDING).astype(int) + 1
    ends = np.ceil((boxes[:, 2:] + box[:2]) / _CELL - _ROUNDING).astype(int)
    for (x0, y0), (x1, y1) in zip(starts.clip(0).tolist(), ends.clip(0).tolist(), strict=True):
        free[x0:x1, y0:y1] = False
    return free


def _width(text: str, size: float) -> float:
    """Return the width of a text in matplotlib's own font, which is wider than most."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    return 1.01 * float(text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0])
