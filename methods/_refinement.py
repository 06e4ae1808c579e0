"""Dense linear systems: factorised in float32, refined to float64 accuracy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float64]
_ROWS = 256  # of the matrix that are converted to float64 at a time: 14 MiB for 7,000 columns
_GAIN = 0.1  # the least that a step must gain: one digit


def solved(
    matrix: NDArray[np.float32], shift: float, right: _Array, *, positive: bool, work: NDArray[np.float32] | None = None
) -> _Array:
    """Return the solution X of ``(matrix + shift I) X = right``, as accurate as a solution in float64.

    A float32 factorisation takes half the time and memory of a float64 one. Each step of refinement solves for the
    residual, which is computed in float64 (Buttari et al., ACM TOMS 2008). As in LAPACK's ``dsposv``, the last residual
    is at most sqrt(n) eps |A| |x|; here |A| is the matrix's Frobenius norm plus the shift. If a step gains less than a
    digit, the sum is too ill-conditioned for float32, and is factorised in float64 instead.

    Parameters
    ----------
    matrix
        (n, n), in rows. It is not changed.
    shift
        What is added to its diagonal.
    right
        (n, k) right-hand sides.
    positive
        Whether the sum is symmetric and, but for rounding, positive definite: Cholesky factors then take half the time.
    work
        An array like ``matrix`` that receives the factors. Several calls are faster with the same one, because new
        memory is slow.

    Examples
    --------
    >>> solved(np.eye(2, dtype=np.float32), 1.0, np.array([[2.0], [3.0]]), positive=True).tolist()
    [[1.0], [1.5]]
    """
    from scipy import linalg

    work = np.empty_like(matrix) if work is None else work
    np.copyto(work, matrix)
    try:
        solve = _factors(work, shift, positive=positive)
    except linalg.LinAlgError:  # not positive definite in float32
        return _in_float64(matrix, shift, right, positive=positive)
    size = float(np.linalg.norm(matrix)) + shift
    tolerance = np.sqrt(len(matrix)) * np.finfo(float).eps * size
    x, residual, before = np.zeros(right.shape), right, np.inf
    while True:
        x += solve(residual)
        residual = right - shift * x - _product(matrix, x)
        error = float((np.abs(residual).max(axis=0) / np.maximum(np.abs(x).max(axis=0), np.finfo(float).tiny)).max())
        if error <= tolerance:
            return x
        if not error <= _GAIN * before:
            return _in_float64(matrix, shift, right, positive=positive)
        before = error


def _in_float64(matrix: NDArray[np.float32], shift: float, right: _Array, *, positive: bool) -> _Array:
    """Return the solution by float64 factors; by LU ones if rounding has made the sum indefinite."""
    from scipy import linalg

    with contextlib.suppress(linalg.LinAlgError):
        return _factors(matrix.astype(np.float64), shift, positive=positive)(right)
    return _factors(matrix.astype(np.float64), shift, positive=False)(right)


def _factors(system: NDArray[Any], shift: float, *, positive: bool) -> Callable[[_Array], _Array]:
    """Return what solves for right-hand sides with the factors of ``system + shift I``, which replace ``system``."""
    from scipy import linalg

    system[np.diag_indices_from(system)] += shift
    dtype = system.dtype
    # LAPACK works on columns: the transpose of a matrix of rows is taken as it lies, and solved transposed.
    if positive:
        factors = linalg.cho_factor(system.T, overwrite_a=True, check_finite=False)
        return lambda b: linalg.cho_solve(factors, b.astype(dtype), check_finite=False).astype(np.float64)
    pivoted = linalg.lu_factor(system.T, overwrite_a=True, check_finite=False)
    return lambda b: linalg.lu_solve(pivoted, b.astype(dtype), trans=1, check_finite=False).astype(np.float64)


def _product(matrix: NDArray[np.float32], x: _Array) -> _Array:
    """Return ``matrix x`` in float64, without a float64 copy of the matrix."""
    result = np.empty((len(matrix), x.shape[1]))
    rows = np.empty((_ROWS, matrix.shape[1]))
    for start in range(0, len(matrix), _ROWS):
        part = matrix[start : start + _ROWS]
        np.copyto(rows[: len(part)], part)
        np.matmul(rows[: len(part)], x, out=result[start : start + len(part)])
    return result
