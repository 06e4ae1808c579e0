"""Centring, CSLS and the inverted softmax over seen videos, against loops; and what they may not look at."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zslbench.method import Budget, Classes, Method, MethodInfo, Report, SeenVideos, Target, Videos
from zslbench.registry import get_method
from zslbench.steps import compose
from zslbench.testing import parametrize_with_checks, tiny_task
from zslbench_methods.hubness import CSLS, Centring, InvertedSoftmax
from zslbench_methods.steps import NRM

STEPS = (Centring, CSLS, InvertedSoftmax)


class Scored(Method):
    """Scores are the features."""

    info = MethodInfo(name="scored", summary="fixed", budget=frozenset())

    def fit(self, seen, classes, target, report):
        self.target = target

    def score(self, videos, classes):
        return videos.pooled()[:, : len(classes)].astype(float)


def videos(x):
    return Videos.from_arrays(np.asarray(x, dtype=np.float32))


def classes(n):
    return Classes(tuple(f"c{i}" for i in range(n)), np.eye(n, dtype=np.float32))


def by_loop(step, scores, pivots, *, k=10, beta=10.0):
    """The equations of the docstrings, one value at a time."""
    found = []
    for row in scores:
        found.append([])
        for y, s in enumerate(row):
            column = [p[y] for p in pivots]
            if step is Centring:
                value = s - sum(column) / len(column)
            elif step is CSLS:
                nearest = sorted(column, reverse=True)[:k]
                value = 2 * s - sum(nearest) / len(nearest)
            else:
                value = math.log(math.exp(beta * s) / (sum(math.exp(beta * p) for p in column) / len(column)))
            found[-1].append(value)
    return np.array(found)


@given(st.integers(0, 10_000), st.sampled_from(STEPS), st.integers(1, 12), st.floats(0.1, 30))
@settings(max_examples=60, deadline=None)
def test_each_step_is_the_loop(seed, step, k, beta):
    rng = np.random.default_rng(seed)
    pivots, x = np.float32(rng.uniform(-1, 1, size=(9, 3))), np.float32(rng.uniform(-1, 1, size=(4, 3)))
    params = {CSLS: {"neighbours": k}, InvertedSoftmax: {"sharpness": beta}}.get(step, {})
    found = step(step.Params(**params)).score(Scored(), videos(pivots), videos(x), classes(3))
    np.testing.assert_allclose(found, by_loop(step, x.tolist(), pivots.tolist(), k=k, beta=beta), atol=1e-5)


@pytest.mark.parametrize("step", STEPS)
def test_a_class_that_is_near_to_all_seen_videos_loses_its_hub(step):
    rng = np.random.default_rng(0)
    offset = np.array([0.0, 0.5, 0.0])  # class 1 is near to everything
    seen = rng.normal(0, 0.1, size=(200, 3)) + offset
    truth = np.repeat(np.arange(3), 20)
    x = rng.normal(0, 0.1, size=(60, 3)) + offset + 0.3 * np.eye(3)[truth]
    plain = Scored().score(videos(x), classes(3)).argmax(axis=1)
    assert (plain == 1).mean() > 0.8
    found = step(step.Params()).score(Scored(), videos(seen), videos(x), classes(3)).argmax(axis=1)
    assert (found == truth).mean() > 0.7 > 0.5 > (plain == truth).mean()


def test_the_ends_of_the_inverted_softmax_are_centring_and_the_nearest_video():
    rng = np.random.default_rng(1)
    pivots, x = videos(rng.normal(size=(9, 3))), videos(rng.normal(size=(4, 3)))

    def scaled(beta):
        step = InvertedSoftmax(InvertedSoftmax.Params(sharpness=beta))
        return step.score(Scored(), pivots, x, classes(3)) / beta

    centred = Centring(Centring.Params()).score(Scored(), pivots, x, classes(3))
    np.testing.assert_allclose(scaled(1e-6), centred, atol=1e-4)
    nearest = x.pooled() - pivots.pooled().max(axis=0)
    np.testing.assert_allclose(scaled(1e4), nearest, atol=1e-2)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("base", ["ridge", "pooled-krr", "eszsl"])
def test_a_videos_scores_depend_neither_on_the_other_videos_nor_on_the_test(step, base):
    task = tiny_task()
    method = compose(get_method(base), step)()
    assert method.budget == get_method(base)().budget
    method.fit(task.train, task.seen_classes, None, Report())
    whole = method.score(task.test, task.test_classes)
    for i in (0, 7, 29):
        alone = method.score(task.test.take(np.array([i])), task.test_classes)
        np.testing.assert_allclose(alone, whole[[i]], rtol=1e-5, atol=1e-6)
    fewer = method.score(task.test, task.test_classes.take(np.array([2, 0])))
    np.testing.assert_allclose(fewer, whole[:, [2, 0]], rtol=1e-5, atol=1e-6)  # nor on the other classes
    again = compose(get_method(base), step)()
    target = Target(classes=task.test_classes, videos=task.test.take(np.arange(5)))
    again.fit(task.train, task.seen_classes, target, Report())
    np.testing.assert_array_equal(again.score(task.test, task.test_classes), whole)


def test_the_pivots_are_seen_training_videos_2000_at_most():
    x = np.random.default_rng(0).normal(size=(2500, 3)).astype(np.float32)
    many = SeenVideos.from_arrays(x, labels=np.arange(2500) % 3)
    method = compose(Scored, Centring)(seed=4)
    method.fit(many, classes(3), Target(videos=videos([[9, 9, 9]])), Report())
    kept = method._pivots.pooled()
    assert len(kept) == 2000
    assert {tuple(row) for row in kept.tolist()} <= {tuple(row) for row in x.tolist()}
    assert method.reads_seed
    few = compose(Scored, Centring)(seed=4)
    few.fit(many.take(np.arange(2000)), classes(3), None, Report())
    np.testing.assert_array_equal(few._pivots.pooled(), x[:2000])
    assert not few.reads_seed


def test_with_a_step_that_looks_at_the_test_each_keeps_its_own_videos_also_when_saved():
    task = tiny_task()
    method = compose(compose(get_method("ridge"), Centring), NRM)
    assert Budget.UNSEEN_VIDEOS in method().budget
    first = method()
    first.fit(task.train, task.seen_classes, Target(videos=task.test), Report())
    assert len(first._pivots) == len(task.test)
    assert len(first._base._pivots) == len(task.train)
    again = method()
    again.restore(first.state())
    expected = first.score(task.test, task.test_classes)
    np.testing.assert_allclose(again.score(task.test, task.test_classes), expected, rtol=1e-5, atol=1e-6)


@parametrize_with_checks([get_method(name) for name in ("ridge+centring", "pooled-krr+csls", "sae+inverted-softmax")])
def test_conformance(check):
    check()
