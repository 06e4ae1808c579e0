"""Draw what ``tools/house.py`` measures: the rooms by floor, an arrow from each room to those that it needs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from house import PACKAGES, House, Room
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve
from scipy.optimize import isotonic_regression

Arrow = tuple[str, str]
Stop = tuple[str, int]  # what stands at or passes a floor (a room's name, or an arrow's two), and the floor

_KINDS = {  # fill, edge, meaning
    "flat": ("#fdf3d8", "#c9960c", "module, flat in zslbench/"),
    "room": ("#e1ebfa", "#3f73c4", "package of zslbench/"),
    "sister": ("#e4f3e5", "#4b9a57", "sister package"),
}
_HALF_HEIGHT = 0.24  # of a box; a floor is 1 high


def needed_arrows(house: House) -> list[Arrow]:
    """Return the arrows that no chain of other arrows implies, and those inside circles."""
    floor = {name: room.floor for name, room in house.rooms.items()}
    below: dict[str, set[str]] = {}
    for name in sorted(house.rooms, key=floor.__getitem__):
        down = {other for other in house.rooms[name].imports if floor[other] < floor[name]}
        below[name] = down.union(*(below[other] for other in down))
    return [
        (a, b) for a, b in house.arrows if not any(b in below[c] for c in house.rooms[a].imports if floor[c] < floor[a])
    ]


def draw(house: House, out: Path) -> None:
    """Write the picture; its format is that of the file's suffix."""
    arrows = needed_arrows(house)
    stops = {(a, b): _stops(house.rooms[a], house.rooms[b]) for a, b in arrows}
    x = _places([(room.name, room.floor) for room in house.rooms.values()], stops.values())
    left, right = min(x.values()) - 2.2, max(x.values()) + 1.4
    top = max(room.floor for room in house.rooms.values())
    figure = Figure(figsize=((right - left) * 0.55, (top + 1) * 0.62))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(left, right), ylim=(-0.5, top + 0.5))
    axes.set_axis_off()
    for floor in range(1, top + 1):
        axes.axhspan(floor - 0.5, floor + 0.5, color="#f4f5f7" if floor % 2 else "white", zorder=0)
        axes.text(left + 0.3, floor, str(floor), color="#8a94a6", fontsize=10, ha="center", va="center")
    for a, b in arrows:
        down = house.rooms[a].floor > house.rooms[b].floor
        curve = _curve([(x[stop], stop[1]) for stop in stops[a, b]])
        colour = "#75849c" if down else "#c0392b"
        axes.add_patch(FancyArrowPatch(path=curve, arrowstyle="-|>", mutation_scale=9, color=colour, zorder=1))
    for room in house.rooms.values():
        title = room.name + ("/" if room.is_package else ".py")
        kind = "sister" if room.name in PACKAGES else "room" if room.is_package else "flat"
        _box(axes, kind, (x[room.name, room.floor], room.floor), _half_width(title), title)
    for kind, at in zip(_KINDS, np.linspace(left, right, len(_KINDS), endpoint=False), strict=True):
        _box(axes, kind, (at + 0.6, 0), 0.3, "")
        axes.text(at + 1.1, 0, _KINDS[kind][2], fontsize=9, va="center")
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "house"}):
        figure.savefig(out, dpi=150, metadata={"Date": None, "Creator": None} if out.suffix == ".svg" else None)


def _half_width(title: str) -> float:
    return max(0.75, 0.075 * len(title) + 0.15)


def _box(axes: mpl.axes.Axes, kind: str, centre: tuple[float, float], half_width: float, title: str) -> None:
    fill, edge, _ = _KINDS[kind]
    corner = (centre[0] - half_width, centre[1] - _HALF_HEIGHT)
    size = (2 * half_width, 2 * _HALF_HEIGHT)
    shape = "round,pad=0,rounding_size=0.12"
    axes.add_patch(FancyBboxPatch(corner, *size, boxstyle=shape, facecolor=fill, edgecolor=edge, zorder=2))
    axes.text(*centre, title, fontsize=10, ha="center", va="center", zorder=3)


def _curve(points: list[tuple[float, float]]) -> Curve:
    """Return a line that bends between the floors only and passes each floor straight, so that it crosses no box."""
    path, codes = [], []
    for (xa, ya), (xb, yb) in itertools.pairwise(points):
        ya, yb = ya - _HALF_HEIGHT, yb + _HALF_HEIGHT
        path += [(xa, ya), (xa, (ya + yb) / 2), (xb, (ya + yb) / 2), (xb, yb)]
        codes += [Curve.LINETO if codes else Curve.MOVETO, *[Curve.CURVE4] * 3]
    return Curve(path, codes)


def _stops(a: Room, b: Room) -> list[Stop]:
    """Return where an arrow runs: from its room, past each floor between them, to the room that it needs."""
    passed = [(f"{a.name} > {b.name}", floor) for floor in range(a.floor - 1, b.floor, -1)]
    return [(a.name, a.floor), *passed, (b.name, b.floor)]


def _places(rooms: list[Stop], ways: Iterable[list[Stop]], sweeps: int = 40) -> dict[Stop, float]:
    """Return the x of each stop, so that few arrows cross and most run straight.

    Each floor in turn is put in the order of its neighbours' mean x, down and up the house; the order with the fewest
    crossings stays. Then each floor is moved as near to its neighbours as the widths allow.
    """
    links = [pair for way in ways for pair in itertools.pairwise(way)]
    floors: dict[int, list[Stop]] = {}
    for stop in dict.fromkeys([*rooms, *itertools.chain.from_iterable(links)]):
        floors.setdefault(stop[1], []).append(stop)
    beside: dict[Stop, list[Stop]] = {stop: [] for floor in floors.values() for stop in floor}
    for upper, lower in links:
        beside[upper].append(lower)
        beside[lower].append(upper)
    weight = {stop: 4.0 if stop not in rooms else 1.0 if beside[stop] else 0.01 for stop in beside}
    order = {number: list(floor) for number, floor in floors.items()}
    best, fewest = order, None
    for sweep in range(sweeps):
        place = {s: i - len(floor) / 2 for floor in order.values() for i, s in enumerate(floor)}
        step = -1 if sweep % 2 else 1
        for number in sorted(order, reverse=sweep % 2 == 1)[1:]:
            mean = {}
            for s in order[number]:
                near = [place[o] for o in beside[s] if (number - o[1]) * step > 0]
                mean[s] = float(np.mean(near)) if near else place[s]
            order[number] = sorted(order[number], key=mean.__getitem__)
            place |= {s: i - len(order[number]) / 2 for i, s in enumerate(order[number])}
        crossings = _crossings(links, place)
        if fewest is None or crossings < fewest:
            best, fewest = {number: list(floor) for number, floor in order.items()}, crossings
    x = {s: 2.2 * (i - (len(floor) - 1) / 2) for floor in best.values() for i, s in enumerate(floor)}
    for sweep in range(2 * sweeps):
        for number in sorted(best, reverse=sweep % 2 == 1):
            floor = best[number]
            wide = [_half_width(f"{s[0]}.py") + 0.15 if s in rooms else 0.14 for s in floor]
            offset = np.cumsum([0, *(a + b for a, b in itertools.pairwise(wide))])
            wish = np.array([np.mean([x[o] for o in beside[s] or floor] + [0]) for s in floor])
            fitted = isotonic_regression(wish - offset, weights=[weight[s] for s in floor]).x + offset
            x |= dict(zip(floor, fitted.tolist(), strict=True))
    return x


def _crossings(links: list[tuple[Stop, Stop]], place: dict[Stop, float]) -> int:
    crossings = 0
    for (a, b), (c, d) in itertools.combinations(links, 2):
        if a[1] == c[1] and b[1] == d[1]:
            crossings += (place[a] - place[c]) * (place[b] - place[d]) < 0
    return crossings
