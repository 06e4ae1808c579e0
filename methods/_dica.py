"""Domain-invariant components of a kernel (UDICA), aligned with a kernel of attributes: the eigenproblem of KDICA.

With the centred kernel K of the videos, the components maximise ``v^T N v`` against ``v^T D v`` over v. A kernel is
handled by features whose inner products are K. Then v^T K is a direction u, and no n x n matrix is formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.kernels import pairwise

Array = NDArray[np.floating[Any]]
_BLOCK = 4096  # videos whose kernel values are computed at a time
_RANK = 1e-10  # eigenvalues below this share of the greatest are rounding errors


@dataclass(frozen=True)
class KernelFeatures:
    """Features whose inner products are a Gaussian kernel: exact between landmarks, Nystrom's approximation elsewhere.

    Attributes
    ----------
    landmarks
        (m, D) some of the training videos, or all.
    projection
        (m, r): ``k(x, landmarks) projection`` are the features.
    gamma
        ``k(x, x') = exp(-gamma |x - x'|^2)``.
    """

    landmarks: Array
    projection: Array
    gamma: float

    @classmethod
    def of(cls, landmarks: Array, bandwidth: float) -> KernelFeatures:
        """Return the features with gamma = 1 / (bandwidth x median squared distance of the landmarks)."""
        distances = pairwise(landmarks, landmarks, "sqeuclidean")
        middle = float(np.median(distances[np.triu_indices(len(landmarks), 1)])) if len(landmarks) > 1 else 0.0
        gamma = 1 / (bandwidth * middle) if middle > 0 else 1.0
        values, vectors = np.linalg.eigh(np.exp(-gamma * distances))
        kept = values > _RANK * values[-1]
        return cls(landmarks, vectors[:, kept] / np.sqrt(values[kept]), gamma)

    def __call__(self, x: Array) -> Array:
        """Return the features of videos (n, D), (n, r)."""
        return projected(x, self.landmarks, self.gamma, self.projection)


def projected(x: Array, landmarks: Array, gamma: float, projection: Array) -> NDArray[np.float64]:
    """Return the Gaussian kernel between (n, D) and (m, D), times a matrix (m, r), without the (n, m) kernel."""
    found = np.empty((len(x), projection.shape[1]))
    for start in range(0, len(x), _BLOCK):
        distances = pairwise(x[start : start + _BLOCK].astype(np.float64), landmarks, "sqeuclidean")
        distances *= -gamma
        found[start : start + _BLOCK] = np.exp(distances, out=distances) @ projection
    return found


def components(
    features: Array,
    labels: NDArray[Any],
    values: Array,
    *,
    count: int,
    alignment: float,
    invariance: float,
    ridge: float,
) -> Array:
    """Return at most ``count`` directions u, (r, M), the best first, of features whose mean is zero.

    ``N = (1 - alignment) K K + alignment K A K / |A|`` and ``D = invariance K L K + K + ridge I``, with A the centred
    inner products of the videos' attributes, |A| its Frobenius norm, and v^T L v the variance over domains of their
    means (Muandet et al., ICML 2013; a class is a domain). Directions have ``u^T N u = 1``: they are generalised
    eigenvectors over the root of their eigenvalue. The shortest v of a direction has ``v^T v = u^T (F^T F)^-1 u``.

    Parameters
    ----------
    features
        (n, r), centred.
    labels, values
        (n,) places in the (n_classes, k) attributes.
    """
    from scipy.linalg import eigh

    squares, axes = eigh(features.T @ features)
    real = squares > max(_RANK * squares[-1], 1e-300)
    if not real.any():  # all videos are alike
        return np.zeros((features.shape[1], 1))
    squares, axes = squares[real], axes[:, real]
    sums = np.zeros((len(values), features.shape[1]))
    np.add.at(sums, labels, features)
    sums = sums @ axes
    counts = np.bincount(labels, minlength=len(values))
    centred = values - counts @ values / len(labels)
    norm = np.linalg.norm((centred.T * counts) @ centred)  # that of A, from its k x k counterpart
    aligned = sums.T @ centred
    above = (1 - alignment) * np.diag(squares) + alignment * aligned @ aligned.T / (norm or 1.0)
    means = sums / counts[:, None]
    means -= means.mean(axis=0)
    below = invariance * means.T @ means / len(means) + np.diag(1 + ridge / squares)
    first = max(0, len(above) - count)
    eigenvalues, vectors = eigh(above, below, subset_by_index=[first, len(above) - 1])
    kept = np.flatnonzero(eigenvalues > _RANK * max(eigenvalues[-1], 1e-300))[::-1]
    return np.asarray(axes @ vectors[:, kept] / np.sqrt(eigenvalues[kept]))
