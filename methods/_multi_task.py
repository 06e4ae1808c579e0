"""Linear maps from features to class vectors that share strength between the outputs: each output is a task.

All minimise ``mean_i w_i |z_i - W x_i|^2`` and a penalty; they are solved between the eigenvectors of the features'
second moment, where X X^T is the diagonal ``values`` and Z X^T is ``cross``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Weighted sums over videos, which add up.

    Attributes
    ----------
    second
        (D, D), sum of w x x^T.
    sums
        (C, D), sum of w x per class.
    counts
        (C,), sum of w per class.
    """

    second: Array
    sums: Array
    counts: Array

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.second + other.second, self.sums + other.sums, self.counts + other.counts)

    def centred(self) -> tuple[Moments, Array]:
        """Return the moments of features less their mean, and that mean, (D,)."""
        mean = self.sums.sum(axis=0) / self.counts.sum()
        second = self.second - self.counts.sum() * np.outer(mean, mean)
        return Moments(second, self.sums - self.counts[:, None] * mean, self.counts), mean


class Problem:
    """One regression, decomposed once for all penalties.

    Parameters
    ----------
    moments
        Of the training videos.
    vectors
        (C, d) class vectors, z of each class's videos.
    """

    def __init__(self, moments: Moments, vectors: Array) -> None:
        total = moments.counts.sum()
        values, self.basis = np.linalg.eigh(moments.second / total)
        self.values = np.maximum(values, 0)
        self.cross = vectors.T @ moments.sums @ self.basis / total

    def single(self, strength: float) -> Array:
        """Return W, (d, D), with the penalty ``strength |W|^2``: every output for itself (STL)."""
        weights: Array = self.cross / (self.values + strength) @ self.basis.T
        return weights

    def shared(self, strength: float, common: float) -> Array:
        """Return W, (d, D), of rows ``w_0 + v_t``: what they share is penalised less (RMTL).

        Minimised over w_0, the penalty ``strength (common |w_0|^2 + sum_t |v_t|^2)`` is a ridge of ``strength`` on W
        but in one direction: the mean of the outputs has ``strength common / (common + d)``.
        """
        mean = self.cross.mean(axis=0, keepdims=True)
        weaker = strength * common / (common + len(self.cross))
        solved = (self.cross - mean) / (self.values + strength) + mean / (self.values + weaker)
        return np.asarray(solved @ self.basis.T)

    def factors(
        self, n_tasks: int, strength: float, *, iterations: int = 50, tolerance: float = 1e-4
    ) -> tuple[Array, Array, tuple[float, ...]]:
        """Return A, (d, k), S, (k, D), with ``W = A S`` and the penalty ``strength (|A|^2 + |S|^2)``, and the loss.

        Each is solved for in turn, with the other fixed. This ends when the loss (less the constant mean |z|^2) falls
        by less than ``tolerance`` of its size. One strength is enough: scaling A up and S down changes nothing but the
        ratio of two. The start is the ridge solution's best approximation of rank k.

        Parameters
        ----------
        n_tasks
            k at most; the outputs and the features may have fewer dimensions.
        """
        left, size, right = np.linalg.svd(self.cross / (self.values + strength), full_matrices=False)
        root = np.sqrt(size[:n_tasks])
        a, s = left[:, :n_tasks] * root, root[:, None] * right[:n_tasks]
        losses: list[float] = []
        for _ in range(iterations):
            weights, q = np.linalg.eigh(a.T @ a)
            scale = np.maximum(weights, 0)[:, None] * self.values + strength
            s = q @ (q.T @ (a.T @ self.cross) / scale)
            gram, product = s * self.values @ s.T, self.cross @ s.T
            a = np.linalg.solve(gram + strength * np.eye(len(s)), product.T).T
            fit = np.sum(a @ gram * a) - 2 * np.sum(a * product)
            losses.append(float(fit + strength * (np.sum(a**2) + np.sum(s**2))))
            if len(losses) > 1 and losses[-2] - losses[-1] <= tolerance * abs(losses[-1]):
                break
        return a, s @ self.basis.T, tuple(losses)


def name_map(a: Array, inverse: float) -> Array:
    """Return ``(A^T A + inverse t I)^{-1} A^T``, (k, d), with t the mean of A^T A's eigenvalues: names among tasks."""
    gram = a.T @ a
    t = float(np.trace(gram)) / len(gram)
    return np.asarray(
        np.linalg.solve(gram + (inverse * t if t > 0 else 1.0) * np.eye(len(gram)), a.T), dtype=np.float64
    )
