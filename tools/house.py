"""Measure and draw the house: the rooms of zslbench/ and the arrows between them, from the code's own imports.

Run ``python tools/house.py`` for the table, ``python tools/house.py --picture docs/images/house.svg`` for the picture.
Both measure the packages that this Python imports, so zslbench must be installed (``pip install --no-deps -e .``).

How each figure is counted:

imports
    What `grimp` finds (import-linter brings it). An import counts wherever it stands: at the top of a module, inside a
    function, or under ``if TYPE_CHECKING:``.
room
    A module that lies flat in zslbench/, or a package directory of zslbench/ with all that is in it. Each sister
    package (zslbench_methods, zslbench_datasets, zslbench_results) is one room. ``zslbench/__init__.py`` is the door,
    not a room: it is left out, with its imports and the imports of it.
arrow
    A pair of rooms of which the first imports something of the second, however often.
floor
    A room that imports no other stands on floor 1, any other one floor above the highest room that it imports. The
    number of floors is the length of the longest chain of rooms. Rooms of a circle share a floor.
circle
    Modules (or rooms) that all reach each other by imports; the largest such sets, of two members or more.
arrows that do not lead down
    Arrows between two rooms of one circle.
lines
    All lines of the Python modules of a room, blank ones and comments too.
"""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import grimp

PACKAGES = ("zslbench", "zslbench_methods", "zslbench_datasets", "zslbench_results")


@dataclass(frozen=True)
class Room:
    """One room: its short name, the floor that it stands on, its size, and the rooms that it imports."""

    name: str
    floor: int
    modules: int
    lines: int
    imports: frozenset[str]
    is_package: bool


@dataclass(frozen=True)
class House:
    """The rooms by short name, and the circles of files and of rooms."""

    rooms: dict[str, Room]
    circles_of_files: list[list[str]]
    circles_of_rooms: list[list[str]]

    @property
    def arrows(self) -> list[tuple[str, str]]:
        """Pairs of rooms of which the first imports the second."""
        return [(room.name, other) for room in self.rooms.values() for other in sorted(room.imports)]

    def figures(self) -> dict[str, int]:
        """Return the measured figures by name."""
        return {
            "rooms": len(self.rooms),
            "modules flat in the package": sum(not room.is_package for room in self.rooms.values()),
            "floors": max(room.floor for room in self.rooms.values()),
            "arrows between rooms": len(self.arrows),
            "arrows that do not lead down": sum(self.rooms[a].floor <= self.rooms[b].floor for a, b in self.arrows),
            "circles of files": len(self.circles_of_files),
            "circles of rooms": len(self.circles_of_rooms),
            "modules": sum(room.modules for room in self.rooms.values()),
            "lines": sum(room.lines for room in self.rooms.values()),
        }


def measure(package: str, *sisters: str) -> House:
    """Return the house of a package and its sister packages, each of which is one room."""
    graph = grimp.build_graph(package, *sisters, exclude_type_checking_imports=False, cache_dir=None)
    circles = _circles(graph)
    names = [*sorted(graph.find_children(package)), *sisters]
    inside = {name: [name, *graph.find_descendants(name)] for name in names}
    for name in names:
        graph.squash_module(name)
    between = grimp.ImportGraph()
    for name in names:
        between.add_module(name)
    for name in names:
        for imported in graph.find_modules_directly_imported_by(name) & set(names) - {name}:
            between.add_import(importer=name, imported=imported)
    short = {name: name.removeprefix(f"{package}.") for name in names}
    floors = _floors(between)
    rooms = {
        short[name]: Room(
            name=short[name],
            floor=floors[name],
            modules=len(inside[name]),
            lines=sum(len(_path(module).read_text(encoding="utf-8").splitlines()) for module in inside[name]),
            imports=frozenset(short[other] for other in between.find_modules_directly_imported_by(name)),
            is_package=_path(name).name == "__init__.py",
        )
        for name in names
    }
    return House(rooms, circles, [[short[name] for name in circle] for circle in _circles(between)])


def _path(module: str) -> Path:
    package, *rest = module.split(".")
    root = Path(importlib.util.find_spec(package).origin).parent
    path = root.joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _circles(graph: grimp.ImportGraph) -> list[list[str]]:
    circles = {frozenset(_circle(graph, module)) for module in graph.modules}
    return sorted(sorted(circle) for circle in circles if len(circle) > 1)


def _circle(graph: grimp.ImportGraph, module: str) -> set[str]:
    return {module} | (graph.find_upstream_modules(module) & graph.find_downstream_modules(module))


def _floors(graph: grimp.ImportGraph) -> dict[str, int]:
    floors: dict[str, int] = {}

    def floor(name: str) -> int:
        if name not in floors:
            circle = _circle(graph, name)
            below = set().union(*(graph.find_modules_directly_imported_by(room) for room in circle)) - circle
            floors.update(dict.fromkeys(circle, 1 + max(map(floor, below), default=0)))
        return floors[name]

    return {name: floor(name) for name in graph.modules}


def table(house: House) -> str:
    """Return the rooms from the top floor down, then the figures and the circles, as text."""
    users = {name: sum(name in room.imports for room in house.rooms.values()) for name in house.rooms}
    wide = max(map(len, house.rooms)) + 2
    lines = [f"{'floor':>5}  {'room':{wide}}{'modules':>7}  {'lines':>6}  {'imports':>7}  {'imported by':>11}"]
    for room in sorted(house.rooms.values(), key=lambda room: (-room.floor, room.name)):
        title = room.name + ("/" if room.is_package else "")
        sizes = f"{room.modules:>7}  {room.lines:>6}  {len(room.imports):>7}  {users[room.name]:>11}"
        lines.append(f"{room.floor:>5}  {title:{wide}}{sizes}")
    lines += ["", *(f"{value:>7,}  {name}" for name, value in house.figures().items())]
    lines += [f"\ncircle of files: {', '.join(circle)}" for circle in house.circles_of_files]
    lines += [f"\ncircle of rooms: {', '.join(circle)}" for circle in house.circles_of_rooms]
    return "\n".join(lines)


def main() -> None:
    """Print the table; draw the picture where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("packages", nargs="*", default=PACKAGES, help="the package, then its sister packages")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the rooms by floor")
    options = parser.parse_args()
    house = measure(*options.packages)
    print(table(house))
    if options.picture:
        from house_picture import draw

        draw(house, options.picture)


if __name__ == "__main__":
    main()
