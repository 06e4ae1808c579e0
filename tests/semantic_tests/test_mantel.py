"""The row-averaged Spearman correlation and Mantel's test, against scipy and a plain loop."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from zslbench.semantic_tests._mantel import correlate_rows

pytestmark = pytest.mark.versions


def loop(reference, other, diagonal):
    """scipy's Spearman of each row over the pairs that count; ``None`` where it is undefined."""
    found = []
    for i in range(len(reference)):
        counted = [j for j in range(len(reference)) if np.isfinite(reference[i, j]) and (diagonal or i != j)]
        a, b = reference[i, counted], other[i, counted]
        defined = len(counted) >= 3 and len(set(a)) > 1 and len(set(b)) > 1
        found.append(spearmanr(a, b).statistic if defined else None)
    return found


def mean(values):
    values = [value for value in values if value is not None]
    return np.mean(values) if values else np.nan


def matrices(seed, n, *, undefined, levels):
    """Two random matrices, with ties where there are few levels."""
    rng = np.random.default_rng(seed)
    reference = rng.integers(levels, size=(n, n)) / levels
    reference[rng.random((n, n)) < undefined] = np.nan
    return reference, rng.integers(levels, size=(n, n)) / 7


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 9), st.sampled_from([0, 0.3]), st.sampled_from([2, 4, 10**6]),
       st.booleans())  # fmt: skip
def test_rho_is_scipys_row_by_row(seed, n, undefined, levels, diagonal):
    reference, other = matrices(seed, n, undefined=undefined, levels=levels)
    found = correlate_rows(reference, other, diagonal=diagonal, permutations=0)
    expected = loop(reference, other, diagonal)
    np.testing.assert_allclose(found.rows, np.array(expected, dtype=float), atol=1e-12)
    np.testing.assert_allclose(found.rho, mean(expected), atol=1e-12)
    assert found.n_rows == sum(value is not None for value in expected)
    assert np.isnan(found.p)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("undefined", [0, 0.2])
@pytest.mark.parametrize("levels", [3, 10**6])
def test_p_counts_the_permutations_of_classes_that_reach_rho(diagonal, undefined, levels):
    reference, other = matrices(1, 12, undefined=undefined, levels=levels)
    found = correlate_rows(reference, other, diagonal=diagonal, permutations=40, seed=5)
    rng = np.random.default_rng(5)
    orders = [rng.permutation(12) for _ in range(40)]
    drawn = [mean(loop(reference, other[np.ix_(order, order)], diagonal)) for order in orders]
    reached = sum(value >= found.rho - 1e-9 for value in drawn)
    assert found.p == (1 + reached) / 41


def test_p_is_near_the_exact_one_over_all_permutations():
    rng = np.random.default_rng(3)
    reference = rng.random((5, 5))
    other = reference + 0.6 * rng.random((5, 5))
    rho = mean(loop(reference, other, False))
    every = [mean(loop(reference, other[np.ix_(p, p)], False)) for p in itertools.permutations(range(5))]
    exact = np.mean(np.array(every) >= rho - 1e-9)
    assert correlate_rows(reference, other, permutations=4000).p == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("undefined", "levels"), [(0, 10**6), (0.2, 3), (0.6, 10**6)])
def test_the_interval_is_the_jackknife_over_classes(diagonal, undefined, levels):
    reference, other = matrices(4, 12, undefined=undefined, levels=levels)
    found = correlate_rows(reference, other, diagonal=diagonal, permutations=0)
    keeps = [np.delete(np.arange(12), i) for i in range(12)]
    without = np.array([mean(loop(reference[np.ix_(k, k)], other[np.ix_(k, k)], diagonal)) for k in keeps])
    error = np.sqrt(11 / 12 * ((without - without.mean()) ** 2).sum())
    half = 2.200985 * error  # Student's t of 11 degrees of freedom
    np.testing.assert_allclose([found.low, found.high], [found.rho - half, found.rho + half], atol=1e-5)


def test_the_interval_covers_the_mean_over_draws_of_the_classes():
    rng = np.random.default_rng(0)

    def cosines(vectors):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit @ unit.T

    found = []
    for _ in range(200):
        vectors = rng.standard_normal((30, 4))
        noisy = vectors + 1.5 * rng.standard_normal((30, 4))
        found.append(correlate_rows(cosines(vectors).round(1), cosines(noisy), permutations=0))
    truth = np.mean([each.rho for each in found])
    covered = np.mean([each.low <= truth <= each.high for each in found])
    assert 0.9 <= covered <= 0.99
    assert np.mean([each.high - each.low for each in found]) < 6 * np.std([each.rho for each in found])


def test_equal_matrices_correlate_fully_and_unrelated_ones_are_rarely_significant():
    rng = np.random.default_rng(0)
    reference = rng.random((20, 20))
    same = correlate_rows(reference, reference)
    assert same.rho == pytest.approx(1)
    assert same.p == 1 / 1000
    ps = [correlate_rows(reference, rng.random((20, 20)), permutations=99).p for _ in range(200)]
    assert np.mean(np.array(ps) <= 0.1) == pytest.approx(0.1, abs=0.06)  # 2.8 standard errors


def test_the_diagonal_alone_raises_rho():
    rng = np.random.default_rng(0)
    reference, other = rng.random((2, 30, 30))
    np.fill_diagonal(reference, 1)
    np.fill_diagonal(other, 1)
    with_it, without = (correlate_rows(reference, other, diagonal=d, permutations=0).rho for d in (True, False))
    assert with_it > without + 0.05


def test_rows_of_fewer_than_three_pairs_and_constant_rows_are_left_out():
    reference = np.array([[1, 0.1, 0.2, 0.3], [0.1, 1, np.nan, 0.4], [0.5, 0.5, 1, 0.5], [0.3, 0.2, 0.1, 1]])
    other = np.array([[1, 0.1, 0.2, 0.3], [0.2, 1, 0.3, 0.1], [0.3, 0.2, 1, 0.1], [0.1, 0.2, 0.3, 1]])
    found = correlate_rows(reference, other)
    np.testing.assert_allclose(found.rows, [1, np.nan, np.nan, -1])
    assert (found.n_rows, found.rho) == (2, 0)


def test_no_row_gives_no_rho_and_no_p():
    found = correlate_rows(np.eye(3), np.eye(3))
    assert np.isnan([found.rho, found.p, found.low, found.high]).all()
    assert found.n_rows == 0


def test_the_seed_fixes_p():
    reference, other = matrices(2, 15, undefined=0.1, levels=50)
    first, again, another = (correlate_rows(reference, other, seed=seed).p for seed in (1, 1, 2))
    assert first == again != another


@pytest.mark.parametrize(("other", "sentence"), [(np.eye(4), "one size"), (np.full((3, 3), np.nan), "not finite")])
def test_matrices_that_cannot_be_compared_are_refused(other, sentence):
    with pytest.raises(ValueError, match=sentence):
        correlate_rows(np.eye(3), other)
