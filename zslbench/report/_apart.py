"""Points of a picture moved apart until each has room for its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_CELL = 2.0  # width of the grid of places that a point can move to
_GAP = 2.0  # between a marker, or a name, and any other one
_NEAR = (80.0, 30.0)  # how far off points crowd each other
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Arrangement:
    """Where points lie so that names beside them, to the right, cover nothing.

    Attributes
    ----------
    places
        (n, 2), within :attr:`room`.
    named
        (n,) bool, whether there was room for a point's name.
    room
        Width and height of the picture, in the unit of ``places``.
    size, offset
        Of the letters; from a point to the beginning of its name.
    moved
        (n,) how far each point was moved, as a share of the width.
    """

    places: FloatArray
    named: NDArray[np.bool_]
    room: tuple[float, float]
    size: float
    offset: float
    moved: FloatArray


def move_apart(
    points: FloatArray,
    names: Sequence[str],
    named: NDArray[np.bool_],
    room: tuple[float, float],
    *,
    size: float,
    radius: float,
) -> Arrangement:
    """Return the points stretched to the room and moved, each as little as the earlier ones allow, to where names fit.

    A point and its name are one rectangle. One after the other (named ones first, of these the thickest crowds first),
    each takes the free place nearest to its own. So no name lies on a marker or another name, and each is nearest to
    its own marker.

    Parameters
    ----------
    points
        (n, 2).
    names
        (n,) names.
    named
        (n,) bool, which ones to write. Where no place is left for a name, the marker stands alone.
    room
        Width and height.
    size, radius
        Of the letters and of a marker, in the unit of ``room``.
    """
    extent, offset = np.array(room), radius + _GAP
    margin = radius + _GAP / 2
    tall = max(0.65 * size + _GAP / 2, margin)  # half a line of text, with what hangs below it
    widths = np.array([_width(name, size) if written else 0.0 for name, written in zip(names, named, strict=True)])
    alone = np.full(4, margin)  # how far a marker reaches to the left, down, to the right and up
    with_name = [np.array([margin, tall, offset + width + _GAP, tall]) for width in widths]
    own = _stretched(points, np.array([extent - box[:2] - box[2:] for box in with_name])) + np.array([margin, tall])

    crowd = (np.abs(own[:, None] - own) < _NEAR).all(axis=2).sum(axis=1)
    x, y = (np.arange(0, length + _ROUNDING, _CELL) for length in room)
    boxes = np.empty((0, 4))
    places, written = own.copy(), np.zeros(len(points), dtype=bool)
    for i in np.lexsort((-crowd, ~named)):
        distance = np.hypot(x[:, None] - own[i, 0], y - own[i, 1])
        for box in (with_name[i], alone) if named[i] else (alone,):
            cost = np.where(_free(boxes, box, extent, distance.shape), distance, np.inf)
            best = np.unravel_index(np.argmin(cost), cost.shape)
            if np.isfinite(cost[best]):
                places[i], written[i] = _CELL * np.array(best), box is not alone
                boxes = np.vstack([boxes, np.r_[places[i] - box[:2], places[i] + box[2:]]])
                break
    return Arrangement(places, written, room, size, offset, np.linalg.norm(places - own, axis=1) / room[0])


def _stretched(points: FloatArray, room: FloatArray) -> FloatArray:
    """Return the points from their least x and y on, as far stretched as each has room, (n, 2), for its name."""
    from_edge = points - points.min(axis=0)
    factor = np.divide(room.clip(0), from_edge, out=np.full(points.shape, np.inf), where=from_edge > 0).min(axis=0)
    stretched: FloatArray = from_edge * np.where(np.isfinite(factor), factor, 0)
    return stretched


def _free(boxes: FloatArray, box: FloatArray, extent: FloatArray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the places of the grid where a box (left, below, right, above) overlaps no other and stays inside."""
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
    """Return how wide a text is set in matplotlib's own font, which is wider than most."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    return 1.01 * float(text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0])
