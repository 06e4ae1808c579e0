"""Spearman's correlation of two similarity matrices, averaged over rows, with an interval and a permutation test.

The rows of a similarity matrix are dependent: each class is part of every row. So neither the spread over rows nor the
usual p-value of Spearman's rho shows whether the mean differs from zero. Mantel's test does: it permutes the classes of
one matrix, rows and columns together. (Mantel. The detection of disease clustering and a generalized regression
approach. Cancer Research 27, 1967; the statistic here is the row-averaged rank correlation.) For the same reason the
interval is a jackknife over classes, which leaves out each class in turn, with its row and its column. (Efron, Stein.
The jackknife estimate of variance. Annals of Statistics 9, 1981.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.stats.intervals import Float64Array

BoolArray = NDArray[np.bool_]

LEAST_PAIRS = 3  # the correlation of two ranks is always 1 or -1
_ROUNDING = 1e-9  # a permutation with the same rho up to rounding counts as "at least as large"


@dataclass(frozen=True)
class RowCorrelation:
    """The correlation of two matrices.

    Attributes
    ----------
    rho
        Mean over rows of Spearman's rho; NaN if no row has one.
    rows
        (n,) rho of each row; NaN for a row with fewer than three defined pairs, or with equal values throughout.
    p
        Share of class permutations, including the identity, whose ``rho`` is at least as large (one-sided).
    permutations
        Number of drawn permutations.
    low, high
        95 % jackknife interval of ``rho`` over classes; NaN if a matrix without one class has no ``rho``.
    """

    rho: float
    rows: Float64Array
    p: float
    permutations: int
    low: float = float("nan")
    high: float = float("nan")

    @property
    def n_rows(self) -> int:
        """Number of averaged rows."""
        return int(np.isfinite(self.rows).sum())


def correlate_rows(
    reference: Float64Array, other: Float64Array, *, diagonal: bool = False, permutations: int = 999, seed: int = 0
) -> RowCorrelation:
    """Return the row-averaged Spearman correlation of two matrices, its interval, and the p-value of Mantel's test.

    Parameters
    ----------
    reference
        (n, n); pairs that are NaN here are left out of the rows of both matrices, also in every permutation.
    other
        (n, n), finite; its classes are permuted.
    diagonal
        Whether a class's similarity with itself counts.
    permutations
        Number of permutations; with 0, ``p`` is NaN.
    seed
        Seed of the permutations.

    Raises
    ------
    ValueError
        The matrices have different shapes, or ``other`` has values that are not finite.
    """
    if reference.shape != other.shape or reference.shape != (len(reference), len(reference)):
        raise ValueError(f"two square matrices of one size are needed, not {reference.shape} and {other.shape}")
    if not np.isfinite(other).all():
        raise ValueError("the second matrix has values that are not finite")
    n = len(reference)
    counted = np.isfinite(reference) & (diagonal | ~np.eye(n, dtype=bool))
    weights = _unit_ranks(reference, counted)
    weights[counted.sum(axis=1) < LEAST_PAIRS] = np.nan
    rows_of = _by_counting(weights, counted, other)
    rows = rows_of(np.arange(n))
    rho = _mean(rows)
    rng = np.random.default_rng(seed)
    reached = sum(_mean(rows_of(rng.permutation(n))) >= rho - _ROUNDING for _ in range(permutations))
    # The identity is one of the permutations, so p is never 0.
    p = (1 + reached) / (1 + permutations) if permutations and np.isfinite(rho) else float("nan")
    return RowCorrelation(rho, rows, p, permutations, *_interval(rho, without_each(reference, other, counted)))


def without_each(reference: Float64Array, other: Float64Array, counted: BoolArray) -> Float64Array:
    """Return (n,) the mean correlation of the matrices without each class in turn; NaN if no row has one.

    If a class is left out, ranks above its rank fall by one, and equal ranks by one half. So nothing is sorted again.

    Parameters
    ----------
    counted
        (n, n) bool, the pairs that count.
    """
    n, found = len(reference), []
    ranks = [_ranks(matrix, counted).astype(np.float32) for matrix in (reference, other)]
    # float32 is exact for ranks and their halves, and half as large. m: pairs of each row that are left.
    m = (counted.sum(axis=1, keepdims=True) - counted).astype(np.float32)
    for gone in range(n):
        left = counted.copy()
        left[:, gone] = False
        # A rank r above that of the gone class becomes r - 1, an equal one r - 1/2, a lower one stays: in each case
        # r - 1/2 - sign/2. Without their mean (m + 1) / 2, ranks need no further centring.
        half, mean = counted[:, gone, None] * np.float32(0.5), (m[:, gone, None] + 1) / 2
        parts = [left * (r - half * np.sign(r - r[:, gone, None]) - (half + mean)) for r in ranks]
        product, *squares = (np.einsum("ij,ij->i", x, y) for x, y in (parts, parts[:1] * 2, parts[1:] * 2))
        defined = (m[:, gone] >= LEAST_PAIRS) & (squares[0] > _ROUNDING) & (squares[1] > _ROUNDING)
        defined[gone] = False
        found.append(_mean(product[defined] / np.sqrt(squares[0] * squares[1])[defined]))
    return np.array(found)


def _interval(rho: float, without: Float64Array) -> tuple[float, float]:
    """Return the 95 % jackknife interval of a figure, from its values without each class."""
    from scipy.stats import t

    n = len(without)
    error = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    half = t.ppf(0.975, n - 1) * error
    return max(rho - half, -1.0), min(rho + half, 1.0)  # a correlation cannot be outside -1 to 1


_Rows = Callable[[NDArray[np.intp]], Float64Array]


def _by_counting(weights: Float64Array, counted: BoolArray, other: Float64Array) -> _Rows:
    """Return a function that computes rho of each row under a permutation.

    The ranks in a row depend on which of its pairs count. Each row's classes are sorted only once. The rank of a class
    is then the number of counted classes up to it: a running sum instead of a sort per permutation.
    """
    from scipy.stats import rankdata

    n = len(other)
    ascending = np.argsort(other, axis=1, kind="stable")  # stable: runs of equal values keep one order
    ordered = np.take_along_axis(other, ascending, axis=1)
    first, last = (rankdata(ordered, how, axis=1).astype(np.intp) - 1 for how in ("min", "max"))
    tied = bool((first != last).any())
    row = np.arange(n)[:, None]
    m = counted.sum(axis=1)
    untied_squares = m * (m**2 - 1) / 12  # sum of squared deviations of the ranks 1 to m

    def rows_of(order: NDArray[np.intp]) -> Float64Array:
        # Row i of the permuted matrix is row order[i] of `other`; its class c is now in column `column[c]`.
        column = np.empty(n, dtype=np.intp)
        column[order] = np.arange(n)
        places = column[ascending[order]] + n * row
        here = counted.take(places)
        ranks: NDArray[Any] = np.cumsum(here, axis=1, dtype=np.int32)
        squares = untied_squares
        if tied:
            # Equal values share the mean of the first and the last rank of their run.
            up_to = np.pad(ranks, ((0, 0), (1, 0)))
            ranks = (up_to[row, first[order]] + up_to[row, last[order] + 1] + 1) / 2
            squares = np.einsum("ij,ij,ij->i", here, ranks, ranks) - m * ((m + 1) / 2) ** 2
        found = np.full(n, np.nan)
        np.divide(
            np.einsum("ij,ij->i", weights.take(places), ranks), np.sqrt(squares), out=found, where=squares > _ROUNDING
        )
        return found

    return rows_of


def _unit_ranks(matrix: Float64Array, counted: BoolArray) -> Float64Array:
    """Return each row's average ranks among the pairs that count, centred and of unit length; NaN for constant rows.

    The scalar product of two such rows is Spearman's rho. Pairs that do not count are 0.
    """
    ranks = _ranks(matrix, counted)
    ranks -= (counted.sum(axis=1, keepdims=True) + 1) / 2
    ranks[~counted] = 0
    length = np.sqrt(np.einsum("ij,ij->i", ranks, ranks))[:, None]
    unit: Float64Array = np.divide(ranks, length, out=np.full(ranks.shape, np.nan), where=length > _ROUNDING)
    return unit


def _ranks(matrix: Float64Array, counted: BoolArray) -> Float64Array:
    """Return each row's average ranks among the pairs that count; 0 elsewhere."""
    from scipy.stats import rankdata

    return np.nan_to_num(rankdata(np.where(counted, matrix, np.nan), axis=1, nan_policy="omit"))


def _mean(rows: NDArray[Any]) -> float:
    defined = rows[np.isfinite(rows)]
    return float(defined.mean()) if len(defined) else float("nan")
