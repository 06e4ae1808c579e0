"""Sequences that were stored as vectors of T * D values, with their shapes beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zslbench.errors import ZslbenchError
from zslbench.features._arrays import Array, Lazy, sliced
from zslbench.files import reading

_SHAPES = ("shape", "shapes", "dims", "sizes")
_LENGTHS = ("lengths", "length", "n_frames", "num_frames")


def unflattened(
    path: Path, name: str, items: Sequence[Array], arrays: Mapping[str, Array]
) -> tuple[tuple[Array, ...], set[str]]:
    """Return each vector of T * D values as (T, D), and the names of the arrays that said so.

    Parameters
    ----------
    items
        The arrays of ``name``; those with more axes than one are returned as they are.
    arrays
        All arrays of the file. ``shape`` has one row (T, D) per vector; or ``lengths`` has each T.

    Raises
    ------
    ZslbenchError
        The shapes do not fit the vectors, or vectors differ in length and nothing tells their shapes.
    """
    if any(len(item.shape) != 1 for item in items):
        return tuple(items), set()
    sizes = np.array([item.shape[0] for item in items])
    known = {other: array for other, array in arrays.items() if other != name and array.shape[:1] == (len(items),)}
    shapes = next((other for other in known if _is_called(other, name, _SHAPES) and len(known[other].shape) == 2), None)
    lengths = next((other for other in known if _is_called(other, name, _LENGTHS)), None)
    if shapes is None and (lengths is None or len(set(sizes.tolist())) == 1):
        if len(set(sizes[sizes > 0].tolist())) > 1:
            one, two = (f"{size:,}" for size in list(dict.fromkeys(sizes[sizes > 0].tolist()))[:2])
            raise ZslbenchError(
                f"the vectors of {name} in {path.name} have {one}, {two}, ... values; if they are flattened sequences, "
                f"save an array 'shape' (n, 2) of their frames and values beside them."
            )
        return tuple(items), set()
    used = shapes or lengths or ""
    with reading(path):
        numbers = known[used].whole()
    if shapes is None:
        frames = numbers.ravel()
        width = int(sizes[frames > 0].sum() / max(frames[frames > 0].sum(), 1))
        numbers = np.stack([frames, np.full(len(items), width)], axis=1)
    wanted = [tuple(int(n) for n in row) for row in numbers.tolist()]
    if wrong := [i for i, shape in enumerate(wanted) if math.prod(shape) != sizes[i] or min(shape) < 0]:
        i = wrong[0]
        raise ZslbenchError(
            f"{path.name}: {used!r} says {wanted[i]} for row {i + 1} of {name}, which has {sizes[i]:,} values; fix one "
            f"of them."
        )
    return tuple(_reshaped(item, shape) for item, shape in zip(items, wanted, strict=True)), {used}


def _is_called(name: str, features: str, endings: tuple[str, ...]) -> bool:
    """Return whether an array is called ``shape``, ``group/shape`` or ``features_shape``."""
    last = name.rpartition("/")[2].lower()
    return last in endings or last in {f"{features.rpartition('/')[2].lower()}_{ending}" for ending in endings}


def _reshaped(item: Array, shape: tuple[int, ...]) -> Array:
    return sliced(Lazy(shape, item.dtype, lambda at: item.whole().reshape(shape)[at]))
