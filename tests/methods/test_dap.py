"""DAP and IAP against loops over videos, classes and attributes, and how attributes are read."""

import math

import numpy as np
import pytest
from attribute_world import fitted, world

from zslbench.errors import ZslbenchError
from zslbench.method import Classes, Report, SeenVideos
from zslbench_methods._attributes import AttributeReader
from zslbench_methods.dap import DAP, IAP


def classes_with(attributes):
    attributes = np.asarray(attributes, dtype=np.float32)
    return Classes(tuple(f"class {i}" for i in range(len(attributes))), np.eye(len(attributes)), attributes=attributes)


def replaced(classes, attributes):
    return Classes(classes.names, classes.vectors, attributes=np.asarray(attributes, dtype=np.float32))


def products(posteriors, unseen, seen):
    """Lampert's rule, as his evaluation of 2009 has it: a product over attributes for each video and class."""
    scores = np.empty((len(posteriors), len(unseen)))
    for i, posterior in enumerate(posteriors):
        for c, code in enumerate(unseen):
            above = below = 1.0
            for m, has in enumerate(code):
                prior = sum(float(other[m]) for other in seen) / len(seen)
                above *= posterior[m] if has else 1 - posterior[m]
                below *= prior if has else 1 - prior
            scores[i, c] = math.log(above / below)
    return scores


def unit(videos):
    x = videos.pooled().astype(float)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_dap_scores_are_products_of_the_classifiers_posteriors():
    seen, classes, test, unseen, _ = world()
    method = fitted(DAP, seen, classes, strength=1e-3)
    state = method.state()
    posteriors = 1 / (1 + np.exp(-unit(test) @ state["weights"].T.astype(float) - state["bias"]))
    expected = products(posteriors, unseen.attributes, classes.attributes)
    np.testing.assert_allclose(method.score(test, unseen), expected, atol=1e-4)


def test_iap_scores_are_products_of_what_seen_classes_make_of_attributes():
    seen, classes, test, unseen, _ = world()
    method = fitted(IAP, seen, classes, strength=1e-4, floor=0.2)
    state = method.state()
    posteriors = np.zeros((len(test), 8))
    for i, x in enumerate(unit(test)):
        logits = state["weights"] @ x + state["bias"]
        p = np.exp(logits) / np.exp(logits).sum()
        for k, code in enumerate(classes.attributes):
            posteriors[i] += p[k] * code
    assert (posteriors < 0.2).any()
    assert (posteriors > 0.8).any()
    posteriors = np.minimum(np.maximum(posteriors, 0.2), 0.8)
    expected = products(posteriors, unseen.attributes, classes.attributes)
    np.testing.assert_allclose(method.score(test, unseen), expected, atol=1e-4)


def test_probabilities_weigh_both_answers():
    seen, classes, test, unseen, _ = world()
    rng = np.random.default_rng(1)
    soft, soft_unseen = (
        replaced(c, 0.8 * c.attributes + 0.2 * rng.random(c.attributes.shape)) for c in (classes, unseen)
    )
    method = fitted(DAP, seen, soft, strength=1e-3, attributes="probability")
    state = method.state()
    p = 1 / (1 + np.exp(-unit(test) @ state["weights"].T.astype(float) - state["bias"]))
    prior = soft.attributes.astype(float).mean(axis=0)
    expected = [
        [(a * np.log(x / prior) + (1 - a) * np.log((1 - x) / (1 - prior))).sum() for a in soft_unseen.attributes]
        for x in p
    ]
    np.testing.assert_allclose(method.score(test, soft_unseen), expected, atol=1e-3)


@pytest.mark.parametrize("method", [DAP, IAP])
@pytest.mark.parametrize("reading", ["binary", "probability"])
def test_it_learns_classes_it_has_never_seen(method, reading):
    seen, classes, test, unseen, labels = world()
    report = Report()
    scores = fitted(method, seen, classes, report, attributes=reading).score(test, unseen)
    assert (scores.argmax(axis=1) == labels).mean() > 0.8  # chance 0.25
    assert report.notes["attributes"] == 8
    assert 0.3 < report.notes["held_out_top1_per_class"] <= 1  # chance 0.125, of eight held-out classes


def test_unlike_attributes_are_of_no_use():
    """The same videos with the unseen classes' attributes shuffled: the method knows classes by these alone."""
    seen, classes, test, unseen, labels = world()
    shuffled = replaced(unseen, np.roll(unseen.attributes, 1, axis=0))
    assert (fitted(DAP, seen, classes).score(test, shuffled).argmax(axis=1) == labels).mean() < 0.1


def test_a_threshold_at_the_mean_of_the_seen_classes_makes_attributes_binary():
    seen = classes_with([[0.1, 3, 5], [0.2, 9, 5], [0.9, 9, 5]])
    reader = AttributeReader.of(seen, "binary")
    np.testing.assert_allclose(reader.threshold, [0.4, 7, 5], atol=1e-6)
    np.testing.assert_array_equal(reader.learnable, [True, True, False])
    np.testing.assert_array_equal(reader.read(seen, "binary"), [[0, 0], [0, 1], [1, 1]])
    np.testing.assert_array_equal(reader.read(classes_with([[0.5, 6.9, 0]]), "binary"), [[1, 0]])
    np.testing.assert_allclose(reader.prior, [1 / 3, 2 / 3])


def test_zeros_and_ones_stay_as_they_are():
    codes = np.random.default_rng(0).integers(0, 2, size=(9, 6))
    np.testing.assert_array_equal(
        AttributeReader.of(classes_with(codes), "binary").read(classes_with(codes), "binary"), codes
    )


@pytest.mark.parametrize("method", [DAP, IAP])
def test_attributes_that_do_not_differ_among_seen_classes_count_for_nothing(method):
    seen, classes, test, unseen, _ = world()
    more = replaced(classes, np.c_[classes.attributes, np.ones(24), np.zeros(24)])
    more_unseen = replaced(unseen, np.c_[unseen.attributes, [0, 1, 0, 1], [1, 1, 0, 0]])
    expected = fitted(method, seen, classes, strength=1e-3).score(test, unseen)
    np.testing.assert_allclose(fitted(method, seen, more, strength=1e-3).score(test, more_unseen), expected, rtol=1e-6)


@pytest.mark.parametrize("method", [DAP, IAP])
def test_seen_classes_without_videos_are_left_out(method):
    seen, classes, test, unseen, _ = world()
    some = seen.take(seen.labels != 4)
    without = classes.take(np.flatnonzero(np.arange(24) != 4))
    relabelled = SeenVideos.from_arrays(some.pooled(), labels=some.labels - (some.labels > 4))
    expected = fitted(method, relabelled, without, strength=1e-3).score(test, unseen)
    np.testing.assert_allclose(fitted(method, some, classes, strength=1e-3).score(test, unseen), expected, rtol=1e-5)


def test_attributes_of_the_same_classes_are_fitted_once_and_alike():
    seen, classes, *_ = world()
    twice = replaced(classes, np.c_[classes.attributes, classes.attributes[:, ::-1]])
    weights = fitted(DAP, seen, twice, strength=1e-3).state()["weights"]
    np.testing.assert_array_equal(weights[8:], weights[7::-1])


def test_missing_and_useless_attributes_are_explained():
    seen, classes, *_ = world()
    with pytest.raises(ZslbenchError, match="come without attributes"):
        fitted(DAP, seen, Classes(classes.names, classes.vectors))
    with pytest.raises(ZslbenchError, match="no attribute differs among the seen classes"):
        fitted(DAP, seen, replaced(classes, np.ones((24, 3))))
    with pytest.raises(ZslbenchError, match="range over 0..2, so they are no probabilities"):
        fitted(DAP, seen, replaced(classes, 2 * classes.attributes), attributes="probability")


@pytest.mark.parametrize("method", [DAP, IAP])
def test_too_few_iterations_are_told(method):
    seen, classes, *_ = world()
    report = Report()
    fitted(method, seen, classes, report, strength=1e-6, max_iterations=2)
    assert report.warnings[0].endswith("had not converged after 2 iterations.")
