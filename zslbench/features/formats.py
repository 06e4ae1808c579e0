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
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.pickles import MOST_BYTES, load_plain
from zslbench.datasets.plain_files import mapped_pickle, npy_header, unwrapped
from zslbench.errors import ZslbenchError
from zslbench.features._arrays import (
    BLOCK_BYTES,
    Array,
    Lazy,
    arrays_inside,
    fields,
    in_turn,
    list_array,
    sliced,
    text_array,
    turn,
)
from zslbench.features._attributes import named_by_attributes
from zslbench.features._tables import json_arrays, parquet, table
from zslbench.files import check_archive

_LARGEST_DENSE = 1 << 32  # bytes of a sparse matrix of MATLAB, once it is a full one
_REMAP_BYTES = 1 << 28  # pages of a memory map that may stay resident: 256 MiB


def npy_array(open_stream: Callable[[], IO[bytes]], spill: Callable[[], Path], size: int) -> Array:
    """Return the array of a stream in .npy format; ``spill`` returns it as a file that can be memory-mapped.

    Raises
    ------
    ValueError
        The ``size`` of the stream in bytes is too small for the shape in its header.
    """
    with open_stream() as stream:
        shape, column_order, dtype = npy_header(stream)
        size -= stream.tell()
    if (declared := math.prod(shape) * dtype.itemsize) > size and not dtype.hasobject:
        raise ValueError(f"its header says {shape}, {declared:,} bytes, but it has {size:,}")

    # Read, not memory-mapped: the pages of a map stay in memory and count towards a job's memory limit.
    def rows(sizes: Iterable[int]) -> Iterator[NDArray[Any]]:
        with open_stream() as stream:
            npy_header(stream)
            for size in sizes:
                block = np.empty((size, *shape[1:]), dtype)
                _fill(stream, block)
                yield block
            if stream.read(1):  # zipfile compares its checksum only at the end of the member
                raise ValueError("it has more bytes than its header says")

    def part(at: tuple[slice, ...]) -> NDArray[Any]:
        # A new map per block, for the same reason.
        return np.array(np.load(spilled(), mmap_mode="r", allow_pickle=False)[at])

    if not shape:
        return Array(shape, dtype, rows)
    spilled = cache(spill)
    anywhere = sliced(Lazy(shape, dtype, part))
    if column_order and len(shape) > 1:
        return anywhere

    def turned(axes: tuple[int, ...]) -> Array:
        return turn(Array(shape, dtype, rows), axes) if axes[0] == 0 else turn(anywhere, axes)

    return Array(shape, dtype, rows, turned=turned)


def _fill(stream: IO[bytes], block: NDArray[Any]) -> None:
    view = memoryview(block.reshape(-1).view(np.uint8).data)
    while view:
        got = stream.readinto(view)  # type: ignore[attr-defined]
        if not got:
            raise EOFError("it ends before its last row")
        view = view[got:]


def _npy(path: Path, _: contextlib.ExitStack) -> dict[str, Array]:
    array = npy_array(lambda: path.open("rb"), lambda: path, path.stat().st_size)
    if array.dtype.hasobject:
        with path.open("rb") as stream:
            npy_header(stream)
            return arrays_inside(unwrapped(mapped_pickle(stream, path.name), array.shape))
    return fields(path.stem, array)


def _pickle(path: Path, _: contextlib.ExitStack) -> dict[str, Array]:
    with path.open("rb") as stream:
        return arrays_inside(mapped_pickle(stream, path.name))


def _npz(path: Path, stack: contextlib.ExitStack) -> dict[str, Array]:
    check_archive(path)
    archive = stack.enter_context(zipfile.ZipFile(path))

    def spill(member: str) -> Path:
        return Path(archive.extract(member, stack.enter_context(tempfile.TemporaryDirectory())))

    found: dict[str, Array] = {}
    for member in archive.infolist():
        if (name := member.filename).endswith(".npy") and not name.startswith("__MACOSX/"):
            array = npy_array(partial(archive.open, name), partial(spill, name), member.file_size)
            key = name.removesuffix(".npy")
            found |= _objects(path, archive, member, key, array) if array.dtype.hasobject else fields(key, array)
    return found


def unpacked(path: Path, stack: contextlib.ExitStack) -> Path:
    """Return the feature files of a zip archive as a temporary folder; names that lead out of it stay inside."""
    to = Path(stack.enter_context(tempfile.TemporaryDirectory())) / path.stem
    with zipfile.ZipFile(path) as archive:
        archive.extractall(to, [name for name in archive.namelist() if Path(name).suffix.lower() in OPENERS])
    return to


def _objects(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, key: str, array: Array) -> dict[str, Array]:
    """Return the arrays inside a pickled member; if it is refused, an array that says so when it is used."""
    try:
        if member.file_size > MOST_BYTES:
            raise ValueError(f"{key} has {member.file_size:,} bytes of objects, and the limit is {MOST_BYTES:,}")
        with archive.open(member) as stream:
            npy_header(stream)
            held = load_plain(stream.read(), f"{key} in {path.name}")
        return arrays_inside(unwrapped(held, array.shape), keys=(key,))
    except ZslbenchError as error:
        refusal = error

    def rows(sizes: Iterable[int]) -> Iterator[NDArray[Any]]:
        raise refusal

    return {key: Array((1,), np.dtype(object), rows)}


def _hdf5(path: Path, stack: contextlib.ExitStack, matlab: bool = False) -> dict[str, Array]:
    import h5py

    # With h5py's default chunk cache of 1 MiB, neighbouring blocks would decompress the same chunks again.
    file = stack.enter_context(h5py.File(path, "r", rdcc_nbytes=2 * BLOCK_BYTES))
    found: dict[str, Array] = {}

    def visit(name: str, item: Any) -> None:
        inside = matlab and name.startswith("#")  # MATLAB's cells are under '#refs#'
        if isinstance(item, h5py.Dataset) and item.shape and not inside:
            found.update(fields(name, _dataset(file, item, matlab)))

    file.visititems(visit)
    return found if matlab else named_by_attributes(file, found)


def _dataset(file: Any, item: Any, matlab: bool) -> Array:
    """Return the array of an HDF5 dataset, whose axes MATLAB writes in reversed order."""
    import h5py

    if h5py.check_string_dtype(item.dtype):
        texts = item.asstr(errors="replace")
        return Array(item.shape, np.dtype(np.str_), in_turn(lambda start, stop: np.array(texts[start:stop], np.str_)))
    if matlab and h5py.check_ref_dtype(item.dtype):
        cells = [file[reference] for reference in item[()].T.ravel()]
        if all(cell.attrs.get("MATLAB_class") == b"char" for cell in cells):
            return text_array(
                "".join(map(chr, cell[()].ravel())) if "MATLAB_empty" not in cell.attrs else "" for cell in cells
            )
        return list_array([_dataset(file, cell, matlab) for cell in cells])
    if item.attrs.get("MATLAB_class") == b"char":
        return text_array("".join(map(chr, row)).rstrip() for row in item[()].reshape(-1, item.shape[-1]).T)
    if h5py.check_vlen_dtype(item.dtype):
        return _rows_of_any_length(item)
    axes = tuple(range(item.ndim))
    return sliced(item, axes[::-1] if matlab else axes, either_end=True)


def _rows_of_any_length(item: Any) -> Array:
    """Return the vectors of an HDF5 dataset of variable length as a list."""
    import h5py

    base = np.dtype(h5py.check_vlen_dtype(item.dtype))
    places = list(np.ndindex(item.shape))

    def lazy(place: tuple[int, ...]) -> Array:
        return sliced(Lazy((len(item[place]),), base, lambda at: np.asarray(item[place])[at]))

    return list_array([lazy(place) for place in places])


def _mat(path: Path, stack: contextlib.ExitStack) -> dict[str, Array]:
    import h5py

    if h5py.is_hdf5(path):
        return _hdf5(path, stack, matlab=True)
    from scipy.io import loadmat
    from scipy.sparse import issparse

    found = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    full = {name: _dense(value) if issparse(value) else value for name, value in found.items()}
    return {name: array._replace(either_end=True) for name, array in arrays_inside(full).items()}


def _dense(value: Any) -> NDArray[Any]:
    if math.prod(value.shape) * value.dtype.itemsize > _LARGEST_DENSE:
        raise ValueError(f"it has a sparse matrix {value.shape}, which is too large as a full one")
    return np.asarray(value.toarray())


def _torch(path: Path, _: contextlib.ExitStack) -> dict[str, Array]:
    import torch

    mapped = zipfile.is_zipfile(path)  # files from before torch 1.6 are not zip files and cannot be mapped

    if mapped:
        check_archive(path)

    def load() -> Any:
        with warnings.catch_warnings():  # torch warns about files that it then refuses with an error
            warnings.simplefilter("ignore")
            held = torch.load(path, weights_only=True, mmap=mapped, map_location="cpu")
        return {"features": held} if isinstance(held, torch.Tensor) else held

    held, read_since = load(), 0

    def part(key: Any, at: tuple[slice, ...]) -> NDArray[Any]:
        nonlocal held, read_since
        if mapped and read_since > _REMAP_BYTES:  # a new map releases the pages that were read
            held, read_since = None, 0
            held = load()
        block = _numbers_of(held[key], at)
        read_since += block.nbytes
        return block

    def leaf(tensor: Any, read: Callable[[tuple[slice, ...]], NDArray[Any]] | None = None) -> Array | None:
        if not isinstance(tensor, torch.Tensor) or not tensor.ndim:
            return None
        read = read or partial(_numbers_of, tensor)
        return sliced(Lazy(tuple(tensor.shape), read((slice(0, 0),)).dtype, read))

    if not isinstance(held, Mapping):
        return arrays_inside(held, leaf)
    named = {str(key): leaf(value, partial(part, key)) for key, value in held.items()}
    rest = {key: value for key, value in held.items() if not isinstance(value, torch.Tensor)}
    return {key: array for key, array in named.items() if array} | arrays_inside(rest, leaf)


def _numbers_of(tensor: Any, at: tuple[slice, ...]) -> NDArray[Any]:
    import torch

    tensor = tensor.detach()
    block = (tensor.to_dense() if tensor.layout != torch.strided else tensor)[at]
    block = block.dequantize() if block.is_quantized else block
    return np.array((block.float() if block.dtype == torch.bfloat16 else block).numpy())


def _safetensors(path: Path, stack: contextlib.ExitStack) -> dict[str, Array]:
    from safetensors import safe_open

    file = stack.enter_context(safe_open(path, framework="pt"))

    def lazy(name: str) -> Array:
        part = file.get_slice(name)
        read = partial(_numbers_of_slice, part)
        shape = tuple(part.get_shape())
        return sliced(Lazy(shape, read((slice(0, 0),)).dtype, read))

    return {name: lazy(name) for name in file.keys() if file.get_slice(name).get_shape()}  # noqa: SIM118 - no mapping


def _numbers_of_slice(part: Any, at: tuple[slice, ...]) -> NDArray[Any]:
    return _numbers_of(part[at], ())


TABLES: dict[str, Callable[[Path, contextlib.ExitStack], dict[str, Array]]] = {
    ".csv": table,
    ".tsv": table,
    ".txt": table,
    ".json": json_arrays,
    ".jsonl": json_arrays,
    ".parquet": parquet,
}
OPENERS: dict[str, Callable[[Path, contextlib.ExitStack], dict[str, Array]]] = {
    ".npy": _npy,
    ".pkl": _pickle,
    ".pickle": _pickle,
    ".npz": _npz,
    ".zip": _npz,
    ".mat": _mat,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".pt": _torch,
    ".pth": _torch,
    ".safetensors": _safetensors,
    **TABLES,
}
