import numpy as np
import pytest
from scipy import linalg
from sklearn.metrics.pairwise import rbf_kernel

from zslbench_methods import _refinement
from zslbench_methods._refinement import solved

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 20))
LABELS = np.eye(7)[RNG.integers(7, size=300)]
KERNEL = rbf_kernel(X, gamma=1 / 40).astype(np.float32)
SMOOTHED = KERNEL + (0.3 * np.diag(RNG.uniform(0, 2, 300)) @ KERNEL).astype(np.float32)  # not symmetric


@pytest.fixture
def factorised(monkeypatch):
    """Return a list that gets the type of each factorisation."""
    types, original = [], _refinement._factors
    monkeypatch.setattr(
        _refinement, "_factors", lambda a, *more, **how: types.append(a.dtype) or original(a, *more, **how)
    )
    return types


def in_float64(matrix, shift):
    return linalg.solve(matrix.astype(np.float64) + shift * np.eye(len(matrix)), LABELS)


@pytest.mark.parametrize("shift", [1e-3, 1e-1, 10.0, 1e3])
@pytest.mark.parametrize(("matrix", "positive"), [(KERNEL, True), (KERNEL, False), (SMOOTHED, False)])
def test_float32_factors_give_the_solution_of_a_float64_solve(factorised, matrix, shift, positive):
    found = solved(matrix, shift, LABELS, positive=positive)
    # The condition number is size / shift at most; both solutions may lose that many digits of 16.
    size = np.linalg.norm(matrix, 2)
    np.testing.assert_allclose(found, in_float64(matrix, shift), atol=1e-14 * (1 + size / shift) * np.abs(found).max())
    assert factorised == [np.float32]


@pytest.mark.parametrize(
    ("shift", "types"),
    [(1e-2, "f"), (1e-5, "fd"), (1e-8, "fdd"), (1e-10, "fdd")],  # float32, float64, and LU where it is indefinite
)
def test_an_ill_conditioned_kernel_is_factorised_in_float64(factorised, shift, types):
    rng = np.random.default_rng(1)
    matrix = rbf_kernel(rng.normal(size=(200, 5)), gamma=1e-4).astype(np.float32)  # all rows are nearly equal
    right = rng.normal(size=(200, 3))
    found = solved(matrix, shift, right, positive=True)
    system = matrix.astype(np.float64) + shift * np.eye(200)
    size = np.linalg.norm(system, np.inf)
    backward = np.abs(right - system @ found).max() / (size * np.abs(found).max())
    assert backward < np.sqrt(200) * np.finfo(float).eps
    lost = 1e-15 * np.linalg.cond(system)  # both solutions are that far from the exact one
    np.testing.assert_allclose(found, np.linalg.solve(system, right), rtol=0, atol=lost * np.abs(found).max())
    assert "".join(each.char for each in factorised) == types


def test_refinement_that_does_not_gain_ends_in_float64(factorised, monkeypatch):
    original = _refinement._factors

    def poor(system, shift, **how):
        solve = original(system, shift, **how)
        return solve if system.dtype == np.float64 else lambda b: 0.5 * solve(b)

    monkeypatch.setattr(_refinement, "_factors", poor)
    np.testing.assert_allclose(solved(KERNEL, 1.0, LABELS, positive=True), in_float64(KERNEL, 1.0), atol=1e-12)
    assert factorised == [np.float32, np.float64]


def test_neither_the_matrix_nor_the_right_side_is_changed_and_memory_can_be_shared():
    matrix, right, work = KERNEL.copy(), LABELS.copy(), np.empty_like(KERNEL)
    first = solved(matrix, 1.0, right, positive=True, work=work)
    solved(matrix, 10.0, right, positive=False, work=work)
    np.testing.assert_array_equal(first, solved(KERNEL, 1.0, LABELS, positive=True))
    np.testing.assert_array_equal(matrix, KERNEL)
    np.testing.assert_array_equal(right, LABELS)


def test_of_no_right_side_that_differs_from_zero_the_solution_is_zero():
    assert not solved(KERNEL, 1.0, np.zeros((300, 2)), positive=True).any()
