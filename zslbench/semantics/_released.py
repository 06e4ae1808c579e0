"""Read the class vectors and attributes of the GZSL literature's ``att_splits.mat``: ``att`` and ``original_att``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.matlab import Variable, read_matlab
from zslbench.errors import ZslbenchError, some, suggest
from zslbench.semantics._class_tables import ClassTable

NAMES = "allclasses_names"
_USUAL = "att"


def read_released(path: Path, key: str | None = None) -> tuple[ClassTable, str] | None:
    """Return the class names and (n, d) vectors of a MATLAB file with ``allclasses_names``, and a note.

    Parameters
    ----------
    key
        Name of the matrix, (d, n) or (n, d); by default ``att``, or the only matrix.

    Returns
    -------
    tuple or None
        ``None`` if the file has no such names.

    Raises
    ------
    ZslbenchError
        There is no such matrix, or its axes are open.
    """
    content = read_matlab(path)
    names = content.get(NAMES)
    if not isinstance(names, list):
        return None
    matrices = _matrices(content, len(names))
    if key is None:
        if _USUAL not in matrices and len(matrices) != 1:
            raise ZslbenchError(f"{path.name} has {_told(matrices)}; choose one with --key.")
        key = _USUAL if _USUAL in matrices else next(iter(matrices))
    if key not in matrices:
        hint = suggest(key, matrices) if matrices else ""
        raise ZslbenchError(f"{path.name} has no matrix {key!r} with one vector per class of {NAMES}.{hint}")
    vectors = _by_class(path, key, matrices[key], len(names))
    others = [name for name in matrices if name != key]
    note = f"{key}, {matrices[key].shape[0]} x {matrices[key].shape[1]}"
    return (names, vectors), note + (f"; not {_told({name: matrices[name] for name in others})}" if others else "")


def _matrices(content: Mapping[str, Variable], n: int) -> dict[str, NDArray[np.float64]]:
    """Return the matrices with one axis for the classes; rows of videos (``trainval_loc``) are vectors."""
    return {
        name: value.astype(np.float64)
        for name, value in content.items()
        if isinstance(value, np.ndarray) and value.ndim == 2 and n in value.shape and min(value.shape) > 1
        and not name.endswith("_loc")
    }  # fmt: skip


def _told(matrices: Mapping[str, NDArray[np.float64]]) -> str:
    told = [f"{name} ({rows}, {columns})" for name, matrix in matrices.items() for rows, columns in [matrix.shape]]
    return some(told, 6) or "no matrix with one vector per class"


def _by_class(path: Path, key: str, matrix: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return (n, d); the literature has (d, n), and a square matrix is read so if only its columns have one length."""
    if matrix.shape != (n, n):
        return matrix.T if matrix.shape[1] == n else matrix
    of_columns, of_rows = (np.linalg.norm(matrix, axis=axis) for axis in (0, 1))
    if np.ptp(of_columns) < 1e-3 * of_columns.max() and np.ptp(of_rows) > 1e-2 * of_rows.max():
        return matrix.T
    raise ZslbenchError(
        f"{path.name}: {key} is {matrix.shape}, so classes may be its rows or its columns; save it as an .npz with "
        f"names (n,) and vectors (n, d)."
    )
