"""Linear probe, class means and the adapters: scores and losses against scikit-learn and loops in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zslbench.errors import ZslbenchError
from zslbench.kernels import normalised
from zslbench.method import Budget, Classes, Report, SeenVideos, Videos
from zslbench_methods.class_mean import NearestClassMean
from zslbench_methods.clip_adapter import ClipAdapter
from zslbench_methods.linear_probe import STRENGTHS, LinearProbe
from zslbench_methods.nearest_text import ClipZeroShot
from zslbench_methods.tip_adapter import TipAdapter, TipAdapterF

N, K, DIM = 5, 8, 12
FIXED = {"alpha": 2.0, "beta": 3.0}


def data(seed=0, noise=0.8, n=N, per_class=K):
    """Return training videos in groups of two, their classes, test videos and their labels: one space for both."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, DIM)).astype(np.float32)
    labels = np.repeat(np.arange(n), per_class)

    def videos():
        return (5 * vectors[labels] + 5 * noise * rng.normal(size=(len(labels), DIM))).astype(np.float32)

    classes = Classes(tuple(f"class {i}" for i in range(n)), vectors)
    order = rng.permutation(len(labels))
    groups = np.arange(len(labels)) // 2
    seen = SeenVideos.from_arrays(videos()[order], labels=labels[order], groups=groups[order])
    return seen, classes, Videos.from_arrays(videos()), labels


def fitted(method, seen, classes):
    report = Report()
    method.fit(seen, classes, None, report)
    return report


@pytest.mark.parametrize("n", [2, N])
@pytest.mark.parametrize("unit", [True, False])
def test_the_linear_probe_is_scikit_learns_logistic_regression(n, unit):
    from sklearn.linear_model import LogisticRegression

    seen, classes, test, _ = data(n=n)
    method = LinearProbe({"c": 3.0, "unit_features": unit})
    fitted(method, seen, classes)
    x, y = (normalised(v.pooled()) if unit else v.pooled() for v in (seen, test))
    wanted = LogisticRegression(C=3.0, max_iter=1000).fit(x.astype(np.float64), seen.labels)
    scores = method.score(test, classes)
    np.testing.assert_array_equal(scores.argmax(axis=1), wanted.predict(y.astype(np.float64)))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    if n > 2:
        np.testing.assert_allclose(shares, wanted.predict_proba(y.astype(np.float64)), atol=1e-3)


def test_the_linear_probe_takes_the_penalty_that_is_best_on_held_out_source_groups():
    """With copies of each video in the training set, a choice by single videos would take the weakest penalty."""
    rng = np.random.default_rng(0)
    sources = rng.normal(size=(40, 60)) + np.eye(60)[np.repeat([0, 1], 20)]
    x = np.repeat(sources, 4, axis=0) + 0.01 * rng.normal(size=(160, 60))
    labels, groups = np.repeat([0, 1], 80), np.repeat(np.arange(40), 4)
    classes = Classes(("a", "b"), np.eye(2, dtype=np.float32))
    found = {}
    for name, own in (("groups", groups), ("videos", np.arange(160))):
        seen = SeenVideos.from_arrays(x.astype(np.float32), labels=labels, groups=own)
        found[name] = fitted(LinearProbe({"unit_features": False}), seen, classes).notes
    assert found["videos"]["held_out_top1_per_class"] > 0.9
    assert found["groups"]["held_out_top1_per_class"] < 0.8  # what new sources would show
    assert found["groups"]["c"] in STRENGTHS
    assert found["groups"]["c"] < found["videos"]["c"]


def test_a_linear_probe_that_does_not_converge_says_so():
    seen, classes, *_ = data()
    report = fitted(LinearProbe({"c": 1e4, "max_iter": 2}), seen, classes)
    assert report.warnings == ["logistic regression with c=10000 did not converge in 2 iterations"]


@pytest.mark.parametrize("centre", [False, True])
def test_class_means_are_scikit_learns_centroids_compared_by_the_cosine(centre):
    from sklearn.metrics.pairwise import cosine_similarity
    from sklearn.neighbors import NearestCentroid

    seen, classes, test, labels = data()
    method = NearestClassMean({"centre": centre})
    fitted(method, seen, classes)
    shift = seen.pooled().mean(axis=0) if centre else 0
    means = NearestCentroid().fit(normalised(seen.pooled() - shift), seen.labels).centroids_
    scores = method.score(test, classes)
    np.testing.assert_allclose(scores, cosine_similarity(test.pooled() - shift, means), atol=1e-5)
    assert (scores.argmax(axis=1) == labels).mean() > 0.8


@pytest.mark.parametrize("method", [LinearProbe({"c": 1.0}), NearestClassMean()])
def test_a_class_without_training_videos_is_refused_by_name(method):
    seen, classes, test, _ = data()
    fitted(method, seen.take(seen.labels != 2), classes)
    assert method.score(test, classes.take(np.array([4, 1]))).shape == (N * K, 2)
    with pytest.raises(ZslbenchError, match=rf"{method.info.name} has no training video of 'class 2'.*supervised"):
        method.score(test, classes)
    assert method.budget == frozenset()


def cached(x, keys, labels, text, alpha, beta, scale=100.0):
    """Return Tip-Adapter's scores in a loop."""
    scores = np.zeros((len(x), len(text)))
    for i, video in enumerate(x):
        for c in range(len(text)):
            scores[i, c] = scale * (video @ text[c])
            for key, label in zip(keys, labels, strict=True):
                if label == c:
                    scores[i, c] += alpha * np.exp(-beta * (1 - video @ key))
    return scores


def test_tip_adapter_scores_are_those_of_a_loop_over_the_cache(monkeypatch):
    monkeypatch.setattr("zslbench_methods.tip_adapter._BLOCK", 3 * N * K)  # three videos at a time
    seen, classes, test, _ = data()
    method = TipAdapter(FIXED)
    fitted(method, seen, classes)
    x, keys, text = (normalised(a.astype(np.float64)) for a in (test.pooled(), seen.pooled(), classes.vectors))
    wanted = cached(x, keys, seen.labels, text, **FIXED)
    order = np.array([3, 0, 4, 2, 1])
    np.testing.assert_allclose(method.score(test, classes.take(order)), wanted[:, order], rtol=1e-4, atol=1e-3)


def test_new_classes_have_no_cache_and_rank_as_without_training():
    seen, classes, test, _ = data()
    new = Classes(("new", "newer"), np.random.default_rng(5).normal(size=(2, DIM)).astype(np.float32))
    method, untrained = TipAdapter(FIXED), ClipZeroShot()
    fitted(method, seen, classes)
    fitted(untrained, seen, classes)
    np.testing.assert_allclose(method.score(test, new), 100 * untrained.score(test, new), rtol=1e-4, atol=1e-4)
    both = method.score(test, classes.join(new))
    np.testing.assert_allclose(both[:, N:], method.score(test, new), rtol=1e-4, atol=1e-4)
    assert (both[:, :N] > 100 * untrained.score(test, classes)).all()


def test_alpha_and_beta_are_chosen_on_held_out_training_videos():
    seen, classes, test, labels = data(noise=1.5, per_class=16)
    wrong = Classes(classes.names, np.roll(classes.vectors, 1, axis=0))  # the texts mislead: the cache must count
    report, method = Report(), TipAdapter()
    method.fit(seen, wrong, None, report)
    assert report.notes["alpha"] > 10
    assert report.notes["held_out_folds"] == 3
    assert (method.score(test, wrong).argmax(axis=1) == labels).mean() > 0.6
    assert fitted(TipAdapter(FIXED), seen, classes).notes.keys() >= {"alpha", "beta"}


def test_one_source_per_class_leaves_no_ground_for_a_choice():
    seen, classes, *_ = data()
    one = SeenVideos.from_arrays(seen.pooled(), labels=seen.labels, groups=np.zeros(len(seen)))
    assert fitted(TipAdapter(), one, classes).notes["held_out_folds"] == 0


@pytest.mark.parametrize("own_key", [False, True])
def test_a_step_of_tip_adapter_f_follows_the_gradient_of_the_loop(own_key):
    """AdamW's first step is the sign of the gradient, so that its direction is checked by finite differences."""
    seen, classes, *_ = data(n=3, per_class=4)
    method = TipAdapterF({**FIXED, "scale": 10.0, "epochs": 1, "lr": 1e-3, "own_key": own_key})
    report = fitted(method, seen, classes)
    x, text = normalised(seen.pooled().astype(np.float64)), normalised(classes.vectors.astype(np.float64))

    def loss(keys):
        total = 0.0
        for i in range(len(x)):
            kept = [j for j in range(len(x)) if own_key or j != i]
            (scores,) = cached(x[i : i + 1], keys[kept], seen.labels[kept], text, **FIXED, scale=10.0)
            total += np.log(np.exp(scores).sum()) - scores[seen.labels[i]]
        return total / len(x)

    assert report.epochs[0]["loss"] == pytest.approx(loss(x), rel=1e-4)
    moved = method._keys - x * (1 - 1e-3 * 0.01)  # AdamW's weight decay
    for place in [(0, 0), (3, 5), (11, 2)]:
        step = np.zeros_like(x)
        step[place] = 1e-5
        gradient = (loss(x + step) - loss(x - step)) / 2e-5
        assert moved[place] == pytest.approx(-1e-3 * gradient / (abs(gradient) + 1e-4), abs=2e-5)


def test_trained_keys_have_a_lower_loss():
    seen, classes, *_ = data(noise=1.5)
    report = fitted(TipAdapterF({**FIXED, "epochs": 10}), seen, classes)
    losses = [epoch["loss"] for epoch in report.epochs]
    assert len(losses) == 10
    assert losses[-1] < losses[0]


def test_clip_adapter_scores_are_those_of_a_loop_for_features_of_any_length():
    seen, classes, test, _ = data()
    method = ClipAdapter({"ratio": 0.3, "epochs": 2, "reduction": 3})
    fitted(method, seen, classes)
    first, second = (weight.astype(np.float64) for weight in method._weights)
    assert first.shape == (DIM // 3, DIM)
    assert second.shape == (DIM, DIM // 3)
    for i, video in enumerate(test.pooled().astype(np.float64)):  # not of unit length, as in the released code
        hidden = [max(0.0, float(row @ video)) for row in first]
        mixed = np.array([0.3 * max(0.0, float(row @ hidden)) for row in second]) + 0.7 * video
        for c, vector in enumerate(classes.vectors.astype(np.float64)):
            cosine = mixed @ vector / np.linalg.norm(mixed) / np.linalg.norm(vector)
            assert method.score(test, classes)[i, c] == pytest.approx(cosine, abs=1e-5)


def test_a_step_of_clip_adapter_follows_the_gradient_of_the_loss():
    seen, classes, *_ = data(n=3, per_class=4)
    method = ClipAdapter({"ratio": 0.3, "epochs": 1, "scale": 10.0, "lr": 1e-3})
    report = fitted(method, seen, classes)
    start = [weight.detach().double().numpy() for weight in method._start(DIM)]

    def loss(first, second):
        total = 0.0
        for video, label in zip(seen.pooled().astype(np.float64), seen.labels, strict=True):
            mixed = 0.3 * np.maximum(second @ np.maximum(first @ video, 0), 0) + 0.7 * video
            logits = 10 * normalised(classes.vectors.astype(np.float64)) @ mixed / np.linalg.norm(mixed)
            total += np.log(np.exp(logits).sum()) - logits[label]
        return total / len(seen)

    assert report.epochs[0]["loss"] == pytest.approx(loss(*start), rel=1e-5)
    checked = 0
    for which, weight in enumerate(start):
        for place in [(0, 0), (1, 2), (2, 1)]:
            step = [np.zeros_like(each) for each in start]
            step[which][place] = 1e-5
            up, down = ([a + s * b for a, b in zip(start, step, strict=True)] for s in (1, -1))
            gradient = (loss(*up) - loss(*down)) / 2e-5
            moved = method._weights[which][place] - weight[place] * (1 - 1e-3 * 0.01)
            if abs(gradient) > 1e-4:
                assert moved == pytest.approx(-1e-3 * np.sign(gradient), abs=2e-5)
                checked += 1
    assert checked >= 3


def test_clip_adapter_chooses_on_held_out_videos_and_learns():
    seen, classes, test, labels = data(noise=1.0, per_class=16)
    wrong = Classes(classes.names, np.roll(classes.vectors, 1, axis=0))
    report, method = Report(), ClipAdapter({"lr": 1e-2, "epochs": 40, "reduction": 1, "folds": 2})
    method.fit(seen, wrong, None, report)
    assert report.notes["ratio"] >= 0.4  # where texts mislead, features must move far
    assert (method.score(test, wrong).argmax(axis=1) == labels).mean() > 0.6


@pytest.mark.parametrize("chosen", [TipAdapter, TipAdapterF, ClipAdapter])
def test_features_and_class_vectors_of_two_spaces_are_refused_as_by_nearest_text(chosen):
    seen, classes, *_ = data()
    wide = Classes(classes.names, np.ones((N, DIM + 1), dtype=np.float32))
    with pytest.raises(
        ZslbenchError, match=rf"{chosen.info.name} compares features .* have {DIM} values and .* choose"
    ):
        chosen().fit(seen, wide, None, Report())
    assert chosen().budget == {Budget.CLASS_VECTORS, Budget.VISION_LANGUAGE}


@pytest.mark.parametrize("chosen", [TipAdapterF, ClipAdapter])
def test_training_leaves_torchs_random_numbers_alone(chosen):
    seen, classes, *_ = data()
    before = torch.get_rng_state()
    fitted(chosen(), seen, classes)
    assert torch.equal(before, torch.get_rng_state())
