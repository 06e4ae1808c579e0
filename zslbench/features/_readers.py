"""Read feature files of other programs: :func:`open_source` finds out what a file contains, then streams it.

A file is a set of named arrays. Either every array is one video, as in a folder, or the rows of one array are the
videos. With an array ``lengths``, the rows are the frames of all videos.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.features.formats import BLOCK_BYTES, OPENERS, Array, folder
from zslbench.files import reading
from zslbench.videos import IntArray

FORMATS = ".npy, .npz, .mat, .h5, .hdf5, .pt, .pth, or a folder of .npy files"
_LARGEST_BLOCK = 16 * BLOCK_BYTES  # for files that are stored in large chunks
_MOST_ROWS = 10**8
_FEATURES, _LENGTHS = "features", "lengths"


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
    read
        Function from groups of video indices to the frames of each group.
    note
        How the file was understood, if the user should know.
    """

    path: Path
    kind: Literal["pooled", "sequences"]
    dim: int
    dtype: np.dtype[Any]
    lengths: IntArray
    read: Callable[[list[IntArray]], Iterator[NDArray[Any]]]
    names: tuple[str, ...] | None = None
    chunk: int = 1  # frames that the file stores together
    note: str = ""

    def blocks(self, order: IntArray | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (number of videos, their frames one after the other: (sum of lengths, D)) per block.

        Parameters
        ----------
        order
            (n,) indices of the videos in the desired order; only if the file has :attr:`names`.

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
    path: Path, *, key: str | None = None, transpose: bool | None = None, videos: Collection[str] | None = None
) -> Iterator[Source]:
    """Open a feature file and find out what it contains.

    Parameters
    ----------
    path
        One of :data:`FORMATS`.
    key
        Name of the array, if the file contains several.
    transpose
        Whether the axes of a MATLAB or HDF5 array are reversed, videos last. By default, its shape decides.
    videos
        The expected videos, in order; ``None`` if the file itself must name them.

    Raises
    ------
    ZslbenchError
        The file is missing, damaged, of an unknown format or ambiguous, or contains pickled objects.
    """
    if not path.exists():
        raise NotFoundError(f"there is no {path}; check the path.")
    opener = folder if path.is_dir() else OPENERS.get(path.suffix.lower())
    if opener is None:
        raise ZslbenchError(f"{path.name} has an unknown format; convert it to one of {FORMATS}.")
    with contextlib.ExitStack() as stack:
        with reading(path):
            arrays = opener(path, stack)
        if not arrays:
            raise ZslbenchError(f"{path} contains no arrays of numbers; give one of {FORMATS}.")
        yield _understand(path, arrays, key, transpose, videos)


def _understand(
    path: Path,
    arrays: Mapping[str, Array],
    key: str | None,
    transpose: bool | None,
    videos: Collection[str] | None,
) -> Source:
    if key is None and _one_per_video(path, arrays, videos):
        return _from_items(path, arrays)
    if videos is None:
        raise ZslbenchError(f"{path.name} does not name its videos; give a CSV of video and class with --videos.")
    name = key if key is not None else _choose(path, arrays)
    if name not in arrays:
        raise NotFoundError(f"{path.name} contains no array {name!r}.{suggest(name, arrays)}")
    array, lengths, note = arrays[name], None, ""
    if _LENGTHS in arrays and name != _LENGTHS and len(array.shape) == 2:
        with reading(path):
            whole = arrays[_LENGTHS].whole().ravel()
        lengths = _whole_numbers(path, whole)
    n_rows = len(videos) if lengths is None else int(lengths.sum())
    if array.reversed is not None:
        array, note = _oriented(path, name, array, n_rows, transpose)
    elif transpose is not None:
        raise ZslbenchError(
            f"--transpose is only for .mat and HDF5 files; leave it out: {path.name} has its videos first."
        )
    return _from_rows(path, name, array, lengths, note)


def _one_per_video(path: Path, arrays: Mapping[str, Array], videos: Collection[str] | None) -> bool:
    if path.is_dir():
        return True
    if path.suffix.lower() in (".npy", ".npz", ".mat"):
        return False
    if videos is None:  # there is no CSV, so only the names can show it
        return any("/" in name for name in arrays)
    return not set(videos).isdisjoint(name.rpartition("/")[2] for name in arrays)


def _choose(path: Path, arrays: Mapping[str, Array]) -> str:
    if _FEATURES in arrays:
        return _FEATURES
    found = [n for n, a in arrays.items() if len(a.shape) in (2, 3) and min(a.shape) > 1 and a.dtype.kind == "f"]
    found = found or list(arrays)
    if len(found) > 1:
        listed = ", ".join(f"{name} {arrays[name].shape}" for name in sorted(found)[:8])
        more = ", ..." if len(found) > 8 else ""
        raise ZslbenchError(f"{path.name} contains {len(found)} arrays ({listed}{more}); choose one with --key.")
    return found[0]


def _oriented(path: Path, name: str, array: Array, n: int, transpose: bool | None) -> tuple[Array, str]:
    """Return the array with videos (or frames) first: MATLAB often has them last."""
    assert array.reversed is not None  # noqa: S101 - narrows the type
    first, last = array.shape[0] == n, array.shape[-1] == n
    if transpose is None and first and last and len(array.shape) > 1:
        raise ZslbenchError(
            f"{name} in {path.name} is {array.shape} and the CSV has {n} rows, so the videos may be the first axis or "
            f"the last; add --no-transpose (first) or --transpose (last)."
        )
    if transpose or (transpose is None and last and not first):
        return array.reversed(), f"{name} is {array.shape}: read with reversed axes, videos last"
    return array, ""


def _from_rows(path: Path, name: str, array: Array, lengths: IntArray | None, note: str) -> Source:
    _check_numbers(path, name, array.dtype)
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
    return Source(path, kind, shape[-1], array.dtype, lengths, read, chunk=chunk, note=note)


def _from_items(path: Path, arrays: Mapping[str, Array]) -> Source:
    names = sorted(arrays)
    shapes = {name: arrays[name].shape for name in names}
    first = names[0]
    for name, shape in shapes.items():
        _check_numbers(path, name, arrays[name].dtype)
        if len(shape) not in (1, 2) or shape[-1] == 0:
            raise ZslbenchError(f"{name} in {path.name} is {shape}; save one video as (D,) or (T, D).")
        if len(shape) != len(shapes[first]) or shape[-1] != shapes[first][-1]:
            raise ZslbenchError(
                f"in {path.name}, {first} is {shapes[first]} but {name} is {shape}; remove those that differ."
            )
    pooled = len(shapes[first]) == 1
    lengths = np.array([1 if pooled else shapes[name][0] for name in names], dtype=np.int64)

    def read(groups: list[IntArray]) -> Iterator[NDArray[Any]]:
        for group in groups:
            items = [np.atleast_2d(arrays[names[i]].whole()) for i in group.tolist() if lengths[i]]
            yield np.concatenate(items) if items else np.empty((0, shapes[first][-1]), dtype)

    dtype = np.result_type(*{arrays[name].dtype for name in names})
    kind: Literal["pooled", "sequences"] = "pooled" if pooled else "sequences"
    return Source(path, kind, shapes[first][-1], dtype, lengths, read, names=tuple(names))


def _check_numbers(path: Path, name: str, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
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
