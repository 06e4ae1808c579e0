"""Open feature files of other programs: one function per format, which returns named arrays to read in blocks.

:mod:`zslbench.features._readers` decides what the arrays mean. Only MATLAB files older than v7.3 and torch files from
before version 1.6 are loaded whole. ``.npz`` members in column order are unpacked to a temporary file.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.files import check_archive, reading

BLOCK_BYTES = 1 << 25  # to read at a time: 32 MiB
_REMAP_BYTES = 1 << 28  # pages of a memory map that may stay resident: 256 MiB


class Array(NamedTuple):
    """An array in a file; ``rows(sizes)`` reads it from its start, in blocks of ``sizes`` rows.

    Examples
    --------
    >>> np.save("features.npy", np.zeros((5, 3), dtype=np.float32))
    >>> with contextlib.ExitStack() as stack:
    ...     array = OPENERS[".npy"](Path("features.npy"), stack)["features"]
    ...     [block.shape for block in array.rows([2, 3])]
    [(2, 3), (3, 3)]
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    rows: Callable[[Iterable[int]], Iterator[NDArray[Any]]]
    chunk: int = 1  # rows that the file stores, and perhaps compresses, together
    reversed: Callable[[], Array] | None = None  # the same array with reversed axes, if MATLAB may have written it

    def whole(self) -> NDArray[Any]:
        """Return all rows."""
        (block,) = self.rows([self.shape[0]])
        return block


def _in_turn(part: Callable[[int, int], NDArray[Any]]) -> Callable[[Iterable[int]], Iterator[NDArray[Any]]]:
    """Return the ``rows`` of an :class:`Array` that can give the rows from one place to another."""

    def rows(sizes: Iterable[int]) -> Iterator[NDArray[Any]]:
        at = 0
        for size in sizes:
            yield part(at, at + size)
            at += size

    return rows


def _sliced(array: Any, backwards: bool = False) -> Array:
    """Return an :class:`Array` of any object that can be sliced, with reversed axes if ``backwards``."""
    shape = tuple(array.shape)
    chunks = getattr(array, "chunks", None) or (1,)
    return Array(
        shape=shape[::-1] if backwards else shape,
        dtype=array.dtype,
        rows=_in_turn(lambda start, stop: array[..., start:stop].T if backwards else array[start:stop]),
        chunk=chunks[-1 if backwards else 0],
        reversed=lambda: _sliced(array, not backwards),
    )


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"its .npy version is {version}")
    shape, column_order, dtype = readers[version](stream)
    if any(type(n) is not int or n < 0 for n in shape):  # numpy takes True for a number
        raise ValueError(f"its shape is {shape}")
    return shape, column_order, dtype


def _npy_array(open_stream: Callable[[], IO[bytes]], spill: Callable[[], Path], size: int) -> Array:
    """Return the array of a stream in .npy format; ``spill`` returns it as a file that can be memory-mapped.

    Raises
    ------
    ValueError
        The ``size`` of the stream in bytes is too small for the shape in its header.
    """
    with open_stream() as stream:
        shape, column_order, dtype = _npy_header(stream)
    if (declared := math.prod(shape) * dtype.itemsize) > size and not dtype.hasobject:
        raise ValueError(f"its header says {shape}, {declared:,} bytes, but it has {size:,}")

    # Read, not memory-mapped: the pages of a map stay in memory and count towards a job's memory limit.
    def rows(sizes: Iterable[int]) -> Iterator[NDArray[Any]]:
        with open_stream() as stream:
            _npy_header(stream)
            for size in sizes:
                block = np.empty((size, *shape[1:]), dtype)
                _fill(stream, block)
                yield block
            if stream.read(1):  # zipfile compares its checksum only at the end of the member
                raise ValueError("it has more bytes than its header says")

    def part(start: int, stop: int) -> NDArray[Any]:
        # A new map per block, for the same reason.
        return np.array(np.load(spilled(), mmap_mode="r", allow_pickle=False)[start:stop])

    spilled = cache(spill)
    return Array(shape, dtype, _in_turn(part) if column_order and len(shape) > 1 else rows)


def _fill(stream: IO[bytes], block: NDArray[Any]) -> None:
    view = memoryview(block.reshape(-1).view(np.uint8).data)
    while view:
        got = stream.readinto(view)  # type: ignore[attr-defined]
        if not got:
            raise EOFError("it ends before its last row")
        view = view[got:]


def _npy(path: Path, _: contextlib.ExitStack) -> dict[str, Array]:
    return {path.stem: _npy_array(lambda: path.open("rb"), lambda: path, path.stat().st_size)}


def folder(path: Path, stack: contextlib.ExitStack) -> dict[str, Array]:
    """Return the arrays of all .npy files below a folder, named by their paths without the suffix."""
    arrays = {}
    for file in sorted(path.rglob("*.npy")):
        with reading(file):
            (arrays[file.relative_to(path).with_suffix("").as_posix()],) = _npy(file, stack).values()
    return arrays


def _npz(path: Path, stack: contextlib.ExitStack) -> dict[str, Array]:
    check_archive(path)
    archive = stack.enter_context(zipfile.ZipFile(path))

    def spill(member: str) -> Path:
        return Path(archive.extract(member, stack.enter_context(tempfile.TemporaryDirectory())))

    members = {member.filename: member for member in archive.infolist() if member.filename.endswith(".npy")}
    return {
        name.removesuffix(".npy"): _npy_array(partial(archive.open, name), partial(spill, name), member.file_size)
        for name, member in members.items()
    }


def _hdf5(path: Path, stack: contextlib.ExitStack, backwards: bool = False) -> dict[str, Array]:
    import h5py

    # With h5py's default chunk cache of 1 MiB, neighbouring blocks would decompress the same chunks again.
    file = stack.enter_context(h5py.File(path, "r", rdcc_nbytes=2 * BLOCK_BYTES))
    found: dict[str, Array] = {}

    def visit(name: str, item: Any) -> None:
        # MATLAB stores the contents of cells under '#refs#'.
        if isinstance(item, h5py.Dataset) and item.shape and item.dtype.kind in "fiuO" and name[0] != "#":
            found[name] = _sliced(item, backwards)

    file.visititems(visit)
    return found


def _mat(path: Path, stack: contextlib.ExitStack) -> dict[str, Array]:
    import h5py

    if h5py.is_hdf5(path):
        return _hdf5(path, stack, backwards=True)  # MATLAB writes its axes in reversed order
    from scipy.io import loadmat

    found = {name: value for name, value in loadmat(path).items() if isinstance(value, np.ndarray)}
    return {name: _sliced(value) for name, value in found.items() if value.dtype.kind in "fiuO"}


def _torch(path: Path, _: contextlib.ExitStack) -> dict[str, Array]:
    import torch

    mapped = zipfile.is_zipfile(path)  # files from before torch 1.6 are not zip files and cannot be mapped

    if mapped:
        check_archive(path)

    def load() -> dict[str, Any]:
        with warnings.catch_warnings():  # torch warns about files that it then refuses with an error
            warnings.simplefilter("ignore")
            held = torch.load(path, weights_only=True, mmap=mapped, map_location="cpu")
        held = {"features": held} if isinstance(held, torch.Tensor) else held
        if not isinstance(held, Mapping):
            raise ValueError(f"it contains a {type(held).__name__}, not a tensor or a dict of tensors")
        return {str(name): tensor for name, tensor in held.items() if isinstance(tensor, torch.Tensor)}

    tensors = load()
    read_since = 0

    def part(name: str, start: int, stop: int) -> NDArray[Any]:
        nonlocal tensors, read_since
        if mapped and read_since > _REMAP_BYTES:  # a new map releases the pages that were read
            tensors, read_since = {}, 0
            tensors = load()
        block = tensors[name].detach()[start:stop]
        read_since += block.nbytes
        return np.array((block.float() if block.dtype == torch.bfloat16 else block).numpy())

    return {
        name: Array(tuple(tensor.shape), part(name, 0, 0).dtype, _in_turn(partial(part, name)))
        for name, tensor in tensors.items()
        if tensor.ndim
    }


OPENERS: dict[str, Callable[[Path, contextlib.ExitStack], dict[str, Array]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".mat": _mat,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".pt": _torch,
    ".pth": _torch,
}
