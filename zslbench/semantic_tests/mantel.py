"""Spearman's correlation of two similarity matrices, averaged over rows, and a permutation test of it.

The rows of a similarity matrix are dependent: one class sits in every row. So neither the spread over rows nor the
usual p-value of Spearman's rho says how surely the mean differs from zero. Mantel's test does: it permutes the classes
of one matrix, rows and columns together. (Mantel. The detection of disease clustering and a generalized regression
approach. Cancer Research 27, 1967; here with the row-averaged rank correlation as its statistic.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LEAST_PAIRS = 3  # two ranks always correlate by 1 or -1
_ROUNDING = 1e-9  # a permutation that gives the same value counts as reaching it


@dataclass(frozen=True)
class RowCorrelation:
    """The correlation of two matrices.

    Attributes
    ----------
    rho
        Mean over rows of Spearman's rho; NaN where no row has one.
    rows
        (n,) rho of each row; NaN for a row with fewer than three defined pairs, or with equal values throughout.
    p
        Share of class permutations, the identity among them, whose ``rho`` is at least as large (one-sided).
    permutations
        How many were drawn.
    """

    rho: float
    rows: FloatArray
    p: float
    permutations: int

    @property
    def n_rows(self) -> int:
        """Rows that are averaged."""
        return int(np.isfinite(self.rows).sum())


def correlate_rows(
    reference: FloatArray, other: FloatArray, *, diagonal: bool = False, permutations: int = 999, seed: int = 0
) -> RowCorrelation:
    """Return the row-averaged Spearman correlation of two matrices and the p-value of Mantel's test.

    Parameters
    ----------
    reference
        (n, n); pairs that are NaN here are left out of both rows, in every permutation too.
    other
        (n, n), finite; its classes are permuted.
    diagonal
        Whether a class's similarity with itself counts.
    permutations
        How many to draw; with 0, ``p`` is NaN.
    seed
        Of the permutations.

    Raises
    ------
    ValueError
        The matrices differ in shape, or ``other`` has values that are not finite.
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
    p = (1 + reached) / (1 + permutations) if permutations and np.isfinite(rho) else float("nan")
    return RowCorrelation(rho, rows, p, permutations)


_Rows = Callable[[NDArray[np.intp]], FloatArray]


def _by_counting(weights: FloatArray, counted: BoolArray, other: FloatArray) -> _Rows:
    """Return rho of each row under a permutation, where a row's ranks depend on which of its pairs count.

    With a row's classes in ascending order once and for all, the rank of one of them among those that count is the
    number of those up to it: a running sum instead of a sort.
    """
    n = len(other)
    ascending = np.argsort(other, axis=1, kind="stable")
    first, last = _runs(np.take_along_axis(other, ascending, axis=1))
    tied = bool((first != last).any())
    row = np.arange(n)[:, None]
    m = counted.sum(axis=1)
    untied_squares = m * (m**2 - 1) / 12

    def rows_of(order: NDArray[np.intp]) -> FloatArray:
        # Row i of the permuted matrix is row order[i] of `other`; class c of it now stands in column `column[c]`.
        column = np.empty(n, dtype=np.intp)
        column[order] = np.arange(n)
        places = column[ascending[order]] + n * row
        here = counted.take(places)
        ranks: NDArray[Any] = np.cumsum(here, axis=1, dtype=np.int32)
        squares = untied_squares
        if tied:
            up_to = np.pad(ranks, ((0, 0), (1, 0)))
            ranks = (up_to[row, first[order]] + up_to[row, last[order] + 1] + 1) / 2
            squares = np.einsum("ij,ij,ij->i", here, ranks, ranks) - m * ((m + 1) / 2) ** 2
        found = np.full(n, np.nan)
        np.divide(
            np.einsum("ij,ij->i", weights.take(places), ranks), np.sqrt(squares), out=found, where=squares > _ROUNDING
        )
        return found

    return rows_of


def _runs(values: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of the first and the last value of each run of equal ones, in rows that ascend."""
    n = values.shape[1]
    starts = np.ones(values.shape, dtype=bool)
    starts[:, 1:] = values[:, 1:] != values[:, :-1]
    ends = np.roll(starts, -1, axis=1)
    ends[:, -1] = True
    place = np.arange(n)
    first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, place, n - 1)[:, ::-1], axis=1)[:, ::-1]
    return first, last


def _unit_ranks(matrix: FloatArray, counted: BoolArray) -> FloatArray:
    """Return each row's average ranks among the pairs that count, centred, of unit length; NaN rows if constant.

    The product of two such rows is Spearman's rho; pairs that do not count are 0.
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.where(counted, matrix, np.nan), axis=1, nan_policy="omit")
    ranks -= (counted.sum(axis=1, keepdims=True) + 1) / 2
    ranks[~counted] = 0
    length = np.sqrt(np.einsum("ij,ij->i", ranks, ranks))[:, None]
    unit: FloatArray = np.divide(ranks, length, out=np.full(ranks.shape, np.nan), where=length > _ROUNDING)
    return unit


def _mean(rows: NDArray[Any]) -> float:
    defined = rows[np.isfinite(rows)]
    return float(defined.mean()) if len(defined) else float("nan")
