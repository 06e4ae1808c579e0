"""Weights between those before and after training: bitwise ends, an interpolation by hand, and the choice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from text_world import world

from zslbench.method import Classes, Report, SeenVideos, Videos
from zslbench_methods._wise import SHARES, mixed, weights_of
from zslbench_methods.bike import BIKE
from zslbench_methods.clip_adapter import ClipAdapter
from zslbench_methods.nearest_text import ClipZeroShot
from zslbench_methods.sti import STI
from zslbench_methods.tip_adapter import TipAdapter, TipAdapterF

FAST = {"epochs": 2, "min_batches": 5, "lr": 1e-2}
PARTS = {"adapter": {}, "transformer": {"adapter": False, "layers": 1}}


FIXED = {"alpha": 2.0, "beta": 3.0}


def data(noise=0.8, n=5, per_class=8, dim=12):
    """Return training videos in groups of two, their classes, and test videos: one space for both."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(n, dim)).astype(np.float32)
    labels = np.repeat(np.arange(n), per_class)
    train, test = ((vectors[labels] + noise * rng.normal(size=(len(labels), dim))).astype(np.float32) for _ in "ab")
    classes = Classes(tuple(f"class {i}" for i in range(n)), vectors)
    seen = SeenVideos.from_arrays(train, labels=labels, groups=np.arange(len(labels)) // 2)
    return seen, classes, Videos.from_arrays(test)


def fitted(kind, videos, classes, **params):
    method, report = kind(params), Report()
    method.fit(videos, classes, None, report)
    return method, report


@pytest.mark.parametrize("validation", [0.0, 0.2])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", [BIKE, STI])
def test_no_share_scores_as_before_training_and_the_whole_one_as_after_it(kind, part, validation):
    seen, classes, test, unseen = world()
    more = {**FAST, **PARTS[part], "validation_fraction": validation, "patience": 2}
    none, whole, usual = (
        fitted(kind, seen, classes, **more, **given)[0] for given in ({"wise": 0.0}, {"wise": 1.0}, {})
    )
    start = none._new(seen.dim, classes, None, none._space)
    untrained = none.class_scores(start, test, none._space, unseen)
    np.testing.assert_array_equal(none.score(test, unseen), untrained)
    np.testing.assert_array_equal(whole.score(test, unseen), usual.score(test, unseen))
    if not validation:  # else no epoch may be the best one
        assert not np.array_equal(whole.score(test, unseen), untrained)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("share", [0.25, 0.7])
def test_a_share_is_an_interpolation_of_the_two_states(part, share):
    seen, classes, test, unseen = world()
    more = {**FAST, **PARTS[part], "validation_fraction": 0.0}
    none, some, whole = (fitted(BIKE, seen, classes, **more, wise=a)[0] for a in (0.0, share, 1.0))
    start, ours, end = (method.state() for method in (none, some, whole))
    by_hand = {}
    for name, value in start.items():
        by_hand[name] = value
        if name.startswith("network.") and not np.array_equal(value, end[name]):
            far = value.astype(np.float64) + share * (end[name].astype(np.float64) - value)
            by_hand[name] = np.asarray(far, dtype=np.float32)
            np.testing.assert_allclose(ours[name], by_hand[name], rtol=1e-5, atol=1e-7)
        else:
            np.testing.assert_allclose(ours[name], value, rtol=1e-6)
    assert sum(not np.array_equal(start[name], end[name]) for name in start) >= 2
    loaded = BIKE({**more, "wise": share})
    loaded.restore(by_hand)
    np.testing.assert_allclose(loaded.score(test, unseen), some.score(test, unseen), atol=1e-5)
    restored = BIKE({**more, "wise": share})
    restored.restore(ours)
    np.testing.assert_array_equal(restored.score(test, unseen), some.score(test, unseen))


@pytest.mark.parametrize(("refit", "folds"), [(True, 1), (False, 2)])
def test_the_share_is_chosen_with_the_epoch_on_held_out_classes(refit, folds):
    seen, classes, *_ = world()
    more = {"epochs": 2, "patience": 2, "min_batches": 5, "lr": 3e-2, "refit": refit, "folds": folds, "scale": 100.0}
    method, report = fitted(BIKE, seen, classes, **more, wise=None)
    each = [fitted(BIKE, seen, classes, **more, wise=a)[1].notes["held_out_accuracy"] for a in SHARES]
    assert report.notes["held_out_accuracy"] == pytest.approx(max(each))
    assert report.notes["wise"] in SHARES
    assert "wise" not in fitted(BIKE, seen, classes, **more)[1].notes
    again, _ = fitted(BIKE, seen, classes, **more, wise=report.notes["wise"])
    for name, value in method.state().items():
        np.testing.assert_array_equal(value, again.state()[name])


def test_a_network_has_all_of_its_trained_weights_back_after_a_test_of_a_share():
    model = torch.nn.Linear(3, 2)
    start = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    before = weights_of(model)
    with mixed(model, start, 0.5):
        assert all(torch.equal(value, before[name] / 2) for name, value in model.named_parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_tip_adapter_f_lies_between_the_features_and_the_trained_keys():
    seen, classes, test = data()
    none, some, whole, usual = (
        fitted(TipAdapterF, seen, classes, **FIXED, **given)[0]
        for given in ({"wise": 0.0}, {"wise": 0.3}, {"wise": 1.0}, {})
    )
    untrained, _ = fitted(TipAdapter, seen, classes, **FIXED)
    np.testing.assert_array_equal(none.score(test, classes), untrained.score(test, classes))
    np.testing.assert_array_equal(whole.score(test, classes), usual.score(test, classes))
    by_hand = 0.7 * none.state()["keys"].astype(np.float64) + 0.3 * whole.state()["keys"]
    np.testing.assert_allclose(some.state()["keys"], by_hand, atol=1e-6)


def test_tip_adapter_f_chooses_its_share_on_held_out_videos():
    seen, classes, *_ = data(noise=2.0)
    _, report = fitted(TipAdapterF, seen, classes, **FIXED, wise=None, epochs=5)
    assert report.notes["wise"] in SHARES
    assert report.notes["held_out_folds"] == 3


def test_clip_adapter_that_chooses_on_classes_leaves_features_as_they_are_where_the_adapter_harms_new_classes():
    seen, classes, test = data(n=8, noise=0.1)
    strong = {"epochs": 40, "lr": 1e-1, "folds": 2}
    method, report = fitted(ClipAdapter, seen, classes, choose_on="classes", **strong)
    assert report.notes["ratio"] <= 0.1
    plain, _ = fitted(ClipZeroShot, seen, classes)
    left, _ = fitted(ClipAdapter, seen, classes, ratio=0.0, epochs=1)
    np.testing.assert_allclose(left.score(test, classes), plain.score(test, classes), rtol=1e-5)
    assert (method.score(test, classes).argmax(axis=1) == plain.score(test, classes).argmax(axis=1)).mean() > 0.9
