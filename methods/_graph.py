"""The nearest-neighbour graph of videos."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_VALUES = 1 << 25  # distances at a time: 128 MiB


def knn_laplacian(
    x: NDArray[np.floating[Any]], neighbours: int, *, metric: Literal["sqeuclidean", "precomputed"] = "sqeuclidean"
) -> Any:
    """Return the sparse normalised Laplacian of the symmetrised k-nearest-neighbour graph of (n, D) vectors.

    The neighbours are exact. ``metric="precomputed"`` takes (n, n) distances; otherwise no such matrix is formed.

    Examples
    --------
    >>> knn_laplacian(np.array([[0.0], [1.0], [5.0]]), 1).toarray().round(2).tolist()
    [[1.0, -0.71, 0.0], [-0.71, 1.0, -0.71], [0.0, -0.71, 1.0]]
    """
    from scipy import sparse
    from scipy.sparse.csgraph import laplacian

    n, k = len(x), min(neighbours, len(x) - 1)
    if k < 1:
        return sparse.csr_array((n, n), dtype=x.dtype)
    near = _nearest(x, k, metric == "precomputed")
    graph = sparse.csr_array((np.ones(n * k, x.dtype), (np.repeat(np.arange(n), k), near.ravel())), shape=(n, n))
    return laplacian(graph.maximum(graph.T), normed=True)


def _nearest(x: NDArray[np.floating[Any]], k: int, precomputed: bool) -> NDArray[np.int64]:
    """Return the k nearest others of each, (n, k): torch multiplies and selects three times as fast as scikit-learn."""
    import torch

    rows = torch.from_numpy(x if precomputed else x - x.mean(axis=0))
    squares, near = rows.square().sum(dim=1), np.empty((len(x), k), dtype=np.int64)
    for start in range(0, len(x), size := max(1, _VALUES // len(x))):
        block = rows[start : start + size]
        # Less the square of the row's own vector, which does not change the order.
        distances = block.clone() if precomputed else torch.addmm(squares, block, rows.T, alpha=-2)
        distances[torch.arange(len(block)), torch.arange(start, start + len(block))] = torch.inf
        near[start : start + size] = distances.topk(k, largest=False, sorted=False).indices.numpy()
    return near


def chi2_map(x: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return vectors whose squared Euclidean distances are about the chi2 distances of histograms (n, D), (n, 5 D).

    It is the map of the additive chi2 kernel (Vedaldi and Zisserman, TPAMI 2012).
    """
    from sklearn.kernel_approximation import AdditiveChi2Sampler

    return np.asarray(AdditiveChi2Sampler(sample_steps=3, sample_interval=0.6).fit_transform(x), dtype=np.float32)
