"""KLIEP: the ratio of two densities from a sample of each, without estimating either (Sugiyama et al., 2008)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.digests import derive_seed
from zslbench.kernels import pairwise

Array = NDArray[np.float64]
MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the median distance between target points and centres
_MOST_TARGETS = 1000  # points that the likelihood looks at
_FOLDS = 5


@dataclass(frozen=True)
class DensityRatio:
    """``w(x) = sum_b alpha_b exp(-|x - c_b|^2 / (2 width^2))``: the target's density over the source's.

    Attributes
    ----------
    alpha, centres
        (B,), none negative, and (B, D).
    likelihood
        Mean log w of the target points after each iteration of the fit.
    multiple
        Which of ``MULTIPLES`` was chosen; 1 where the width was given.
    """

    alpha: Array
    centres: NDArray[np.floating[Any]]
    width: float
    likelihood: tuple[float, ...] = ()
    multiple: float = 1.0

    def __call__(self, x: NDArray[np.floating[Any]]) -> Array:
        """Return w at the points ``x``, (n, D)."""
        return gaussians(x, self.centres, self.width) @ self.alpha


def fit_ratio(
    target: NDArray[np.floating[Any]],
    source: NDArray[np.floating[Any]],
    counts: NDArray[Any] | None = None,
    *,
    n_centres: int = 100,
    width: float | None = None,
    seed: int = 0,
) -> DensityRatio:
    """Fit the density ratio of two samples.

    ``max_alpha sum_t log w(x_t)`` over the target subject to ``mean w = 1`` over the source and ``alpha >= 0``.

    Parameters
    ----------
    target, source
        (n, D) points; of more than 1,000 targets as many are drawn.
    counts
        (n_source,) how often each source point counts; once by default.
    n_centres
        Basis functions at most, each at a target point that is drawn.
    width
        Of the basis functions; ``None`` takes the multiple of the median distance between targets and centres that
        gives target points which were left out the greatest likelihood.
    seed
        Of what is drawn.
    """
    rng = np.random.default_rng(derive_seed(seed, "kliep"))
    target = target[rng.permutation(len(target))[:_MOST_TARGETS]]
    centres = target[:n_centres]  # in an order drawn above
    weights = np.ones(len(source)) if counts is None else np.asarray(counts, dtype=np.float64)
    multiple = 1.0
    if width is None:
        width, multiple = _chosen_width(target, source, weights, centres)
    means = weights @ gaussians(source, centres, width) / weights.sum()
    usable = means > np.finfo(np.float64).tiny  # a basis function that no source point touches has no finite share
    if not usable.any():
        return DensityRatio(np.zeros(0), centres[:0], width, multiple=multiple)
    shares, likelihood = mixture(gaussians(target, centres[usable], width) / means[usable])
    return DensityRatio(shares / means[usable], centres[usable], width, likelihood, multiple)


def mixture(densities: Array, *, iterations: int = 1000, tolerance: float = 1e-4) -> tuple[Array, tuple[float, ...]]:
    """Return the shares b on the simplex that maximise ``mean_t log(densities_t b)``, and that value as it rose.

    With ``b_j = alpha_j mean_source phi_j`` KLIEP's constraints are those of the simplex, and its problem is that of a
    mixture's shares. EM keeps them exactly and never lowers the objective; where no component's mean responsibility
    ``g_j = mean_t densities_tj / (densities_t b)`` exceeds 1 the conditions of the optimum hold, and ``max_j g_j - 1``
    bounds what is still to be gained.

    Parameters
    ----------
    densities
        (n, B), not negative; every row has a positive value.
    """
    shares = np.full(densities.shape[1], 1 / densities.shape[1])
    rose = []
    for _ in range(iterations):
        mixed = np.maximum(densities @ shares, np.finfo(np.float64).tiny)
        rose.append(float(np.log(mixed).mean()))
        gain = (1 / mixed) @ densities / len(densities)
        if gain.max() <= 1 + tolerance:
            break
        shares = shares * gain
        shares /= shares.sum()
    return shares, tuple(rose)


def gaussians(x: NDArray[np.floating[Any]], centres: NDArray[np.floating[Any]], width: float) -> Array:
    """Return the basis functions' values, (n, B)."""
    return np.exp(-pairwise(x, centres, "sqeuclidean").astype(np.float64) / (2 * width**2))


def _chosen_width(
    target: NDArray[np.floating[Any]],
    source: NDArray[np.floating[Any]],
    weights: Array,
    centres: NDArray[np.floating[Any]],
) -> tuple[float, float]:
    """Return the width with the greatest likelihood of target points that were left out in turn, and its multiple."""
    distances = np.sqrt(pairwise(target, centres, "sqeuclidean").astype(np.float64))
    middle = float(np.median(distances[distances > 0])) if distances.any() else 1.0
    fold = np.arange(len(target)) % min(_FOLDS, len(target))
    if not fold.any():
        return middle, 1.0
    found = {}
    for multiple in MULTIPLES:
        width = middle * multiple
        means = weights @ gaussians(source, centres, width) / weights.sum()
        densities = gaussians(target, centres, width) / np.maximum(means, np.finfo(np.float64).tiny)
        found[multiple] = 0.0
        for left_out in range(fold.max() + 1):
            shares, _ = mixture(densities[fold != left_out], iterations=200, tolerance=1e-2)
            mixed = np.maximum(densities[fold == left_out] @ shares, np.finfo(np.float64).tiny)
            found[multiple] += float(np.log(mixed).sum())
    best = max(found, key=lambda multiple: found[multiple])
    return middle * best, best
