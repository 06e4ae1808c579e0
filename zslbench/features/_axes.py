"""Which axis of an array has the videos (n), the frames (t), the crops (c) and the values (d)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.features._arrays import Array, turn

_ROWS = {2: "nd", 3: "ntd", 4: "ntcd"}
_ITEMS = {1: "d", 2: "td", 3: "tcd"}


class Axes(NamedTuple):
    """What the user says of the axes.

    Attributes
    ----------
    order
        Letters of the axes as the file has them: ``n`` videos, ``t`` frames, ``c`` crops, ``d`` values.
    crops
        How the crops of a frame become one row.
    """

    order: str | None = None
    crops: str | None = None

    def letters(self, path: Path, name: str, shape: tuple[int, ...], allowed: str) -> str | None:
        """Return the letters of an array of this shape, if the user gave some.

        Raises
        ------
        ZslbenchError
            They do not fit, or name crops without ``crops``.
        """
        if self.order is None:
            return None
        if len(set(self.order)) != len(self.order) or set(self.order) - set(allowed) or "d" not in self.order:
            raise ZslbenchError(
                f"--axes {self.order!r} does not fit {path.name}; give each axis one letter of {_spelled(allowed)}."
            )
        if len(self.order) != len(shape):
            raise ZslbenchError(
                f"--axes {self.order!r} has {len(self.order)} letters, but {name} in {path.name} is {shape}; "
                f"give each axis one letter of {_spelled(allowed)}."
            )
        return self.order


AS_SHAPED = Axes()


def _spelled(letters: str) -> str:
    names = {"n": "videos", "t": "frames", "c": "crops", "d": "values"}
    return ", ".join(f"{letter} ({names[letter]})" for letter in letters)


def arranged_rows(
    path: Path, name: str, array: Array, n: int, axes: Axes, *, flat: bool
) -> tuple[Array, str, list[str]]:
    """Return the array as (n, D) or (n, T, D), how its axes were read, and notes.

    Parameters
    ----------
    n
        Number of videos; if ``flat``, of the frames of all videos.

    Raises
    ------
    ZslbenchError
        The shape leaves the axes open, or does not fit ``axes``.
    """
    kept = _kept([array.shape], axes, 2, skip=0 if n == 1 else None)
    shape = tuple(array.shape[i] for i in kept)
    letters = axes.letters(path, name, shape, "td" if flat else "ntcd")
    if flat:
        letters = letters and letters.replace("t", "n")
    if letters is None:
        letters = _guess(path, name, array, shape, n)
    if len(letters) not in _ROWS:
        return array, "", []
    if "n" not in letters:
        raise ZslbenchError(f"--axes {letters!r} names no axis n, the videos of {name} in {path.name}; add it.")
    base = _ROWS[len(letters)]
    notes = []
    if len(kept) < len(array.shape):
        notes.append(f"{name} is {array.shape}: axes of length 1 were left out")
    if letters != base and axes.order is None:
        notes.append(f"{name} is {array.shape}: read with axes {letters}, videos {_place(letters)}")
    result = _crops_averaged(path, name, *_in_order(array, letters, kept), axes)
    if len(result.shape) == 3 and result.shape[1] > result.shape[2]:
        notes.append(_many_frames(name, result.shape[1:], letters))
    return result, f"{name} {array.shape} as {letters}", notes


def _place(letters: str) -> str:
    return "last" if letters[-1] == "n" else "first" if letters[0] == "n" else "in the middle"


def _guess(path: Path, name: str, array: Array, shape: tuple[int, ...], n: int) -> str:
    if len(shape) not in _ROWS:
        return "?" * len(shape)
    base = _ROWS[len(shape)]
    at = [i for i, size in enumerate(shape) if size == n]
    if not at or (at[0] == 0 and not array.either_end) or at == [0]:
        return base
    middle = base[1] + "n" + base[2:]
    options = {0: base, len(shape) - 1: base[::-1]}
    found = [options.get(i, middle) for i in at]
    if len(found) > 1 or not array.either_end or len(shape) > 3:
        swapped = [_swapped(letters) for letters in found if letters != base]  # nobody can see which of them it is
        listed = " or ".join(f"--axes {letters}" for letters in dict.fromkeys([*found, *swapped]))
        raise ZslbenchError(
            f"{name} in {path.name} is {array.shape} and there are {n:,} videos, so the videos may be its "
            f"{' or '.join(_ordinal(i, len(shape)) for i in at)} axis; add {listed} "
            f"({_spelled(base)}, in the order of the file)."
        )
    return found[0]


def _swapped(letters: str) -> str:
    return letters.translate(str.maketrans("td", "dt")) if "t" in letters else letters


def _ordinal(i: int, n: int) -> str:
    return "first" if i == 0 else "last" if i == n - 1 else ("second", "third")[i - 1]


def arranged_items(
    path: Path, names: Sequence[str], arrays: Sequence[Array], axes: Axes
) -> tuple[list[Array], str, list[str]]:
    """Return each video's array as (D,) or (T, D), how the axes were read, and notes.

    Raises
    ------
    ZslbenchError
        The shapes differ in more than the number of frames, or do not fit ``axes``.
    """
    full = [array.shape for array in arrays if 0 not in array.shape] or [arrays[0].shape]
    first = full[0]
    for name, array in zip(names, arrays, strict=True):
        if 0 not in array.shape and len(array.shape) != len(first):
            raise _differing(path, names, arrays, name)
    kept = _kept(full, axes, 1)
    letters = axes.letters(path, names[0], tuple(first[i] for i in kept), "tcd")
    letters = letters or _ITEMS.get(len(kept), "?" * len(kept))
    if "?" in letters:
        raise ZslbenchError(
            f"{names[0]} in {path.name} is {first}; save one video as (D,) or (T, D), with means over other axes, "
            f"such as height and width."
        )
    notes = [] if len(kept) == len(first) else [f"the arrays are {first}, ...: axes of length 1 were left out"]
    if letters == "tcd" and axes.order is None:
        _check_crops(path, names[0], full)
    turned: list[Array | None] = []
    for name, array in zip(names, arrays, strict=True):
        if 0 in array.shape:  # what extractors save for a video that is too short
            turned.append(None)
            continue
        turned.append(_crops_averaged(path, name, *_in_order(array, letters, kept), axes))
    widths = {array.shape[-1] for array in turned if array}
    if len(widths) > 1:
        _check_turned(path, names, turned, letters)
    shapes = {array.shape for array in turned if array}
    if len(shapes) == 1 and len(shape := shapes.pop()) == 2 and shape[0] > shape[1]:
        notes.append(_many_frames("each array", shape, letters))
    width = widths.pop() if widths else 0
    none = arrays[0]._replace(shape=(0, width), rows=lambda sizes: iter([np.empty((0, width), np.float32)]))
    layout = f"{len(arrays):,} arrays, {names[0]} {arrays[0].shape} as {letters}"
    return [none if array is None else array for array in turned], layout, notes


def _check_turned(path: Path, names: Sequence[str], turned: Sequence[Array | None], letters: str) -> None:
    """Raise for arrays of different widths; frames are likely the last axis if all else is equal."""
    arrays = {name: array for name, array in zip(names, turned, strict=True) if array}
    other = _swapped(letters)
    if "t" in letters and len({array.shape[0] for array in arrays.values()}) == 1:
        one, two = list(dict.fromkeys(str(array.shape) for array in arrays.values()))[:2]
        size = next(iter(arrays.values())).shape[0]
        raise ZslbenchError(
            f"in {path.name}, the arrays are {one}, {two}, ...: the first axis is always {size} and the last one "
            f"varies, as in (D, T). If so, add --axes {other}; otherwise remove those that differ."
        )
    last = {array.shape[-1] for array in arrays.values()}
    odd = next(name for name in arrays if arrays[name].shape[-1] in last - {next(iter(arrays.values())).shape[-1]})
    raise _differing(path, list(arrays), list(arrays.values()), odd)


def _differing(path: Path, names: Sequence[str], arrays: Sequence[Array], odd: str) -> ZslbenchError:
    shapes = {name: array.shape for name, array in zip(names, arrays, strict=True)}
    first = next(name for name, shape in shapes.items() if 0 not in shape)
    return ZslbenchError(
        f"in {path.name}, {first} is {shapes[first]} but {odd} is {shapes[odd]}; remove those that differ."
    )


def _many_frames(name: str, shape: tuple[int, ...], letters: str) -> str:
    t, d = shape
    other = _swapped(letters)
    return (
        f"{name} was read as {t:,} frames of {d:,} values per video; if it has {d:,} frames of {t:,} values, import "
        f"again with --axes {other}"
    )


def _kept(shapes: Sequence[tuple[int, ...]], axes: Axes, least: int, skip: int | None = None) -> tuple[int, ...]:
    """Return the axes that letters are for: all, if the user gave so many letters, else those without length 1."""
    fewer = _without_ones(shapes, least, skip)
    return fewer if axes.order is None or len(axes.order) == len(fewer) else tuple(range(len(shapes[0])))


def _without_ones(shapes: Sequence[tuple[int, ...]], least: int, skip: int | None = None) -> tuple[int, ...]:
    """Return the axes without those that have length 1 in all shapes; ``least`` stay."""
    kept = list(range(len(shapes[0])))
    for i in range(len(shapes[0])):
        if len(kept) > least and i != skip and all(shape[i] == 1 for shape in shapes):
            kept.remove(i)
    return tuple(kept)


def _in_order(array: Array, letters: str, kept: tuple[int, ...]) -> tuple[Array, str]:
    """Return the array with its axes in the order n, t, c, d; axes that are not kept have length 1."""
    order = sorted(range(len(letters)), key=lambda i: "ntcd".find(letters[i]))
    axes = tuple(kept[i] for i in order)
    dropped = tuple(i for i in range(len(array.shape)) if i not in kept)
    turned = turn(array, axes + dropped)
    return turned._replace(shape=tuple(array.shape[i] for i in axes)), "".join(letters[i] for i in order)


def _check_crops(path: Path, name: str, shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise if the first axis is the same for all videos and the second is not: the first has the crops then."""
    first, second = ({shape[i] for shape in shapes} for i in (0, 1))
    if len(first) == 1 < len(second):
        raise ZslbenchError(
            f"in {path.name}, {name} is {shapes[0]}: the first axis is always {first.pop()} and the second one varies, "
            f"as in (crops, T, D). If so, add --crops mean --axes ctd; otherwise --axes tcd."
        )


def _crops_averaged(path: Path, name: str, array: Array, letters: str, axes: Axes) -> Array:
    if "c" not in letters:
        if axes.crops is not None:
            raise ZslbenchError(
                f"--crops is for an axis of crops, but {name} in {path.name} is {array.shape}, read as "
                f"{', '.join(letters)}; leave it out, or name the axis c with --axes."
            )
        return array
    if axes.crops is None:
        raise ZslbenchError(
            f"{name} in {path.name} is {array.shape}; if these are {', '.join(letters)} with crops c, add --crops "
            f"mean, and --axes if they are in another order."
        )
    c = letters.index("c")
    dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float32)

    def rows(sizes: Iterable[int]) -> Iterator[NDArray[Any]]:
        for block in array.rows(sizes):
            yield block.mean(axis=c, dtype=np.promote_types(dtype, np.float32)).astype(dtype)

    return Array(array.shape[:c] + array.shape[c + 1 :], dtype, rows, array.chunk)
