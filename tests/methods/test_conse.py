"""ConSE on hand-computed cases and its classifier's optimality."""

import numpy as np
import pytest

from zslbench.kernels import normalised
from zslbench.method import Report, SeenVideos
from zslbench.testing import linear_world
from zslbench_methods.conse import ConSE, combine

POSTERIORS = np.array([[0.5, 0.3, 0.2], [0.1, 0.45, 0.45]])
VECTORS = np.array([[1.0, 0], [0, 1], [-1, 0]])


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (1, [[1, 0], [-0.5, 0.5]]),  # the second video's best two are tied: both are kept
        (2, [[0.625, 0.375], [-0.5, 0.5]]),
        (3, [[0.3, 0.3], [-0.35, 0.45]]),
        (30, [[0.3, 0.3], [-0.35, 0.45]]),
    ],
)
def test_the_best_guesses_are_averaged_by_their_posteriors(top, expected):
    np.testing.assert_allclose(combine(POSTERIORS, VECTORS, top), expected, atol=1e-12)


def world(n_classes=12):
    return linear_world(n_classes, d=4, dim=9, lengths=(1, 1))


def fitted(seen, classes, report=None, **params):
    method = ConSE(params)
    method.fit(seen, classes, None, report or Report())
    return method


def test_scores_follow_from_the_classifier_by_the_papers_formula():
    seen, classes, test, unseen, *_ = world()
    method = fitted(seen, classes, top=3, strength=1e-3)
    state = method.state()
    expected = np.zeros((len(test), len(unseen)))
    for i, x in enumerate(test.pooled().astype(float)):
        logits = state["weights"] @ (x / np.linalg.norm(x)) + state["bias"]
        p = np.exp(logits) / np.exp(logits).sum()
        best = np.argsort(-p)[:3]
        unit = [classes.vectors[t] / np.linalg.norm(classes.vectors[t]) for t in best]
        f = sum(p[t] * s for t, s in zip(best, unit, strict=True)) / p[best].sum()
        expected[i] = [f @ s / np.linalg.norm(f) / np.linalg.norm(s) for s in unseen.vectors]
    np.testing.assert_allclose(method.score(test, unseen), expected, atol=1e-6)


def test_the_classifier_is_at_the_minimum_of_the_declared_loss():
    seen, classes, *_ = world()
    state = fitted(seen, classes, top=3, strength=1e-2).state()
    x, y = normalised(seen.pooled()).astype(float), np.eye(12)[seen.labels]
    logits = x @ state["weights"].T + state["bias"]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gradient = (p - y).T @ x / len(x) + 1e-2 * state["weights"]
    assert abs(gradient).max() < 5e-4  # 0.06 where the optimiser starts
    assert abs((p - y).mean(axis=0)).max() < 5e-4


@pytest.mark.parametrize("n_classes", [1, 2])
def test_one_or_two_seen_classes_are_enough(n_classes):
    seen, classes, test, *_ = world(n_classes)
    embedded = fitted(seen, classes, top=5).embed(test)
    unit = normalised(classes.vectors)
    if n_classes == 1:
        np.testing.assert_allclose(embedded, np.repeat(unit, len(test), axis=0), atol=1e-6)
    else:  # between the two, nearer to the first where the video is
        share = np.linalg.lstsq(unit.T, embedded.T, rcond=None)[0]
        np.testing.assert_allclose(share.sum(axis=0), 1, atol=1e-5)
        own = fitted(seen, classes, top=5).score(seen.unlabelled(), classes)
        assert (own.argmax(axis=1) == seen.labels).mean() > 0.9


def test_seen_classes_without_videos_are_left_out():
    seen, classes, test, unseen, *_ = world()
    some = seen.take(seen.labels != 4)
    without = classes.take(np.flatnonzero(np.arange(12) != 4))
    relabelled = SeenVideos.from_arrays(some.pooled(), labels=some.labels - (some.labels > 4))
    how = {"top": 3, "strength": 1e-3}
    np.testing.assert_allclose(
        fitted(some, classes, **how).score(test, unseen), fitted(relabelled, without, **how).score(test, unseen)
    )


def test_it_learns_classes_it_has_never_seen():
    seen, classes, test, unseen, labels, _ = world()
    report = Report()
    method = fitted(seen, classes, report)
    assert (method.score(test, unseen).argmax(axis=1) == labels).mean() > 0.5  # chance 0.25
    assert 0.3 < report.notes["held_out_top1_per_class"] <= 1
    assert report.notes["top"] > 1  # a single guess tells unseen classes apart worse


def test_too_few_iterations_are_told():
    seen, classes, *_ = world()
    report = Report()
    fitted(seen, classes, report, top=1, strength=1e-5, max_iterations=2)
    assert report.warnings == ["conse's classifier had not converged after 2 iterations."]
