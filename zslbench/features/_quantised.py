"""Values of quantised features: ``(stored - zero_point) * scale``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.features._arrays import Array
from zslbench.files import reading

_SCALES = ("scale", "scales", "scale_factor")
_ZEROS = ("zero_point", "zero_points")
_OTHERS = ("offset", "add_offset", "bias", "min", "minimum", "codebook", "centroids")  # what these mean differs


def dequantised(path: Path, name: str, array: Array, arrays: Mapping[str, Array]) -> tuple[Array, set[str], list[str]]:
    """Return the values of an array of whole numbers, the names of the arrays that gave them, and notes.

    Parameters
    ----------
    array
        (n, D) or (n, T, D).
    arrays
        All arrays of the file. A scale is one number, or one per value (D,) or per row (n,) or (n, 1).

    Raises
    ------
    ZslbenchError
        The scale does not fit, or the file has an array whose meaning is open.
    """
    if array.dtype.kind not in "iu":
        return array, set(), []
    scales = [each for each in _SCALES if each in arrays]
    zeros = [each for each in _ZEROS if each in arrays]
    if open_ones := [each for each in _OTHERS if each in arrays]:
        raise ZslbenchError(
            f"{path.name} has {array.dtype} values and {open_ones[0]!r}, whose meaning is open; save the values "
            f"as float32."
        )
    if not scales:
        return array, set(), [
            f"{name} has {array.dtype} values and {path.name} no 'scale': they were read as they are; if they are "
            f"quantised, save them as float32"
        ]  # fmt: skip
    with reading(path):
        scale, zero = (arrays[each[0]].whole() if each else np.zeros(1) for each in (scales, zeros))
    parts = [_fitting(path, each, array, values) for each, values in ((scales[0], scale), (zeros[:1], zero))]

    def rows(sizes: Iterable[int]) -> Iterator[NDArray[Any]]:
        at = 0
        for block in array.rows(sizes):
            here = slice(at, at + len(block))
            by, shift = (values[here] if len(values) > 1 else values for values in parts)
            yield (block.reshape(-1, *array.shape[1:]).astype(np.float32) - shift) * by
            at += len(block)

    note = f"{name} has {array.dtype} values: they were multiplied by {scales[0]!r} of the file"
    return Array(array.shape, np.dtype(np.float32), rows, array.chunk), {*scales[:1], *zeros[:1]}, [note]


def _fitting(path: Path, name: Any, array: Array, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return the values in a shape that an array of rows can be multiplied by."""
    n, d, ones = array.shape[0], array.shape[-1], (1,) * (len(array.shape) - 2)
    flat = values.reshape(-1).astype(np.float32)
    if flat.size == 1 or (flat.size == d and (d != n or values.shape[-1:] == (d,) != values.shape)):
        return flat.reshape(1, *ones, -1)
    if flat.size == n and (d != n or values.shape[:1] == (n,) != values.shape):
        return flat.reshape(n, *ones, 1)
    raise ZslbenchError(
        f"{name!r} in {path.name} is {values.shape} for features {array.shape}; save one number, (D,), or (n, 1)."
    )
