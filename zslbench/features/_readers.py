"""Read feature files of other programs: :func:`open_source` finds out what a file contains, then streams it.

A file is a set of named arrays. Either every array is one video, as in a folder, or the rows of one array are the
videos. With an array ``lengths``, the rows are the frames of all videos.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.features._arrays import BLOCK_BYTES, Array
from zslbench.features._axes import AS_SHAPED, Axes, arranged_items, arranged_rows
from zslbench.features._beside import beside
from zslbench.features._flattened import unflattened
from zslbench.features._folders import folder, joined_sides
from zslbench.features._paths import arrays_by_video, stem
from zslbench.features._quantised import dequantised
from zslbench.features._shards import SHARDS, read_shards, shards_of
from zslbench.features.formats import OPENERS, unpacked
from zslbench.files import reading
from zslbench.videos import IntArray

FORMATS = (
    ".npy, .npz, .mat, .h5, .hdf5, .pt, .pth, .safetensors, .pkl, .csv, .tsv, .txt, .json, .jsonl, .parquet, .tar, or "
    "a folder or .zip of such files"
)
_LARGEST_BLOCK = 16 * BLOCK_BYTES  # for files that are stored in large chunks
_MOST_ROWS = 10**8
_FEATURES, _LENGTHS = "features", "lengths"
_NAMES = re.compile(r"name|file|path|video|image|key|id", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """The contents of a feature file.

    Attributes
    ----------
    lengths
        (n,) frames per video; all 1 if ``kind`` is ``pooled``.
    dtype
        Type of the values in the file.
    names
        The videos' names if each video is an array; ``None`` if videos are the rows of one array.
    columns
        Other arrays of the file with one string or number per video, in the order of the rows.
    unused
        Names of arrays that are neither features nor columns.
    read
        Function from groups of video indices to the frames of each group.
    inside
        Names of arrays that were used to read the features: lengths, scales.
    layout
        The shape in the file, and how its axes were read.
    notes
        How the file was understood, if the user should know.
    named_by
        The column that names the videos, if no list of videos was expected.
    any_order
        Whether :attr:`read` can read videos in any order, as each is an array of its own.
    """

    path: Path
    kind: Literal["pooled", "sequences"]
    dim: int
    dtype: np.dtype[Any]
    lengths: IntArray
    read: Callable[[list[IntArray]], Iterator[NDArray[Any]]]
    names: tuple[str, ...] | None = None
    chunk: int = 1  # frames that the file stores together
    columns: Mapping[str, list[str] | NDArray[Any]] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    inside: frozenset[str] = frozenset()
    layout: str = ""
    named_by: str | None = None
    notes: tuple[str, ...] = ()
    any_order: bool = False

    def blocks(self, order: IntArray | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (number of videos, their frames one after the other: (sum of lengths, D)) per block.

        Parameters
        ----------
        order
            (n,) indices of the videos in the desired order; without :attr:`any_order`, an increasing one.

        Raises
        ------
        ZslbenchError
            The file is truncated or damaged.
        """
        order = np.arange(len(self.lengths)) if order is None else order
        ends = np.cumsum(self.lengths[order])
        row = self.dim * self.dtype.itemsize
        frames = max(1, BLOCK_BYTES // row)
        whole = -(-frames // self.chunk) * self.chunk  # parts of a chunk would be read and decompressed repeatedly
        frames = whole if whole * row <= _LARGEST_BLOCK else frames
        starts = (ends - self.lengths[order]) // frames
        groups = np.split(order, np.flatnonzero(np.diff(starts)) + 1)
        with reading(self.path):
            for group, block in zip(groups, self.read(groups), strict=True):
                yield len(group), block.reshape(-1, self.dim)


@contextlib.contextmanager
def open_source(
    path: Path, *, key: str | None = None, axes: Axes = AS_SHAPED, videos: Collection[str] | None = None,
    names_class: Callable[[str], object] | None = None,
) -> Iterator[Source]:  # fmt: skip
    """Open a feature file and find out what it contains.

    Parameters
    ----------
    path
        One of :data:`FORMATS`; or several tar shards, ``NAME-{000000..000003}.tar``.
    key
        Name of the array, if the file contains several.
    axes
        The order of the array's axes. By default, its shape decides.
    videos
        The expected videos, in order; ``None`` if the file itself must name them.
    names_class
        Function that tells whether a path is that of a video, as it names a class.

    Raises
    ------
    ZslbenchError
        The file is missing, damaged, of an unknown format or ambiguous, or contains objects that are not read.
    """
    files = shards_of(path)
    if not files[0].exists():
        raise NotFoundError(f"there is no {path}; check the path.")
    with contextlib.ExitStack() as stack:
        arrays = _opened(path, files, stack)
        if not any(array.items or not array.is_text for array in arrays.values()):
            raise ZslbenchError(f"{path} contains no arrays of numbers; give one of {FORMATS}.")
        arrays = arrays if key in arrays else dict(joined_sides(path, arrays))
        yield _understand(path, arrays, key, axes, videos, names_class)


def _opened(path: Path, files: Sequence[Path], stack: contextlib.ExitStack) -> dict[str, Array]:
    suffix = path.suffix.lower()
    if suffix in SHARDS and not path.is_dir():
        return read_shards(files, stack)
    opener = folder if path.is_dir() else OPENERS.get(suffix)
    if opener is None:
        raise ZslbenchError(f"{path.name} has an unknown format; convert it to one of {FORMATS}.")
    with reading(path):
        arrays = opener(path, stack)
        if not arrays and suffix == ".zip":
            arrays = folder(unpacked(path, stack), stack)
        return arrays | (beside(path, arrays) if suffix == ".npy" else {})


def _understand(
    path: Path, arrays: Mapping[str, Array], key: str | None, axes: Axes, videos: Collection[str] | None,
    names_class: Callable[[str], object] | None,
) -> Source:  # fmt: skip
    if key not in arrays and (named := arrays_by_video(path, arrays, key, videos, names_class)):
        used, by_video = named
        unused = tuple(name for name in arrays if name not in used)
        return replace(
            _from_items(path, tuple(by_video), list(by_video.values()), axes), names=tuple(by_video), unused=unused
        )
    named_by = _naming(path, arrays, names_class) if videos is None else None
    n = math.prod(arrays[named_by].shape) if named_by is not None else len(videos or ())
    name = key if key is not None else _choose(path, arrays, n)
    if name not in arrays:
        raise NotFoundError(f"{path.name} contains no array {name!r}.{suggest(name, arrays)}")
    source = _from_named(path, name, arrays, axes, n)
    columns = {
        other: array
        for other, array in arrays.items()
        if other not in (name, *source.inside)
        and not array.dtype.hasobject
        and math.prod(array.shape) == len(source.lengths)
    }
    with reading(path):
        found = {other: _column(array) for other, array in columns.items()}
    unused = tuple(other for other in arrays if other not in (name, *source.inside, *found))
    return replace(source, columns=found, unused=unused, named_by=named_by)


def _naming(path: Path, arrays: Mapping[str, Array], names_class: Callable[[str], object] | None) -> str:
    """Return the array of strings that names the videos: those that name classes, paths, names, or others."""
    with reading(path):
        texts = {name: array.texts() for name, array in arrays.items() if array.is_text}
    distinct = [name for name, values in texts.items() if len(set(values)) == len(values) > 0]
    if not distinct:
        raise ZslbenchError(f"{path.name} does not name its videos; give a list of video and class with --videos.")
    in_folders = [name for name in distinct if all("/" in value or "\\" in value for value in texts[name])]
    ids = [name for name in distinct if names_class is not None and all(map(names_class, texts[name]))]
    called_so = [name for name in distinct if _NAMES.search(name)]
    others = [*in_folders, *called_so, *distinct]
    others.sort(key=lambda name: all(stem(value).isdecimal() for value in texts[name]))  # numbers of rows last
    return [*ids, *others][0]


def _from_named(path: Path, name: str, arrays: Mapping[str, Array], axes: Axes, n: int) -> Source:
    """Return the source whose videos are the rows of one array."""
    array, lengths = arrays[name], None
    if array.items:
        if n and len(array.items) != n == sum(item.shape[0] for item in array.items if len(item.shape) == 2):
            raise ZslbenchError(
                f"{name} in {path.name} is a list of {len(array.items):,} arrays with {n:,} rows in all, as there are "
                f"videos; join them into one array (n, D)."
            )
        items, used = unflattened(path, name, array.items, arrays)
        source = _from_items(path, tuple(f"{name}[{i}]" for i in range(len(items))), items, axes)
        return replace(source, inside=frozenset(used))
    inside: set[str] = set()
    if _LENGTHS in arrays and name != _LENGTHS and len(array.shape) == 2:
        with reading(path):
            lengths = arrays[_LENGTHS].whole().ravel()
        if n in array.shape and len(lengths) == n and lengths.sum() not in array.shape:
            lengths = None  # of the videos that pooled features were made from
        else:
            lengths, inside = _whole_numbers(path, lengths), {_LENGTHS}
    _check_numbers(path, name, array)
    rows = n if lengths is None else int(lengths.sum())
    array, layout, notes = arranged_rows(path, name, array, rows, axes, flat=lengths is not None)
    if len(array.shape) in (2, 3):
        array, used, more = dequantised(path, name, array, arrays)
        inside, notes = inside | used, [*notes, *more]
    return replace(_from_rows(path, name, array, lengths), layout=layout, notes=tuple(notes), inside=frozenset(inside))


def _column(array: Array) -> list[str] | NDArray[Any]:
    return array.texts() if array.is_text else array.whole().ravel()


def _choose(path: Path, arrays: Mapping[str, Array], n: int) -> str:
    if _FEATURES in arrays:
        return _FEATURES
    found = {
        name: array
        for name, array in arrays.items()
        if array.items or (len(array.shape) in (2, 3, 4) and min(array.shape) > 1 and array.dtype.kind == "f")
    }
    found = {name: array for name, array in found.items() if n in array.shape} or found
    found = found or {name: array for name, array in arrays.items() if not array.is_text}
    if len(found) > 1:
        _refuse_parts(path, found, n)
        listed = ", ".join(f"{name} {arrays[name].shape}" for name in sorted(found)[:8])
        more = ", ..." if len(found) > 8 else ""
        raise ZslbenchError(f"{path.name} contains {len(found)} arrays ({listed}{more}); choose one with --key.")
    return next(iter(found))


def _refuse_parts(path: Path, found: Mapping[str, Array], n: int) -> None:
    """Raise if the arrays are parts that no --key can join: clips of a video, or videos of a class or a side."""
    by_position = all(name.rpartition("/")[2].isdecimal() or len(a.items) != n for name, a in found.items())
    if by_position and all(array.items for array in found.values()):
        shapes = list(dict.fromkeys(str(item.shape) for array in found.values() for item in array.items))
        raise ZslbenchError(
            f"{path.name} has several arrays per video, of the shapes {', '.join(shapes[:2])}, ...; join them into one "
            f"array (T, D) per video."
        )
    whole = [array.shape for array in found.values()]
    if sum(shape[0] for shape in whole) == n and len({shape[1:] for shape in whole}) == 1:
        raise ZslbenchError(
            f"{path.name} contains {len(found)} arrays ({', '.join(list(found)[:3])}, ...) with {n:,} rows in all; "
            f"save them as one array 'features', and the ids of its rows as 'names'."
        )


def _from_rows(path: Path, name: str, array: Array, lengths: IntArray | None) -> Source:
    shape = array.shape
    if len(shape) not in (2, 3) or 0 in shape:
        raise ZslbenchError(
            f"{name} in {path.name} is {shape}; save pooled features as (n, D), sequences as (n, T, D), or sequences "
            f"of different lengths as (sum of lengths, D) with an array 'lengths'."
        )
    if shape[0] > _MOST_ROWS:  # HDF5 and torch can declare rows that take no byte of the file
        raise ZslbenchError(f"{name} in {path.name} is {shape}: no list of videos is so long; save the array again.")
    if lengths is not None and lengths.sum() != shape[0]:
        raise ZslbenchError(
            f"{path.name}: 'lengths' add up to {lengths.sum():,} but {name} has {shape[0]:,} frames; fix one of them."
        )
    pooled = lengths is None and len(shape) == 2
    if lengths is None:
        lengths = np.full(shape[0], 1 if pooled else shape[1], dtype=np.int64)
    flat = len(shape) == 2
    counts = lengths if flat else np.ones_like(lengths)

    def read(groups: list[IntArray]) -> Iterator[NDArray[Any]]:
        return array.rows(int(counts[group].sum()) for group in groups)

    kind: Literal["pooled", "sequences"] = "pooled" if pooled else "sequences"
    chunk = array.chunk if flat else array.chunk * shape[1]
    return Source(path, kind, shape[-1], array.dtype, lengths, read, chunk=chunk)


def _from_items(path: Path, names: tuple[str, ...], arrays: Sequence[Array], axes: Axes) -> Source:
    for name, array in zip(names, arrays, strict=True):
        _check_numbers(path, name, array)
    arranged, layout, notes = arranged_items(path, names, arrays, axes)
    shapes = [array.shape for array in arranged]
    full = [shape for shape in shapes if 0 not in shape]
    dim, pooled = shapes[0][-1], bool(full) and all(len(shape) == 1 for shape in full)
    lengths = np.array([0 if 0 in shape else 1 if pooled else shape[0] for shape in shapes], dtype=np.int64)

    def read(groups: list[IntArray]) -> Iterator[NDArray[Any]]:
        for group in groups:
            items = [arranged[i].whole().reshape(-1, dim) for i in group.tolist() if lengths[i]]
            yield np.concatenate(items) if items else np.empty((0, dim), dtype)

    dtype = np.result_type(*{array.dtype for array in arranged})
    kind: Literal["pooled", "sequences"] = "pooled" if pooled else "sequences"
    return Source(path, kind, dim, dtype, lengths, read, layout=layout, notes=tuple(notes), any_order=True)


def _check_numbers(path: Path, name: str, array: Array) -> None:
    dtype = array.dtype
    if dtype.hasobject:
        with contextlib.suppress(ValueError):
            array.whole()  # says which object was refused
        raise ZslbenchError(
            f"{name} in {path.name} contains Python objects or cells, which are not read; "
            f"save a plain array, or 'features' (all frames, D) with 'lengths'."
        )
    if dtype.kind not in "fiu":
        raise ZslbenchError(f"{name} in {path.name} contains {dtype}, not real numbers; convert it to float32.")


def _whole_numbers(path: Path, lengths: NDArray[Any]) -> IntArray:
    whole = lengths.astype(np.int64) if lengths.dtype.kind in "fiu" else None
    if whole is None or not np.array_equal(whole, lengths) or (whole < 0).any():
        raise ZslbenchError(f"'lengths' in {path.name} must be whole numbers, one per video; fix that array.")
    return whole
