"""SAE against scipy's Sylvester solver and its loss."""

import numpy as np
import pytest
from loops import numeric_gradient
from scipy.linalg import solve_sylvester

from zslbench.kernels import normalised
from zslbench.method import Report
from zslbench.testing import linear_world
from zslbench_methods.sae import _STRENGTHS, SAE


def fitted(seen, classes, report=None, **params):
    method = SAE(params)
    method.fit(seen, classes, None, report or Report())
    return method, method.state()["weights"]


def matrices(seen, classes):
    """Return X, (D, l), and S, (d, l), of unit columns."""
    return normalised(seen.pooled()).astype(float).T, normalised(classes.vectors)[seen.labels].astype(float).T


@pytest.mark.parametrize("lambda_", [0.05, 1.0, 30.0])
def test_the_weights_are_those_of_scipys_sylvester_solver(lambda_):
    seen, classes, *_ = linear_world(12)
    _, weights = fitted(seen, classes, lambda_=lambda_)
    x, s = matrices(seen, classes)
    expected = solve_sylvester(s @ s.T, lambda_ * x @ x.T, (1 + lambda_) * s @ x.T)
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-5)


def test_the_loss_is_flat_at_the_solution():
    seen, classes, *_ = linear_world(12)
    _, weights = fitted(seen, classes, lambda_=0.7)
    x, s = matrices(seen, classes)

    def loss(w):
        return ((x - w.T @ s) ** 2).sum() + 0.7 * ((w @ x - s) ** 2).sum()

    scale = abs(loss(weights + 1e-4) - loss(weights + 2e-4)) / 1e-4  # the slope a little off the minimum
    assert np.abs(numeric_gradient(loss, weights, 1e-4)).max() < 0.05 * scale  # and the loss is convex


@pytest.mark.parametrize(
    "shape",
    [{"n_classes": 6, "d": 9}, {"per_class": 1, "dim": 30}, {"n_classes": 6, "d": 9, "per_class": 2, "dim": 14}],
)
def test_a_singular_equation_gets_its_solution_of_least_norm(shape):
    seen, classes, *_ = linear_world(**{"n_classes": 12, "per_class": 6} | shape)
    _, weights = fitted(seen, classes, lambda_=0.5)
    x, s = matrices(seen, classes)
    a, b, c = s @ s.T, 0.5 * x @ x.T, 1.5 * s @ x.T
    np.testing.assert_allclose(a @ weights + weights @ b, c, atol=1e-5)
    # The same equation as one linear system: (I (x) A + B^T (x) I) vec(W) = vec(C).
    system = np.kron(np.eye(len(b)), a) + np.kron(b.T, np.eye(len(a)))
    least = np.linalg.lstsq(system, c.ravel(order="F"), rcond=1e-6)[0].reshape(c.shape, order="F")
    np.testing.assert_allclose(weights, least, atol=1e-4)


def test_each_direction_is_the_cosine_in_its_own_space():
    seen, classes, test, unseen, *_ = linear_world(12)
    x, s = test.pooled(), unseen.vectors
    encode, weights = fitted(seen, classes, lambda_=2.0, direction="encode")
    decode, _ = fitted(seen, classes, lambda_=2.0, direction="decode")

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    np.testing.assert_allclose(encode.score(test, unseen), [[cosine(weights @ a, b) for b in s] for a in x], atol=1e-5)
    np.testing.assert_allclose(
        decode.score(test, unseen), [[cosine(a, weights.T @ b) for b in s] for a in x], atol=1e-5
    )


@pytest.mark.parametrize("direction", ["encode", "decode", None])
def test_it_learns_classes_it_has_never_seen(direction):
    seen, classes, test, unseen, labels, _ = linear_world(12)
    report = Report()
    method, _ = fitted(seen, classes, report, direction=direction)
    assert (method.score(test, unseen).argmax(axis=1) == labels).mean() > 0.7  # chance 0.25
    assert report.notes["lambda_"] in _STRENGTHS
    assert 0.3 < report.notes["held_out_top1_per_class"] <= 1  # chance 0.25, of four held-out classes


@pytest.mark.parametrize("seed", range(4))
def test_the_direction_is_the_better_one_on_held_out_seen_classes(seed):
    seen, classes, test, unseen, *_ = linear_world(12, noise=1.0, seed=seed)
    report, accuracy = Report(), {}
    free, _ = fitted(seen, classes, report)
    for direction in ("encode", "decode"):
        alone = Report()
        method, _ = fitted(seen, classes, alone, direction=direction)
        accuracy[direction] = alone.notes["held_out_top1_per_class"]
        if direction == report.notes["direction"]:
            np.testing.assert_array_equal(free.score(test, unseen), method.score(test, unseen))
    assert accuracy[report.notes["direction"]] == max(accuracy.values()) == report.notes["held_out_top1_per_class"]


def test_a_restored_method_keeps_its_direction():
    seen, classes, test, unseen, *_ = linear_world(12)
    for direction in ("encode", "decode"):
        method, _ = fitted(seen, classes, direction=direction, lambda_=1.0)
        again = SAE()
        again.restore(method.state())
        np.testing.assert_array_equal(again.score(test, unseen), method.score(test, unseen))
