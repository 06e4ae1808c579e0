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
        return kernel(x, self.landmarks, self.gamma) @ self.projection


def kernel(a: Array, b: Array, gamma: float) -> Array:
    """Return the Gaussian kernel, (n_a, n_b), between features (n_a, D) and (n_b, D)."""
    return np.asarray(np.exp(-gamma * pairwise(a, b, "sqeuclidean")))


def components(
    features: Array,
    labels: NDArray[Any],
    values: Array,
    *,
    count: int,
    alignment: float,
    invariance: float,
) -> Array:
    """Return at most ``count`` directions u, (r, M), the best first, of features whose mean is zero.

    ``N = (1 - alignment) K K + alignment K A K / |A|`` and ``D = invariance K L K + K``, with A the centred inner
    products of the videos' attributes, |A| its Frobenius norm, and v^T L v the variance over domains of their means
    (Muandet et al., ICML 2013; a class is a domain). Directions have ``u^T N u = 1``: they are generalised eigenvectors
    over the root of their eigenvalue.

    Parameters
    ----------
    features
        (n, r), centred.
    labels, values
        (n,) places in the (n_classes, k) attributes.
    """
    from scipy.linalg import eigh

    sums = np.zeros((len(values), features.shape[1]))
    np.add.at(sums, labels, features)
    counts = np.bincount(labels, minlength=len(values))
    centred = values - counts @ values / len(labels)
    norm = np.linalg.norm((centred.T * counts) @ centred)  # that of A, from its k x k counterpart
    aligned = sums.T @ centred
    above = (1 - alignment) * features.T @ features + alignment * aligned @ aligned.T / (norm or 1.0)
    means = sums / counts[:, None]
    means -= means.mean(axis=0)
    below = invariance * means.T @ means / len(means) + np.eye(len(above))
    first = max(0, len(above) - count)
    eigenvalues, vectors = eigh(above, below, subset_by_index=[first, len(above) - 1])
    kept = np.flatnonzero(eigenvalues > _RANK * max(eigenvalues[-1], 1e-300))[::-1]
    return np.asarray(vectors[:, kept] / np.sqrt(eigenvalues[kept]))
