"""SYNC against the joint problem of its phantom classes, solved directly."""

import numpy as np
import pytest
from attribute_world import fitted, world
from scipy.optimize import minimize

from zslbench.method import Report, SeenVideos
from zslbench_methods.sync import _STRENGTHS, SCALES, SYNC, Phantoms


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def kernel(a, b, factor):
    """Return s_cr by the formula, one pair at a time."""
    s = np.array([[np.exp(-factor * sum((x - y) ** 2 for x, y in zip(p, q, strict=True))) for q in b] for p in a])
    return s / s.sum(axis=1, keepdims=True)


def squared_median(vectors):
    return np.median([((a - b) ** 2).sum() for i, a in enumerate(vectors) for b in vectors[:i]])


def small_world():
    seen, classes, test, unseen, labels = world(n_seen=6, n_unseen=3, n_attributes=5, dim=4, per_class=5)
    return seen, classes, test, unseen, labels


def test_synthesized_classifiers_are_those_of_the_joint_problem_in_the_phantoms():
    """min over V of the squared hinges of W = S V, plus strength / 2 |W|^2; then w_u = s_u V."""
    seen, classes, test, unseen, _ = small_world()
    strength, scale = 1e-2, 2.0
    method = fitted(SYNC, seen, classes, strength=strength, scale=scale)
    x, a, b = unit(seen.pooled().astype(float)), unit(unseen.vectors + 0.0), unit(classes.vectors + 0.0)
    factor = scale / squared_median(b)
    own, signs = kernel(b, b, factor), np.where(seen.labels[:, None] == np.arange(6), 1, -1)

    def loss(flat):
        w = own @ flat.reshape(6, 4)
        gap = np.maximum(1 - signs * (x @ w.T), 0)
        slope = (-2 * signs * gap).T @ x / len(x) + strength * w
        return (gap**2).sum() / len(x) + strength / 2 * (w**2).sum(), (own.T @ slope).ravel()

    found = minimize(loss, np.random.default_rng(0).normal(size=24), jac=True, options={"gtol": 1e-9, "maxiter": 5000})
    expected = unit(test.pooled().astype(float)) @ (kernel(a, b, factor) @ found.x.reshape(6, 4)).T
    np.testing.assert_allclose(method.score(test, unseen), expected, atol=2e-3)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_seen_classes_get_their_own_classifiers_back(scale):
    rng = np.random.default_rng(1)
    vectors, weights = rng.normal(size=(7, 4)), rng.normal(size=(7, 5))
    np.testing.assert_allclose(Phantoms.of(vectors, weights, scale).synthesize(vectors), weights, atol=1e-6)


def test_a_narrow_kernel_takes_the_nearest_seen_classs_classifier():
    rng = np.random.default_rng(1)
    vectors, weights = rng.normal(size=(7, 4)), rng.normal(size=(7, 5))
    near = vectors[[3, 0]] + 0.01
    np.testing.assert_allclose(Phantoms.of(vectors, weights, 1000.0).synthesize(near), weights[[3, 0]], atol=1e-3)


def test_it_learns_classes_it_has_never_seen():
    seen, classes, test, unseen, labels = world()
    report = Report()
    scores = fitted(SYNC, seen, classes, report).score(test, unseen)
    assert (scores.argmax(axis=1) == labels).mean() > 0.7  # chance 0.25
    assert report.notes["strength"] in _STRENGTHS
    assert report.notes["scale"] in SCALES
    assert 0.3 < report.notes["held_out_top1_per_class"] <= 1  # chance 0.125, of eight held-out classes


def test_seen_classes_without_videos_are_left_out():
    seen, classes, test, unseen, _ = world()
    some = seen.take(seen.labels != 4)
    without = classes.take(np.flatnonzero(np.arange(24) != 4))
    relabelled = SeenVideos.from_arrays(some.pooled(), labels=some.labels - (some.labels > 4))
    how = {"strength": 1e-2, "scale": 1.0}
    expected = fitted(SYNC, relabelled, without, **how).score(test, unseen)
    np.testing.assert_allclose(fitted(SYNC, some, classes, **how).score(test, unseen), expected, atol=1e-5)


def test_too_few_iterations_are_told():
    seen, classes, *_ = world()
    report = Report()
    fitted(SYNC, seen, classes, report, strength=1e-6, scale=1.0, max_iterations=2)
    assert report.warnings == ["some classifiers had not converged after 2 iterations."]
