"""What all classes of one run share: a lucky seed or an odd split moves them together.

A test over classes alone takes such a shift for a difference between the methods. Here the differences of two methods
are crossed random effects: of the class, of the run (one split with one seed), and of both together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zslbench.stats.intervals import Float64Array


@dataclass(frozen=True)
class RunEffect:
    """The part of the variance of a mean difference that comes from its runs.

    Attributes
    ----------
    variance
        Of the mean over the runs; 0 where runs differ by no more than their classes explain.
    freedom
        Its degrees of freedom (Satterthwaite).
    n_runs
        How many runs there are; with one the effect cannot be estimated, and ``variance`` is 0.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shifts = np.array([[-0.1], [0.0], [0.1]])
    >>> alike, shifted = rng.normal(0, 0.05, (3, 40)), shifts + rng.normal(0, 0.05, (3, 40))
    >>> [round(run_effect(d).variance, 3) for d in (alike, shifted)]
    [0.0, 0.003]
    """

    variance: float
    freedom: float
    n_runs: int


def run_effect(differences: Float64Array) -> RunEffect:
    """Return the run's part of the variance of the mean of ``differences``.

    Classes and runs are two crossed random effects with unequal numbers. Their variance components are Henderson's
    method 3 (Searle, Casella and McCulloch, Variance Components, 1992, chapter 5). It compares the sum of squares of
    runs, adjusted for classes, with the residual one.

    Parameters
    ----------
    differences
        (n_runs, n_classes) differences of two methods; NaN where a class was not in the run.
    """
    tested = ~np.isnan(differences)
    tested_often = tested.sum(axis=0)
    tested, kept = tested[:, tested_often > 0].astype(float), np.nan_to_num(differences[:, tested_often > 0])
    n_runs, n_classes = tested.shape
    often = tested.sum(axis=0)
    left = int(tested.sum()) - n_classes - (n_runs - 1)  # residual degrees of freedom
    if n_runs < 2 or left < 1:
        return RunEffect(0.0, float("inf"), n_runs)
    residual = (kept - kept.sum(axis=0) / often) * tested
    # Normal equations of the runs' effects once the classes' are taken out; one effect is free, so: least squares.
    normal = np.diag(tested.sum(axis=1)) - (tested / often) @ tested.T
    right = residual.sum(axis=1)
    explained = float(np.linalg.lstsq(normal, right)[0] @ right)
    noise = (float((residual**2).sum()) - explained) / left
    between = explained / (n_runs - 1)
    scale = (n_runs - 1) / (int(tested.sum()) - n_classes) / n_runs  # of mean squares -> variance of the mean
    variance = (between - noise) * scale
    if variance <= 0:
        return RunEffect(0.0, float("inf"), n_runs)
    freedom = (between - noise) ** 2 / (between**2 / (n_runs - 1) + noise**2 / left)
    return RunEffect(variance, freedom, n_runs)
