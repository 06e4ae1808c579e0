"""Read the small arrays and the texts of MATLAB files, v5 and v7.3."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.files import reading

_MOST_VALUES = 1 << 24  # of an array of numbers: features are larger, and are left out

Variable = NDArray[Any] | list[str]


def read_matlab(path: Path) -> dict[str, Variable]:
    """Return the variables of a MATLAB file by name, those inside of structs too, without large arrays.

    Returns
    -------
    dict
        Arrays of numbers with the axes that they have in MATLAB; cell arrays of texts and matrices of characters as
        lists of texts. Anything else is left out.

    Raises
    ------
    ZslbenchError
        The file cannot be read.

    Examples
    --------
    >>> from scipy.io import savemat
    >>> savemat("s.mat", {"names": np.array(["run", "wave"], dtype=object), "train": [[3.0], [1.0]]})
    >>> read_matlab(Path("s.mat"))["names"]
    ['run', 'wave']
    """
    import h5py
    from scipy.io import loadmat, whosmat

    with reading(path):
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return dict(_inside_hdf5(file))
        small = [name for name, shape, _ in whosmat(path) if math.prod(shape) <= _MOST_VALUES]
        content = loadmat(path, variable_names=small) if small else {}
        return dict(pair for name in small for pair in _inside(name, content[name]))


def _inside(name: str, value: Any) -> Iterator[tuple[str, Variable]]:
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.item()
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names is not None:
        for field in value.dtype.names:
            yield from _inside(field, value[field])
    elif value.dtype == object:
        texts = [_text(each) for each in value.ravel()]
        if all(text is not None for text in texts):
            yield name, [str(text) for text in texts]
    elif value.dtype.kind == "U":
        yield name, [text.rstrip() for text in value.ravel().tolist()]
    elif value.dtype.kind in "fiub":
        yield name, value


def _text(value: Any) -> str | None:
    """Return the text of a cell, which may lie in cells of its own."""
    while isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, np.ndarray) and value.size == 0:
        return ""
    return value if isinstance(value, str) else None


def _inside_hdf5(file: Any) -> Iterator[tuple[str, Variable]]:
    import h5py

    found: list[tuple[str, Any]] = []
    file.visititems(lambda name, item: found.append((name, item)) if isinstance(item, h5py.Dataset) else None)
    for path, item in found:
        name = path.rpartition("/")[2]
        if path.startswith("#") or item.size > _MOST_VALUES:  # MATLAB's cells are under '#refs#'
            continue
        if h5py.check_ref_dtype(item.dtype):
            texts = [_text_of(file[reference], file) for reference in item[()].T.ravel()]
            if all(text is not None for text in texts):
                yield name, [str(text) for text in texts]
        elif h5py.check_string_dtype(item.dtype):
            yield name, [str(text) for text in np.ravel(item.asstr(errors="replace")[()])]
        elif item.attrs.get("MATLAB_class") == b"char":
            yield name, ["".join(map(chr, row)).rstrip() for row in np.atleast_2d(item[()].T)]
        elif item.dtype.kind in "fiub":
            yield name, np.zeros(0) if "MATLAB_empty" in item.attrs else item[()].T


def _text_of(cell: Any, file: Any) -> str | None:
    import h5py

    while h5py.check_ref_dtype(cell.dtype) and cell.size == 1:
        cell = file[cell[()].ravel()[0]]
    if "MATLAB_empty" in cell.attrs:
        return ""
    return "".join(map(chr, cell[()].ravel())) if cell.attrs.get("MATLAB_class") == b"char" else None
