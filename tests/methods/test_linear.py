"""Binary problems against scikit-learn's solvers and finite differences."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from zslbench_methods._linear import BinaryProblems

pytestmark = pytest.mark.versions

RNG = np.random.default_rng(2)
X = RNG.normal(size=(90, 5)) * [3, 1, 1, 0.3, 0.1] + 0.5
HIDDEN = X @ RNG.normal(size=(5, 4)) + RNG.normal(size=(90, 4))
LABELS = HIDDEN > [0, 1, 2, -2]


@pytest.mark.parametrize("strength", [1e-3, 1e-1])
def test_logistic_regressions_are_those_of_scikit_learn(strength):
    found = BinaryProblems(X).solve(LABELS, strength, "logistic")
    assert found.converged
    for j in range(4):
        model = LogisticRegression(C=1 / (strength * len(X)), tol=1e-10, max_iter=10_000).fit(X, LABELS[:, j])
        np.testing.assert_allclose(found.weights[j], model.coef_[0], atol=5e-3, rtol=5e-3)
        np.testing.assert_allclose(found.bias[j], model.intercept_[0], atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize("strength", [1e-3, 1e-1])
def test_squared_hinges_without_a_bias_are_those_of_liblinear(strength):
    found = BinaryProblems(X, bias=False).solve(np.where(LABELS, 1, -1), strength, "squared-hinge")
    assert found.converged
    np.testing.assert_array_equal(found.bias, 0)
    for j in range(4):
        # C sum max(0, 1 - t x w)^2 + |w|^2 / 2
        model = LinearSVC(C=1 / (strength * len(X)), dual=False, fit_intercept=False, tol=1e-10, max_iter=10_000)
        np.testing.assert_allclose(found.weights[j], model.fit(X, LABELS[:, j]).coef_[0], atol=1e-3, rtol=1e-3)


def test_a_target_between_zero_and_one_is_a_probability():
    """At the minimum of the cross-entropy no small step lowers it."""
    shares = 1 / (1 + np.exp(-HIDDEN))
    found = BinaryProblems(X).solve(shares, 1e-2, "logistic")

    def loss(j, weights, bias):
        p = 1 / (1 + np.exp(-X @ weights - bias))
        entropy = -(shares[:, j] * np.log(p) + (1 - shares[:, j]) * np.log1p(-p)).mean()
        return entropy + 1e-2 / 2 * weights @ weights

    for j in range(4):
        least = loss(j, found.weights[j], found.bias[j])
        for step in 1e-2 * np.eye(6):
            for sign in (-1, 1):
                assert loss(j, found.weights[j] + sign * step[:5], found.bias[j] + sign * step[5]) > least


def test_a_problem_is_solved_as_if_it_were_alone():
    problems = BinaryProblems(X)
    together = problems.solve(LABELS, 1e-3, "logistic")
    for j in range(4):
        alone = problems.solve(LABELS[:, [j]], 1e-3, "logistic")
        np.testing.assert_allclose(alone.weights[0], together.weights[j], atol=1e-12)


def test_too_few_iterations_are_told():
    assert not BinaryProblems(X).solve(LABELS, 1e-5, "logistic", max_iterations=3).converged


def test_no_problem_at_all_is_solved():
    assert BinaryProblems(X).solve(LABELS[:, :0], 1e-3, "logistic").weights.shape == (0, 5)
