"""Multinomial logistic regression: the softmax classifier that several methods rest on."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.method import Report


def softmax_regression(
    x: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    strength: float,
    max_iterations: int,
    report: Report | None = None,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.integer[Any]]]:
    """Return the weights that minimise the mean loss plus strength / 2 times the squared weights.

    Parameters
    ----------
    x
        (n, D) features.
    labels
        (n,) whole numbers.
    max_iterations
        Most iterations of L-BFGS.
    report
        Told where they were not enough.

    Returns
    -------
    weights : (k, D)
    biases : (k,)
    present : (k,)
        The labels that have features, in ascending order.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    present = np.unique(labels)
    if len(present) == 1:  # nothing to tell apart
        return np.zeros((1, x.shape[1])), np.zeros(1), present
    model = LogisticRegression(C=1 / (strength * len(x)), max_iter=max_iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, labels)
    if report is not None and model.n_iter_.max() >= max_iterations:
        report.warn(f"the softmax classifier had not converged after {max_iterations} iterations.")
    if len(present) == 2:  # scikit-learn keeps the difference of two classes alone
        return np.vstack([0 * model.coef_, model.coef_]), np.append(0, model.intercept_), present
    return model.coef_, model.intercept_, present
