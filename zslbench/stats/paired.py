"""Paired comparison of two methods over classes.

Every figure of a method is spread over the classes (:func:`zslbench.stats.intervals.class_values`): their mean is the
figure, and a class's value says what it adds. The differences of two methods per class are a sample of independent
units. Differences per split are not, since splits share their classes. ``docs/statistics.md`` holds the measurements by
which the test and the interval were chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.stats.intervals import Float64Array
from zslbench.stats.runs import RunEffect

LEAST_COMPARED_CLASSES = 3


@dataclass(frozen=True)
class PairedDifference:
    """The result of comparing two methods by their differences per class.

    Attributes
    ----------
    mean, low, high
        Mean difference and its interval for new classes of the same kind: mean +- t standard errors.
    p
        Two-sided p-value for no difference in the population of classes.
    dz
        Cohen's d_z, mean / standard deviation of the differences; NaN where all are equal.
    superiority
        Share of the classes on which the first method is better, ties counted half.
    wins, ties, losses
        Classes on which the first method is better, equal, worse.
    n_classes
        How many classes there are.

    Examples
    --------
    >>> found = compare_classes(np.array([0.2, 0.1, 0.3, 0.0, 0.15]))
    >>> f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}], p = {found.p:.3f}"
    '0.15 [0.01, 0.29], p = 0.040'
    >>> found.wins, found.ties, found.losses
    (4, 1, 0)
    """

    mean: float
    low: float
    high: float
    p: float
    dz: float
    superiority: float
    wins: int
    ties: int
    losses: int
    n_classes: int


def compare_classes(
    differences: Float64Array, *, by_class: Float64Array | None = None, level: float = 0.95,
    runs: RunEffect | None = None,
) -> PairedDifference:  # fmt: skip
    """Compare two methods by their differences per class.

    Parameters
    ----------
    differences
        (n_classes,) values of the first method less those of the second, no NaN.
    by_class
        (n_classes,) differences in accuracy, whose signs are wins and losses; ``differences`` where left out.
    level
        Of the interval.
    runs
        What the classes of a run have in common (:func:`zslbench.stats.runs.run_effect`). Its variance is added in
        the t-test and the interval, with Satterthwaite's degrees of freedom.

    Raises
    ------
    ValueError
        Fewer than three classes.
    """
    from scipy import special

    n = len(differences)
    if n < LEAST_COMPARED_CLASSES:
        raise ValueError(f"{n} classes do not show how much classes differ; three are needed")
    mean, sd = float(differences.mean()), float(differences.std(ddof=1))
    variance, freedom = _with_runs(np.array(sd**2 / n), n, runs)
    error = math.sqrt(float(variance))
    margin = float(special.stdtrit(freedom, (1 + level) / 2)) * error
    by_class = differences if by_class is None else by_class
    wins, losses = int((by_class > 1e-12).sum()), int((by_class < -1e-12).sum())
    return PairedDifference(
        mean=mean,
        low=mean - margin,
        high=mean + margin,
        p=float(_t_p(np.array(mean), np.array(error), float(freedom))),
        dz=mean / sd if sd > 0 else float("nan"),
        superiority=(wins + (n - wins - losses) / 2) / n,
        wins=wins,
        ties=n - wins - losses,
        losses=losses,
        n_classes=n,
    )


def t_test(differences: Float64Array, runs: RunEffect | None = None) -> Float64Array:
    """Return the two-sided p-values of paired t-tests along the last axis.

    Differences that are all zero have p = 1, all equal to another number p = 0. ``runs`` as for
    :func:`compare_classes`.
    """
    n = differences.shape[-1]
    variance, freedom = _with_runs(differences.var(axis=-1, ddof=1) / n, n, runs)
    return _t_p(differences.mean(axis=-1), np.sqrt(variance), freedom)


def _with_runs(of_classes: NDArray[Any], n: int, runs: RunEffect | None) -> tuple[Float64Array, Float64Array]:
    """Return the variance of a mean difference over classes and runs, and its degrees of freedom (Satterthwaite)."""
    if runs is None or runs.variance == 0:
        return np.asarray(of_classes), np.full(np.shape(of_classes), float(n - 1))
    variance = np.asarray(of_classes + runs.variance)
    freedom = variance**2 / (of_classes**2 / (n - 1) + runs.variance**2 / runs.freedom)
    # A small component is estimated with large relative error. The sum never has fewer degrees than its scarcer part.
    return variance, np.maximum(freedom, min(runs.n_runs, n) - 1)


def _t_p(mean: NDArray[Any], error: NDArray[Any], freedom: Any) -> Float64Array:
    from scipy import special

    error = np.where(error > 1e-12, error, 0.0)  # equal differences: only rounding is left
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(np.abs(mean) > 1e-12, np.abs(mean) / error, 0.0)
    return np.asarray(2 * special.stdtr(freedom, -t), dtype=np.float64)


def holm(p: Float64Array) -> Float64Array:
    """Return p-values corrected by Holm's step-down method (1979); NaN stays and does not count."""
    p = np.asarray(p, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    order = np.argsort(p)[: int((~np.isnan(p)).sum())]  # NaN sorts last
    stepped = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected


def nadeau_bengio(differences: Float64Array, test_share: float) -> float:
    """Return the p-value of the corrected resampled t-test over splits (Nadeau and Bengio, 2003).

    Parameters
    ----------
    differences
        (n_splits,) differences by split.
    test_share
        n_test / n_train; here unseen / seen classes. The variance of the mean is (1 / n_splits + test_share) s^2.

    Raises
    ------
    ValueError
        Fewer than two splits.
    """
    n = len(differences)
    if n < 2:
        raise ValueError("one split has no variance; two are needed")
    error = differences.std(ddof=1) * math.sqrt(1 / n + test_share)
    return float(_t_p(np.array(differences.mean()), np.array(error), n - 1))


def near_best(
    differences: Float64Array, n_methods: int, level: float = 0.95, runs: RunEffect | None = None
) -> NDArray[np.bool_]:
    """Return which methods have no significant difference from the one that looks best.

    A method is left out if a paired t-test finds it worse than the best at (1 - level) / (n_methods - 1). Only the
    truly best one can be left out wrongly, in one of n_methods - 1 comparisons. So with confidence ``level`` the truly
    best method is among those that are kept.

    Parameters
    ----------
    differences
        (..., n_classes) class values of the best less those of each method.
    n_methods
        How many methods the best was chosen from.
    runs
        As for :func:`compare_classes`.
    """
    not_worse = differences.mean(axis=-1) <= 0
    return np.asarray(not_worse | (t_test(differences, runs) * max(n_methods - 1, 1) > 1 - level))
