"""Linear systems that differ by a multiple of the identity, solved at once in one Krylov space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float64]
_TOLERANCE = 1e-6  # of a column's residual, beside the column: what float32 can tell
_FEWEST_BLOCKS = 10  # of a space that is worth its start


def pays(n: int, columns: int, systems: int) -> bool:
    """Return whether a common Krylov space takes less than factors of each (n, n) system.

    Examples
    --------
    >>> pays(6_700, 50, 5), pays(1_300, 50, 5), pays(6_700, 50, 1)
    (True, False, False)
    """
    return systems > 1 and _as_factors(n, columns) > _FEWEST_BLOCKS


def _as_factors(n: int, columns: int) -> int:
    """Return the number of products with (n, columns) blocks that have the operations of one Cholesky factorisation."""
    return n // (6 * columns)


def solved_at_once(matrix: NDArray[np.float32], shifts: Sequence[float], right: _Array) -> list[_Array | None]:
    """Return the solution X of ``(matrix + shift I) X = right`` for each shift; ``None`` where it did not converge.

    A block Krylov space of ``matrix`` and ``right`` is one of ``matrix + shift I``, too. Its orthonormal basis Q is
    made once, with ``matrix Q = Q H + W``, by Arnoldi's method in blocks (Saad, Iterative Methods for Sparse Linear
    Systems, 2nd edition, section 6.12). The solution is then ``Q (H + shift I)^-1 Q^T right`` (full orthogonalisation,
    section 6.4.1). Products are in float32, so a solution is that of a matrix which differs by the rounding of its
    values. The space grows until every system is solved, or until another factorisation would be as fast.

    Parameters
    ----------
    matrix
        (n, n); it need not be symmetric.
    shifts
        What is added to its diagonal.
    right
        (n, k) right-hand sides.

    Examples
    --------
    >>> (x,) = solved_at_once(np.diag([1, 2, 4]).astype(np.float32), [1.0], np.array([[2.0], [3.0], [5.0]]))
    >>> x.round(5).tolist()
    [[1.0], [1.0], [1.0]]
    """
    n, k = right.shape
    most = min(n // k, max(_FEWEST_BLOCKS, _as_factors(n, k)))
    basis = np.empty((n, k * most), dtype=np.float32, order="F")
    projected = np.zeros((k * most, k * most))  # H
    new, first = np.linalg.qr(right.astype(np.float32))
    lengths = np.maximum(np.linalg.norm(right, axis=0), np.finfo(float).tiny)
    solutions: list[_Array | None] = [None] * len(shifts)
    for block in range(most):
        done, ended = slice(0, k * (block + 1)), slice(k * block, k * (block + 1))
        basis[:, ended] = new
        product = matrix @ np.ascontiguousarray(new)
        projected[done, ended] = _orthogonalised(product, basis[:, done])
        new, below = np.linalg.qr(product)
        _orthogonalised(new, basis[:, done])  # where a product is nearly 0, its direction is that of rounding errors
        new, turned = np.linalg.qr(new)
        below = turned @ below
        waiting = [place for place, solution in enumerate(solutions) if solution is None]
        for place in sorted(waiting, key=lambda place: -shifts[place]):  # the greatest converges first
            inner = _inner(projected[done, done], shifts[place], first)
            if not (np.linalg.norm(below @ inner[ended], axis=0) <= _TOLERANCE * lengths).all():
                break
            solutions[place] = (basis[:, done] @ inner.astype(np.float32)).astype(np.float64)
        else:
            return solutions
        if block + 1 < most:
            projected[k * (block + 1) : k * (block + 2), ended] = below
    return solutions


def _orthogonalised(block: NDArray[np.float32], basis: NDArray[np.float32]) -> _Array:
    """Subtract the block's part in the basis, in place and twice, as rounding asks for; return its coefficients."""
    found = np.zeros((basis.shape[1], block.shape[1]))
    for _ in range(2):
        part = basis.T @ block
        block -= basis @ part
        found += part
    return found


def _inner(projected: _Array, shift: float, first: NDArray[Any]) -> _Array:
    right = np.zeros((len(projected), first.shape[1]))
    right[: len(first)] = first
    return np.asarray(np.linalg.solve(projected + shift * np.eye(len(projected)), right), dtype=np.float64)
