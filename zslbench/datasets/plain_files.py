"""Read whole files of numpy and of plain pickles; features are read in blocks instead."""

from __future__ import annotations

import io
import mmap
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from zslbench.datasets.pickles import load_plain
from zslbench.files import check_archive, reading


def read_plain(path: Path, kind: str = "") -> Any:
    """Return what an ``.npy``, an ``.npz`` or a pickle holds: arrays, and plain objects as lists and dicts.

    Parameters
    ----------
    kind
        ``.npy`` or ``.npz``, if the name of the file does not say it.

    Raises
    ------
    ZslbenchError
        The file cannot be read, or has something else than plain data.

    Examples
    --------
    >>> np.save("splits.npy", np.array([[1, 2], [3, 4]])); read_plain(Path("splits.npy")).tolist()
    [[1, 2], [3, 4]]
    """
    kind = kind or path.suffix.lower()
    with reading(path), path.open("rb") as stream:
        if kind == ".npz":
            check_archive(path)
            with zipfile.ZipFile(stream) as archive:
                names = [name for name in archive.namelist() if name.endswith(".npy")]
                parts = {name.removesuffix(".npy"): io.BytesIO(archive.read(name)) for name in names}
            return {name: _plain_npy(part, f"{name} in {path.name}") for name, part in parts.items()}
        return _plain_npy(stream, path.name) if kind == ".npy" else mapped_pickle(stream, path.name)


def _plain_npy(stream: IO[bytes], name: str) -> Any:
    start = stream.tell()
    shape, _, dtype = npy_header(stream)
    if dtype.hasobject:
        return unwrapped(load_plain(stream.read(), name), shape)
    stream.seek(start)
    return np.lib.format.read_array(stream, allow_pickle=False)


def mapped_pickle(stream: IO[bytes], name: str) -> Any:
    """Return the plain data of a pickle from the place of a file on."""
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        mapped.seek(stream.tell())
        return load_plain(mapped, name)


def npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return the shape, whether columns come first, and the type of a stream in .npy format, up to its values.

    Raises
    ------
    ValueError
        Its version or its shape is none that numpy writes.
    """
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"its .npy version is {version}")
    shape, column_order, dtype = readers[version](stream)
    if any(type(n) is not int or n < 0 for n in shape):  # numpy takes True for a number
        raise ValueError(f"its shape is {shape}")
    return shape, column_order, dtype


def unwrapped(held: Any, shape: tuple[int, ...]) -> Any:
    """Return what an array of one object holds: numpy saves a dict as one."""
    return held[0] if shape == () else held
