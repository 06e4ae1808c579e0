"""Kernel ridge regression on Nystrom centres, for more videos than an n x n matrix has room for (Falkon).

A function is a sum of kernels at M of the n videos, ``f(x) = k(x) B``. B is found by conjugate gradients, whose
preconditioner takes the M centres for a sample of all videos (Rudi, Carratino and Rosasco, NIPS 2017, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

MOST_DENSE = 20_000  # videos; above it the n x n system takes minutes, whatever the memory
_ALWAYS_DENSE = 4_096  # videos; their system takes half a GiB
_DENSE_BYTES = 24  # per pair of videos: four float32 matrices, and a float64 one where refinement fails
_CROSS_BYTES = 1 << 30  # most for the kernel between videos and centres, float32
_TOLERANCE = 1e-5  # of a residual, beside the first one
_MOST_ITERATIONS = 100


@dataclass(frozen=True)
class Solution:
    """The (M, C) coefficients of the centres, the iterations, and the greatest residual beside the first one."""

    coefficients: NDArray[np.float64]
    iterations: int
    residual: float

    @property
    def converged(self) -> bool:
        """Whether all columns came within the tolerance."""
        return self.residual <= _TOLERANCE


def memory_at_hand() -> int:
    """Return the bytes that this process may still take: what is free, within the limit of its container or job."""
    import psutil
    from distributed.system import MEMORY_LIMIT

    used = psutil.Process().memory_info().rss
    return max(0, min(int(psutil.virtual_memory().available), int(MEMORY_LIMIT) - int(used)))


def centres_that_fit(n: int) -> int | None:
    """Return the number of centres for n videos, or ``None`` where the n x n system fits the memory at hand.

    Examples
    --------
    >>> centres_that_fit(1_000), centres_that_fit(1_000_000)
    (None, 268)
    """
    if n <= _ALWAYS_DENSE or (n <= MOST_DENSE and _DENSE_BYTES * n * n <= memory_at_hand()):
        return None
    return max(1, min(n, min(_CROSS_BYTES, memory_at_hand() // 4) // (4 * n)))


def falkon(
    cross: Array,
    inner: NDArray[np.float64],
    targets: Array,
    strength: float,
    *,
    laplacian: Any = None,
    smoothness: float = 0.0,
) -> Solution:
    """Return the B that minimises ``|K_l B - Y|^2 + strength l tr(B^T C B) + smoothness tr(B^T K^T L K B)``.

    The last term is not Falkon's. A normalised Laplacian has eigenvalues from 0 to 2, so that on labelled videos the
    preconditioner without it is off by a factor of 1 + 2 smoothness at most.

    Parameters
    ----------
    cross
        (n, M) K, the kernel between videos, the l labelled ones first, and centres. Its type is that of the products.
    inner
        (M, M) C, the kernel between centres.
    targets
        (l, C) Y.
    strength
        Penalty per labelled video.
    laplacian
        (n, n) sparse L.
    smoothness
        Weight of the graph.
    """
    from scipy.linalg import cholesky, solve_triangular

    (labelled, _), count = targets.shape, len(inner)
    jitter = 4 * np.finfo(np.float32).eps * np.sqrt(count) * inner.diagonal().mean()  # of float32 kernel values
    root = cholesky(plus_diagonal(inner.copy(), jitter), overwrite_a=True, check_finite=False)
    outer = cholesky(plus_diagonal(root @ root.T / count, strength), overwrite_a=True, check_finite=False)

    def solve(triangle: Array, right: Array, trans: Literal[0, 1]) -> NDArray[np.float64]:
        return np.asarray(solve_triangular(triangle, right, trans=trans, check_finite=False))

    def moment(v: Array) -> Array:
        values = cross @ v.astype(cross.dtype)
        wanted = np.concatenate([values[:labelled], np.zeros_like(values[labelled:])])
        if laplacian is not None and smoothness > 0:
            wanted += cross.dtype.type(smoothness) * (laplacian @ values)
        return np.asarray(cross.T @ wanted, dtype=np.float64)

    def system(b: Array) -> Array:
        whitened = solve(outer, b, 0)
        fitted = solve(root, moment(solve(root, whitened, 0)), 1) / labelled
        return solve(outer, fitted + strength * whitened, 1)

    first = (cross[:labelled].T @ targets.astype(cross.dtype)).astype(np.float64)
    right = solve(outer, solve(root, first, 1), 1) / labelled
    found, iterations, residual = conjugate_gradients(system, right)
    return Solution(solve(root, solve(outer, found, 0), 0), iterations, residual)


def conjugate_gradients(system: Any, right: Array) -> tuple[Array, int, float]:
    """Return x with ``system(x) = right``, (M, C), each column by itself, the iterations and the greatest residual."""
    x, residual = np.zeros_like(right), right.copy()
    direction, squares = residual.copy(), np.square(right).sum(axis=0)
    first = np.where(squares > 0, squares, 1)
    iterations = 0
    while iterations < _MOST_ITERATIONS and (squares > _TOLERANCE**2 * first).any():
        turned = system(direction)
        curvature = (direction * turned).sum(axis=0)
        step = np.divide(squares, curvature, out=np.zeros_like(squares), where=curvature > 0)
        x += step * direction
        residual -= step * turned
        before, squares = squares, np.square(residual).sum(axis=0)
        direction = residual + np.divide(squares, before, out=np.zeros_like(squares), where=before > 0) * direction
        iterations += 1
    return x, iterations, float(np.sqrt((squares / first).max()))


def plus_diagonal(matrix: Array, value: float) -> Array:
    """Add a value to the diagonal, in place."""
    matrix[np.diag_indices_from(matrix)] += value
    return matrix
