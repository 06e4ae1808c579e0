"""Arrays of foreign files: how to read their rows in blocks, turn their axes and reach what lies inside objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 1 << 25  # to read at a time: 32 MiB
_MOST_COLUMNS = 8  # of a list of tuples, or of a list that mixes types
Leaf = Callable[[Any], "Array | None"]


class Array(NamedTuple):
    """An array in a file; ``rows(sizes)`` reads it from its start, in blocks of ``sizes`` rows.

    Examples
    --------
    >>> array = sliced(np.zeros((5, 3), dtype=np.float32))
    >>> [block.shape for block in array.rows([2, 3])]
    [(2, 3), (3, 3)]
    >>> turn(array, (1, 0)).shape
    (3, 5)
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    rows: Callable[[Iterable[int]], Iterator[NDArray[Any]]]
    chunk: int = 1  # rows that the file stores, and perhaps compresses, together
    turned: Callable[[tuple[int, ...]], Array] | None = None  # the same array with its axes in another order
    either_end: bool = False  # whether the rows may as well be the last axis, as in MATLAB
    items: tuple[Array, ...] = ()  # the arrays that a list holds

    def whole(self) -> NDArray[Any]:
        """Return all rows."""
        (block,) = self.rows([self.shape[0] if self.shape else 1])
        return block

    @property
    def is_text(self) -> bool:
        """Whether the array holds strings."""
        return self.dtype.kind in "US"

    def texts(self) -> list[str]:
        """Return all strings, in order, without the spaces that fill strings of a fixed length."""
        values = self.whole().ravel()
        return [(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v)).strip() for v in values.tolist()]


@dataclass(frozen=True)
class Lazy:
    """What :func:`sliced` needs of an array whose values a function reads."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    part: Callable[[tuple[slice, ...]], NDArray[Any]]

    def __getitem__(self, at: Any) -> NDArray[Any]:
        return self.part(at)


def in_turn(part: Callable[[int, int], NDArray[Any]]) -> Callable[[Iterable[int]], Iterator[NDArray[Any]]]:
    """Return the ``rows`` of an :class:`Array` that can give the rows from one place to another."""

    def rows(sizes: Iterable[int]) -> Iterator[NDArray[Any]]:
        at = 0
        for size in sizes:
            yield part(at, at + size)
            at += size

    return rows


def sliced(array: Any, axes: tuple[int, ...] | None = None, *, either_end: bool = False) -> Array:
    """Return an :class:`Array` of any object that can be sliced, with its axes in the order ``axes``."""
    order = tuple(range(len(array.shape))) if axes is None else axes
    chunks = getattr(array, "chunks", None) or (1,) * len(order)

    def part(start: int, stop: int) -> NDArray[Any]:
        at = [slice(None)] * len(order)
        at[order[0]] = slice(start, stop)
        return np.asarray(array[tuple(at)]).transpose(order)

    return Array(
        shape=tuple(array.shape[i] for i in order),
        dtype=array.dtype,
        rows=in_turn(part),
        chunk=chunks[order[0]],
        turned=lambda more: sliced(array, tuple(order[i] for i in more), either_end=either_end),
        either_end=either_end,
    )


def turn(array: Array, axes: tuple[int, ...]) -> Array:
    """Return the array with its axes in another order, as :func:`numpy.transpose` does."""
    if axes == tuple(range(len(array.shape))):
        return array
    if array.turned is not None:
        return array.turned(axes)
    if axes[0] != 0:
        return sliced(array.whole(), axes)
    shape = tuple(array.shape[i] for i in axes)
    return array._replace(shape=shape, rows=lambda sizes: (block.transpose(axes) for block in array.rows(sizes)))


def text_array(values: Iterable[str]) -> Array:
    """Return an array of strings, (n,)."""
    return sliced(np.array(list(values), dtype=np.str_))


def list_array(items: Sequence[Array]) -> Array:
    """Return an array whose rows are arrays, each of its own shape."""

    def rows(sizes: Iterable[int]) -> Iterator[NDArray[Any]]:
        raise ValueError("it is a list of arrays")

    return Array((len(items),), np.dtype(object), rows, items=tuple(items))


def as_one(array: Array) -> Array:
    """Return a list of arrays of one shape, such as the clips of a video, as one array (n, ...); others as they are.

    >>> as_one(list_array([sliced(np.zeros(4)), sliced(np.ones(4))])).shape
    (2, 4)
    """
    shapes = {item.shape for item in array.items}
    if len(shapes) != 1 or any(item.items or item.dtype.hasobject or item.is_text for item in array.items):
        return array
    shape = (len(array.items), *shapes.pop())
    dtype = np.result_type(*{item.dtype for item in array.items})
    return sliced(Lazy(shape, dtype, lambda at: np.stack([item.whole() for item in array.items])[at]))


def stacked(parts: Sequence[Array]) -> Array:
    """Return the rows of arrays one after the other.

    >>> both = stacked([sliced(np.zeros((2, 3))), sliced(np.ones((1, 3)))])
    >>> both.shape, [len(block) for block in both.rows([1, 2])]
    ((3, 3), [1, 2])
    """

    def rows(sizes: Iterable[int]) -> Iterator[NDArray[Any]]:
        pieces: list[list[int]] = [[] for _ in parts]  # of each part, the rows to read at a time
        of_block: list[int] = []  # of each block, the number of pieces
        part, left = 0, parts[0].shape[0]
        for size in sizes:
            of_block.append(0)
            while size or not of_block[-1]:
                while not left and part + 1 < len(parts):
                    part, left = part + 1, parts[part + 1].shape[0]
                taken = min(size, left)
                pieces[part].append(taken)
                of_block[-1] += 1
                size, left = size - taken, left - taken
        found = (block for each, n in zip(parts, pieces, strict=True) for block in each.rows(n))
        for n in of_block:
            yield np.concatenate([next(found) for _ in range(n)])

    shape = (sum(each.shape[0] for each in parts), *parts[0].shape[1:])
    return Array(shape, np.result_type(*{each.dtype for each in parts}), rows)


def fields(name: str, array: Array) -> dict[str, Array]:
    """Return the fields of a structured array by name; of any other array, itself."""
    if array.dtype.names is None:
        return {name: array}
    found = {}
    for field in array.dtype.names:
        inner = array.dtype[field]

        def rows(sizes: Iterable[int], field: str = field) -> Iterator[NDArray[Any]]:
            return (block[field] for block in array.rows(sizes))

        found[field] = Array((*array.shape, *inner.shape), inner.base, rows, array.chunk)
    return found


def arrays_inside(held: Any, leaf: Leaf = lambda _: None, keys: tuple[Any, ...] = ()) -> dict[str, Array]:
    """Return the arrays inside dicts, lists and arrays of objects, by their path.

    Parameters
    ----------
    held
        What a program saved: an array; a dict of arrays; a list of arrays, strings, numbers or dicts; or these inside
        each other.
    leaf
        Function from an object of a library to its array; ``None`` if it has none.

    Examples
    --------
    >>> held = {"names": ["a", "b"], "features": [np.zeros((3, 4)), np.zeros((5, 4))]}
    >>> {name: array.shape for name, array in arrays_inside(held).items()}
    {'names': (2,), 'features': (2,)}
    """
    path = "/".join(map(str, keys)) or "features"
    if isinstance(held, Mapping):
        names = {key: key.decode("utf-8", "replace") if isinstance(key, bytes) else key for key in held}
        if positions := _positions({names[key]: value for key, value in held.items()}):
            return {path: text_array(positions)}
        parts = [arrays_inside(value, leaf, (*keys, names[key])) for key, value in held.items()]
        return {name: array for part in parts for name, array in part.items()}
    if isinstance(held, np.ndarray):
        return _inside_array(held, leaf, keys, path)
    if isinstance(held, list | tuple):
        return _inside_list(list(held), leaf, keys, path)
    found = leaf(held)
    return {} if found is None else {path: found}


def _positions(held: Mapping[Any, Any]) -> list[str]:
    """Return the names of a dict of name -> row, or row -> name, in the order of the rows; empty for other dicts."""
    pairs = [(b, a) if isinstance(a, str) else (a, b) for a, b in held.items()]
    if len(pairs) < 2 or not all(type(row) is int and isinstance(name, str) for row, name in pairs):
        return []
    rows = dict(pairs)
    return [rows[row] for row in sorted(rows)] if sorted(rows) == list(range(len(pairs))) else []


def _inside_array(held: NDArray[Any], leaf: Leaf, keys: tuple[Any, ...], path: str) -> dict[str, Array]:
    if held.dtype.names is not None:  # also a struct of MATLAB, whose fields are objects
        whole = {field: held[field] for field in held.dtype.names}
        single = {f: v.item() if v.size == 1 and v.dtype.hasobject else v for f, v in whole.items()}
        return arrays_inside(single, leaf, keys)
    if not held.dtype.hasobject:
        return {path: sliced(held)} if held.ndim else {}
    if held.ndim == 0:
        return arrays_inside(held.item(), leaf, keys)
    return _inside_list(held.ravel().tolist(), leaf, keys, path)


def _inside_list(held: list[Any], leaf: Leaf, keys: tuple[Any, ...], path: str) -> dict[str, Array]:
    values = [_single(value) for value in held]
    if not values:
        return {}
    if all(isinstance(value, str | bytes) for value in values):
        return {path: text_array(v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values)}
    if all(isinstance(value, Number) for value in values):
        return {path: sliced(np.array(values))}
    if all(isinstance(value, Mapping) and value.keys() == values[0].keys() for value in values):
        return arrays_inside({key: [value[key] for value in values] for key in values[0]}, leaf, keys)
    if all(isinstance(value, list | tuple) for value in values):
        if _is_numeric(values):
            if len({np.shape(value) for value in values}) == 1:
                return {path: sliced(np.array(values))}
            return {path: list_array([sliced(np.array(value)) for value in values])}
        widths = {len(value) for value in values}
        if widths <= set(range(1, _MOST_COLUMNS + 1)) and len(widths) == 1:  # [(id, array), ...]
            return arrays_inside({i: list(column) for i, column in enumerate(zip(*values, strict=True))}, leaf, keys)
    inner = [arrays_inside(value, leaf, (*keys, i)) for i, value in enumerate(values)]
    single = all(len(each) == 1 for each in inner) and not any(next(iter(each.values())).is_text for each in inner)
    if single and not _are_columns([array for each in inner for array in each.values()]):
        return {path: list_array([array for each in inner for array in each.values()])}
    if len(values) <= _MOST_COLUMNS:  # (features, labels)
        return {name: array for each in inner for name, array in each.items()}
    return {}


def _are_columns(arrays: Sequence[Array]) -> bool:
    """Return whether a few arrays are features and labels of the same rows: (n, D) and (n,)."""
    axes = {len(array.shape) for array in arrays}
    return 1 < len(arrays) <= _MOST_COLUMNS and 1 in axes and len(axes) > 1 and len({a.shape[0] for a in arrays}) == 1


def _single(value: Any) -> Any:
    """Return what an array of one string or number holds: MATLAB and torch have no plain ones."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "US":
        return value.item() if value.size == 1 else "" if value.size == 0 else value
    if isinstance(value, np.ndarray) and value.shape == (1, 1):
        return value.item()
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _is_numeric(values: list[Any]) -> bool:
    """Return whether lists are vectors, or matrices, of numbers."""
    flat = [inner for value in values for inner in value]
    if flat and all(isinstance(inner, list | tuple) for inner in flat):
        flat = [number for inner in flat for number in inner]
    return bool(flat) and all(isinstance(number, Number) for number in flat)
