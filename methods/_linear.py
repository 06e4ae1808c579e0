"""Linear classifiers on the same videos: many binary ones at once, and a multinomial one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Loss = Literal["logistic", "squared-hinge"]
CURVATURE = {"logistic": 0.25, "squared-hinge": 2.0}  # the greatest second derivative of each loss
TOLERANCE = 1e-5  # of the largest entry of a classifier's gradient


@dataclass(frozen=True)
class Linear:
    """Linear classifiers with the values ``x w + b``.

    Attributes
    ----------
    weights, bias
        (k, D) and (k,).
    converged
        Whether every one of them came to its minimum.
    """

    weights: Array
    bias: Array
    converged: bool


class BinaryProblems:
    """Binary problems with the same features, each solved as if it were alone.

    A classifier minimises ``mean_i loss(x_i w + b, t_i) + strength / 2 |w|^2``. Both losses have a bounded second
    derivative, so that one matrix, X^T X, bounds the curvature of all problems at every point. Between its eigenvectors
    a step is one division per value. Nesterov's momentum makes the steps few; it starts anew where it points uphill
    (O'Donoghue and Candes, 2015). The decomposition serves all problems, strengths and losses.

    Parameters
    ----------
    x
        (n, D) features.
    bias
        Whether b is learnt, unpenalised, or 0.
    """

    def __init__(self, x: Array, *, bias: bool = True) -> None:
        self._bias = bias
        self._mean = x.mean(axis=0) if bias else np.zeros_like(x[0])
        centred = x - self._mean
        values, basis = np.linalg.eigh((centred.T @ centred).astype(np.float64) / len(x))
        self._moments, self._basis = np.maximum(values, 0), basis.astype(x.dtype)
        self._x = centred @ self._basis

    def solve(self, targets: NDArray[Any], strength: float, loss: Loss, max_iterations: int = 500) -> Linear:
        """Return the classifiers for targets (n, k): 0 to 1 for ``logistic``, -1 or 1 for ``squared-hinge``."""
        x, dtype = self._x, self._x.dtype
        targets = np.asarray(targets, dtype=dtype)
        weights, bias = np.zeros((x.shape[1], targets.shape[1]), dtype), np.zeros(targets.shape[1], dtype)
        curvature = CURVATURE[loss]
        scale = np.append(curvature * self._moments + strength, curvature).astype(dtype)[:, None]  # the bias comes last
        active = np.arange(targets.shape[1])  # the problems that are not solved yet
        at = ahead = np.zeros((len(scale), len(active)), dtype)
        age = np.ones(len(active))
        for _ in range(max_iterations):
            gradient = self._gradient(ahead, targets, strength, loss)
            left = np.abs(gradient).max(axis=0) > TOLERANCE
            if not left.all():
                weights[:, active[~left]], bias[active[~left]] = ahead[:-1, ~left], ahead[-1, ~left]
                active, targets, age = active[left], targets[:, left], age[left]
                at, ahead, gradient = at[:, left], ahead[:, left], gradient[:, left]
            if not len(active):
                break
            step = ahead - gradient / scale
            uphill = (gradient * (step - at)).sum(axis=0) > 0
            older = np.where(uphill, 1, (1 + np.sqrt(1 + 4 * age**2)) / 2)
            momentum = np.where(uphill, 0, (age - 1) / older).astype(dtype)
            at, ahead, age = step, step + momentum * (step - at), older
        weights[:, active], bias[active] = at[:-1], at[-1]
        original = (self._basis @ weights).T
        return Linear(original, bias - original @ self._mean, not len(active))

    def _gradient(self, at: Array, targets: Array, strength: float, loss: Loss) -> Array:
        outer = _slopes(self._x @ at[:-1] + at[-1], targets, loss) / self._x.dtype.type(len(self._x))
        inner = self._x.T @ outer + self._x.dtype.type(strength) * at[:-1]
        return np.vstack([inner, outer.sum(axis=0) if self._bias else 0 * at[-1]])


def _slopes(values: Array, targets: Array, loss: Loss) -> Array:
    """Return the derivative of the loss at each value."""
    if loss == "logistic":
        from scipy.special import expit

        return np.asarray(expit(values) - targets)
    return -2 * targets * np.maximum(1 - targets * values, 0)


def multinomial(x: Array, labels: NDArray[Any], strength: float, max_iterations: int) -> tuple[Linear, NDArray[Any]]:
    """Return scikit-learn's multinomial logistic regression, and the k labels that have videos.

    It minimises the mean loss plus strength / 2 times the squared weights.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    present = np.unique(labels)
    if len(present) == 1:  # nothing to tell apart
        return Linear(np.zeros((1, x.shape[1])), np.zeros(1), True), present
    model = LogisticRegression(C=1 / (strength * len(x)), max_iter=max_iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, labels)
    converged = bool(model.n_iter_.max() < max_iterations)
    if len(present) == 2:  # scikit-learn keeps the difference of two classes alone
        weights, bias = np.vstack([0 * model.coef_, model.coef_]), np.append(0, model.intercept_)
        return Linear(weights, bias, converged), present
    return Linear(model.coef_, model.intercept_, converged), present


def probabilities(x: Array, weights: Array, bias: Array) -> NDArray[np.float64]:
    """Return the posteriors of a multinomial classifier, (n, k)."""
    from scipy.special import softmax

    return np.asarray(softmax(x @ weights.T + bias, axis=1))
