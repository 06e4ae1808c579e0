"""The nearest-neighbour graph of videos."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def knn_laplacian(x: NDArray[np.floating[Any]], neighbours: int, *, metric: str = "sqeuclidean") -> Any:
    """Return the sparse normalised Laplacian of the symmetrised k-nearest-neighbour graph of (n, D) vectors.

    The neighbours are exact, and are found in blocks: no n x n matrix is formed. ``metric="precomputed"`` takes (n, n)
    distances.

    Examples
    --------
    >>> knn_laplacian(np.array([[0.0], [1.0], [5.0]]), 1).toarray().round(2).tolist()
    [[1.0, -0.71, 0.0], [-0.71, 1.0, -0.71], [0.0, -0.71, 1.0]]
    """
    from scipy import sparse
    from scipy.sparse.csgraph import laplacian
    from sklearn.neighbors import kneighbors_graph

    k = min(neighbours, len(x) - 1)
    if k < 1:
        return sparse.csr_array((len(x), len(x)), dtype=x.dtype)
    graph = sparse.csr_array(kneighbors_graph(x, k, metric=metric))
    return laplacian(graph.maximum(graph.T).astype(x.dtype), normed=True)


def chi2_map(x: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return vectors whose squared Euclidean distances are about the chi2 distances of histograms (n, D), (n, 5 D).

    It is the map of the additive chi2 kernel (Vedaldi and Zisserman, TPAMI 2012).
    """
    from sklearn.kernel_approximation import AdditiveChi2Sampler

    return np.asarray(AdditiveChi2Sampler(sample_steps=3, sample_interval=0.6).fit_transform(x), dtype=np.float32)
