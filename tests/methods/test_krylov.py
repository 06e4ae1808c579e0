import numpy as np
import pytest
from scipy import linalg
from sklearn.metrics.pairwise import rbf_kernel

from zslbench.method import Report
from zslbench.testing import tiny_task
from zslbench_methods import pooled_krr
from zslbench_methods._krylov import solved_at_once

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 20))
LABELS = np.eye(7)[RNG.integers(7, size=600)]
KERNEL = rbf_kernel(X, gamma=1 / 40).astype(np.float32)
SMOOTHED = KERNEL + (0.3 * np.diag(RNG.uniform(0, 2, 600)) @ KERNEL).astype(np.float32)  # not symmetric
SHIFTS = (600.0, 3.0, 60.0, 6.0)


def in_float64(matrix, shift, right):
    return linalg.solve(matrix.astype(np.float64) + shift * np.eye(len(matrix)), right)


@pytest.mark.parametrize("matrix", [KERNEL, SMOOTHED])
def test_every_shift_gets_the_solution_of_its_own_solve(matrix):
    for shift, found in zip(SHIFTS, solved_at_once(matrix, SHIFTS, LABELS), strict=True):
        expected = in_float64(matrix, shift, LABELS)
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_a_class_without_videos_gets_zeros_and_equal_columns_equal_solutions():
    right = np.column_stack([LABELS, np.zeros(600), LABELS[:, 0]])
    for shift, found in zip(SHIFTS, solved_at_once(KERNEL, SHIFTS, right), strict=True):
        expected = in_float64(KERNEL, shift, right)
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_a_space_that_holds_the_solution_ends_early():
    matrix = np.diag(np.repeat([1.0, 2.0], 300)).astype(np.float32)  # each class's labels lie in two eigenspaces
    (found,) = solved_at_once(matrix, [1.0], LABELS)
    np.testing.assert_allclose(found, LABELS / (matrix.diagonal() + 1)[:, None], atol=1e-6)


def test_what_does_not_converge_is_left_to_factors_and_the_others_are_kept():
    values = np.logspace(-6, 3, 600).astype(np.float32)
    greatest, least = solved_at_once(np.diag(values), [1e4, 1e-7], LABELS)
    np.testing.assert_allclose(greatest, LABELS / (values + 1e4)[:, None], atol=1e-6)
    assert least is None


@pytest.mark.parametrize("joined", [False, True])
def test_pooled_krr_finds_the_same_for_strengths_at_once_as_for_each(monkeypatch, joined):
    task, method = tiny_task(), pooled_krr.PooledKRR({"neighbours": 3})
    method.fit(task.train, task.seen_classes, None, Report())
    videos = task.train.unlabelled().join(task.test) if joined else task.train.unlabelled()
    grid = [(strength, smoothness) for strength in (1e-2, 1e-1, 1.0) for smoothness in (0.0, 0.3)]
    given = (task.train, videos, len(task.seen_classes), grid)
    one_by_one = list(method._solutions(*given))
    monkeypatch.setattr(pooled_krr, "pays", lambda *_: True)
    monkeypatch.setattr(pooled_krr, "solved", lambda *_, **__: pytest.fail("solved by factors"))
    for found, expected in zip(method._solutions(*given), one_by_one, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
