"""Class-level inference: the unit of analysis is the class, not the split.

Random class splits overlap, so tests and intervals over splits are wrong. With two truly equal methods on 51 classes, a
t-test over 50 splits declares a winner in 69 % of experiments. Here every figure of a method is spread over the classes
(:func:`class_values`), and the classes are the sample. ``docs/statistics.md`` holds the measurements by which the
interval was chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
_SIDES = {"S": ("seen", False), "U": ("unseen", False), "base": ("seen", True), "novel": ("unseen", True)}
COMBINED = {"H": ("S", "U"), "HM": ("base", "novel")}  # harmonic means -> their parts
FIGURES = ("top1_per_class", "top1", "top5", *COMBINED, *_SIDES)  # of which a class has its share
LEAST_CLASSES = 5  # with fewer the interval would cover less than it says


@dataclass(frozen=True)
class Estimate:
    """A mean over splits with its interval over classes.

    Attributes
    ----------
    mean
        Mean over the splits of the figure in each.
    low, high
        Interval over classes, see :func:`estimate`; NaN with fewer than :data:`LEAST_CLASSES` classes.
    split_std
        Standard deviation over splits (ddof=1), the field's usual +-; NaN for one split.
    n_splits, n_classes
        Splits, and classes that were tested in at least one of them.

    Examples
    --------
    >>> correct = np.array([[8.0, 5.0, 2.0, 6.0, 4.0]])
    >>> found = estimate(correct, np.full((1, 5), 10.0), "top1")
    >>> f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"
    '0.50 [0.25, 0.75]'
    """

    mean: float
    low: float
    high: float
    split_std: float
    n_splits: int
    n_classes: int


def estimate(
    correct: Float64Array,
    scored: Float64Array,
    figure: str,
    unseen: NDArray[np.bool_] | None = None,
    level: float = 0.95,
) -> Estimate:
    """Return a figure's mean over splits and its interval over classes.

    The interval is Student's on the logit scale, ``logit(mean) +- t * se / (mean * (1 - mean))``: accuracies of few
    classes are skewed, and end at 0 and 1. ``se`` is the jackknife's over classes. The degrees of freedom are the
    effective number of classes less one. That number is (sum w)^2 / sum w^2 (Kish, Survey Sampling, 1965), where ``w``
    is how much the figure moves with the accuracy of a class.

    Parameters
    ----------
    correct, scored, figure, unseen
        As :func:`class_values` takes them.
    level
        Coverage of the interval.

    Raises
    ------
    ValueError
        No split, a split without videos (of seen or of unseen classes, where the figure needs both), or there is no
        such figure.
    """
    figures, without, weights = _by_split(correct, scored, figure, unseen)
    used = weights > 0
    values, weights = _jackknife(figures, without, used)[used], weights[used]
    mean = float(figures.mean())
    low, high = _interval(mean, values, weights, level)
    return Estimate(
        mean=mean,
        low=low,
        high=high,
        split_std=float(figures.std(ddof=1)) if len(figures) > 1 else float("nan"),
        n_splits=len(figures),
        n_classes=len(values),
    )


def _interval(mean: float, values: Float64Array, weights: Float64Array, level: float) -> tuple[float, float]:
    from scipy.special import expit, logit, stdtrit

    if len(values) < LEAST_CLASSES:
        return float("nan"), float("nan")
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    tail = (1 - level) / 2
    if not 0 < mean < 1:
        # The logit is infinite, and no class shows how far others are from 0 or 1. If new classes fail with a
        # probability below this bound, all of these fail together in `tail` of the samples (Clopper and Pearson).
        far = 1 - tail ** (1 / effective)
        return (0.0, far) if mean <= 0 else (1 - far, 1.0)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    reach = -float(stdtrit(max(effective - 1, 1), tail)) * error / (mean * (1 - mean))
    return float(expit(logit(mean) - reach)), float(expit(logit(mean) + reach))


def class_values(
    correct: Float64Array, scored: Float64Array, figure: str, unseen: NDArray[np.bool_] | None = None
) -> Float64Array:
    """Return what each class adds to a figure of one method; their mean over classes is the figure.

    A class's value is the figure plus n - 1 times its fall without the class. This is the jackknife of Efron and
    Tibshirani (An Introduction to the Bootstrap, 1993, chapter 11).

    Parameters
    ----------
    correct, scored
        (n_splits, n_classes) videos right and scored; ``scored`` is 0 where a class was not tested in a split.
    figure
        A mean over splits. ``top1`` and ``top5``: each video counts once, and ``correct`` says which are right.
        ``top1_per_class``: each class of a split counts once. ``S`` and ``U``: the same over seen and over unseen
        classes. ``H``: their harmonic mean. ``base`` and ``novel``: accuracies over the videos of seen and of unseen
        classes. ``HM``: their harmonic mean.
    unseen
        (n_splits, n_classes) where a class was unseen; needed for ``S``, ``U``, ``H``, ``base``, ``novel`` and ``HM``.

    Returns
    -------
    ndarray
        (n_classes,) values; NaN for classes that were never tested.

    Raises
    ------
    ValueError
        As :func:`estimate`.

    Examples
    --------
    Of one split whose classes have as many videos, a class's value is its accuracy:

    >>> class_values(np.array([[8.0, 5.0, 2.0]]), np.full((1, 3), 10.0), "top1").round(6).tolist()
    [0.8, 0.5, 0.2]
    """
    figures, without, weights = _by_split(correct, scored, figure, unseen)
    return _jackknife(figures, without, weights > 0)


def _jackknife(figures: Float64Array, without: Float64Array, used: NDArray[np.bool_]) -> Float64Array:
    """Return the classes' values from the figures of all splits, with all classes and without each."""
    left = without.mean(axis=0)
    values: Float64Array = np.where(used, figures.mean() + (used.sum() - 1) * (left[used].mean() - left), np.nan)
    return values


def values_by_split(
    correct: Float64Array, scored: Float64Array, figure: str, unseen: NDArray[np.bool_] | None = None
) -> Float64Array:
    """Return :func:`class_values` of each split by itself, (n_splits, n_classes); NaN where a class was not tested."""
    return np.stack([
        class_values(correct[[i]], scored[[i]], figure, None if unseen is None else unseen[[i]])
        for i in range(len(correct))
    ])  # fmt: skip


def figure_by_split(
    correct: Float64Array, scored: Float64Array, figure: str, unseen: NDArray[np.bool_] | None = None
) -> Float64Array:
    """Return a figure of each split, (n_splits,); parameters and errors as for :func:`estimate`."""
    return _by_split(correct, scored, figure, unseen)[0]


def class_accuracy(correct: Float64Array, scored: Float64Array) -> Float64Array:
    """Return the accuracy on each class, averaged over the splits in which it was tested.

    Unlike :func:`class_values`, this says nothing about the other classes of a split; it is what tables and pictures
    of single classes show.

    Parameters
    ----------
    correct, scored
        (n_splits, n_classes) videos right and scored.

    Returns
    -------
    ndarray
        (n_classes,) accuracies; NaN for classes that were never tested.
    """
    tested = scored > 0
    accuracy = np.divide(correct, scored, out=np.zeros(scored.shape), where=tested)
    n = tested.sum(axis=0)
    mean: Float64Array = np.divide(accuracy.sum(axis=0), n, out=np.full(len(n), np.nan), where=n > 0)
    return mean


def _by_split(
    correct: Float64Array, scored: Float64Array, figure: str, unseen: NDArray[np.bool_] | None
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return (n_splits,) figures, (n_splits, n_classes) the same without each class, (n_classes,) mean gradients."""
    tested = scored > 0
    accuracy = np.divide(correct, scored, out=np.zeros(scored.shape), where=tested)
    if figure in ("top1", "top5"):
        return _ratio(accuracy * scored, scored.astype(float))
    if figure == "top1_per_class":
        return _ratio(accuracy, tested.astype(float))
    if figure not in FIGURES or unseen is None:
        raise ValueError(f"there are no class values of {figure!r}")

    def of_side(name: str) -> tuple[Float64Array, Float64Array, Float64Array]:
        side, per_video = _SIDES[name]
        weights = tested & (unseen if side == "unseen" else ~unseen)
        whole = np.where(weights, scored, 0.0) if per_video else weights.astype(float)
        return _ratio(accuracy * whole, whole)

    if figure in _SIDES:
        return of_side(figure)
    (s, s_without, s_weights), (u, u_without, u_weights) = map(of_side, COMBINED[figure])
    total = np.maximum(s + u, 1e-12)
    # dH/dS = 2 U^2 / (S + U)^2, and the same the other way round.
    weights = s_weights * np.mean(2 * (u / total) ** 2) + u_weights * np.mean(2 * (s / total) ** 2)
    return _harmonic(s, u), _harmonic(s_without, u_without), np.where(weights > 0, weights, s_weights + u_weights)


def _ratio(part: Float64Array, whole: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return sum(part) / sum(whole) of each split, the same without each class, and the mean share of each class.

    The only class of a split stays in it, since the figure of a split without classes is not defined.
    """
    above, below = part.sum(axis=1, keepdims=True), whole.sum(axis=1, keepdims=True)
    if len(below) == 0 or not (below > 0).all():
        raise ValueError("every split needs at least one scored video (of seen and of unseen classes in gzsl)")
    ratio = above / below
    rest = below - whole
    without = np.divide(above - part, rest, out=np.broadcast_to(ratio, part.shape).copy(), where=rest > 0)
    return ratio[:, 0], without, (whole / below).mean(axis=0)


def _harmonic(s: Float64Array, u: Float64Array) -> Float64Array:
    return np.divide(2 * s * u, s + u, out=np.zeros_like(s), where=s + u > 0)
