"""UDA's two steps, each exact for what it changes: sparse codes for a dictionary, a dictionary for codes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench_methods._graph import knn_laplacian

Array = NDArray[np.float64]
_SPREADS = 50


def bounded_dictionary(gram: Array, cross: Array) -> Array:
    """Return the D that minimises ``tr(D G D^T) - 2 tr(D C^T)`` among those whose atoms are no longer than 1.

    Without the bound it is ``C G^{-1}``. Where that breaks it, the Lagrange dual is maximised over one multiplier an
    atom, ``D = C (G + diag(m))^{-1}`` (Lee et al., Efficient sparse coding algorithms, NIPS 2006): a smooth problem
    in as many unknowns as there are atoms, whatever the length of features.

    Parameters
    ----------
    gram
        (d, d) G, positive definite.
    cross
        (D, d) C.

    Returns
    -------
    (D, d), one atom a column.
    """
    from scipy import linalg, optimize

    def solve(multipliers: Array) -> Array:
        return np.asarray(linalg.solve(gram + np.diag(multipliers), cross.T, assume_a="pos")).T

    free = solve(np.zeros(len(gram)))
    lengths = np.linalg.norm(free, axis=0)
    if lengths.max(initial=0) <= 1:
        return free
    moment, unit = cross.T @ cross, float(np.trace(gram)) / len(gram)  # multipliers are measured in this unit

    def negative_dual(scaled: Array) -> tuple[float, Array]:
        inverse = linalg.inv(gram + np.diag(scaled * unit))
        product = moment @ inverse
        squares = np.einsum("ij,ji->i", inverse, product)  # of the atoms' lengths
        return float(np.trace(product)) / unit + scaled.sum(), 1 - squares

    start = np.maximum(lengths - 1, 0) * np.diag(gram) / unit
    found = optimize.minimize(
        negative_dual, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start),
        options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7},
    )  # fmt: skip
    dictionary = solve(found.x * unit)
    shortened: Array = dictionary / np.maximum(np.linalg.norm(dictionary, axis=0), 1)  # what the dual's tolerance left
    return shortened


def sparse_codes(
    x: Array,
    dictionary: Array,
    pull: Array,
    lambda_2: float,
    lambda_3: float,
    *,
    start: Array | None = None,
    tolerance: float = 1e-3,
) -> Array:
    """Return the codes Y that minimise ``||x - D y||^2 + lambda_2 ||y - q||^2 + lambda_3 ||y||_1`` for each video.

    The first two terms are the least-squares problem of the rows [D; sqrt(lambda_2) I] and [x; sqrt(lambda_2) q],
    whose Gram matrix all videos share; scikit-learn's coordinate descent gets that problem with its rows rotated down
    to d.

    Parameters
    ----------
    x
        (n, D) features.
    dictionary
        (D, d).
    pull
        (n, d) q, where the class vectors pull each code to.
    start
        (n, d) codes to start from.
    tolerance
        Duality gap of a video at which its code is good enough, beside its squared length.
    """
    from scipy import linalg
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    d = dictionary.shape[1]
    gram = dictionary.T @ dictionary
    gram[np.diag_indices(d)] += lambda_2
    right = x @ dictionary + lambda_2 * pull
    if lambda_3 == 0:
        return np.asarray(linalg.solve(gram, right.T, assume_a="pos")).T
    root = np.asfortranarray(linalg.cholesky(gram))  # upper: root^T root = gram
    rows = linalg.solve_triangular(root, right.T, trans="T")
    # It minimises ||rows - root y||^2 / (2 d) + alpha ||y||_1. Though it visits atoms in turn it draws a number: from
    # numpy's global generator, unless it is given a seed.
    solver = Lasso(
        lambda_3 / (2 * d), fit_intercept=False, precompute=root.T @ root, tol=tolerance, random_state=0,
        warm_start=start is not None,
    )  # fmt: skip
    if start is not None:
        solver.coef_ = start.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what is left shows in the objective
        solver.fit(root, np.asfortranarray(rows))
    return np.asarray(solver.coef_, dtype=np.float64).reshape(len(x), d)


def objective(
    x: Array, codes: Array, dictionary: Array, source: Array, pull: Array, strengths: tuple[float, float, float]
) -> float:
    """Return ``||X - D Y||^2 + l1 ||D - D_s||^2 + l2 ||Y - Q||^2 + l3 ||Y||_1``, less a constant.

    With weights that sum to 1, ``sum_j w_ij ||y_i - p_j||^2 = ||y_i - q_i||^2 + constant`` for
    ``q_i = sum_j w_ij p_j``.
    """
    l1, l2, l3 = strengths
    terms: tuple[tuple[float, Any], ...] = (
        (1.0, (x - codes @ dictionary.T) ** 2),
        (l1, (dictionary - source) ** 2),
        (l2, (codes - pull) ** 2),
        (l3, np.abs(codes)),
    )
    return float(sum(strength * term.sum() for strength, term in terms))


def propagated(scores: Array, codes: Array, neighbours: int, spread: float) -> Array:
    """Return scores spread over the graph of nearest neighbours, ``(1 - a) (I - a S)^{-1} F``.

    S is the symmetrically normalised adjacency of the symmetrised k-nearest-neighbour graph (Zhou et al., Learning with
    local and global consistency, NIPS 2003).

    Parameters
    ----------
    scores
        (n, C) F, each video's own.
    codes
        (n, d) of unit length.
    neighbours
        k.
    spread
        a, below 1.
    """
    if len(codes) < 2:
        return scores
    unlike = knn_laplacian(codes, neighbours)  # I - S
    result = scores
    for _ in range(_SPREADS):  # what is left is below spread ** 50
        result = np.asarray(spread * (result - unlike @ result) + (1 - spread) * scores, dtype=np.float64)
    return result
