"""Arrays of files that are open only while they are read: a process may open only so many at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from numpy.typing import NDArray

from zslbench.features._arrays import Array, text_array, turn

_Open = Callable[[contextlib.ExitStack], dict[str, Array]]


def reopened(open_arrays: _Open) -> dict[str, Array]:
    """Return the arrays of a file, which is opened now for their shapes, and again whenever one is read."""
    with contextlib.ExitStack() as stack:
        found = open_arrays(stack)
        return {name: _later(open_arrays, name, array) for name, array in found.items()}


def _later(open_arrays: _Open, name: str, array: Array, axes: tuple[int, ...] | None = None) -> Array:
    if array.is_text:
        return text_array(array.texts())
    if array.items:
        return array._replace(items=tuple(_item(open_arrays, name, i, each) for i, each in enumerate(array.items)))
    if array.dtype.hasobject:
        return array
    # Its functions hold objects of the closed file, which h5py looks through whenever it closes another.
    array = array._replace(rows=lambda sizes: iter(()), turned=None)
    order = tuple(range(len(array.shape))) if axes is None else axes

    def rows(sizes: Iterable[int]) -> Iterator[NDArray[Any]]:
        with contextlib.ExitStack() as stack:
            yield from turn(open_arrays(stack)[name], order).rows(sizes)

    return array._replace(
        shape=tuple(array.shape[i] for i in order),
        rows=rows,
        turned=lambda more: _later(open_arrays, name, array, tuple(order[i] for i in more)),
    )


def _item(open_arrays: _Open, name: str, i: int, array: Array) -> Array:
    return _later(lambda stack: {"": open_arrays(stack)[name].items[i]}, "", array)
