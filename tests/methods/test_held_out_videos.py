"""Held-out videos: whole source groups, and every class keeps videos to train on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.method import Report, SeenVideos
from zslbench_methods._held_out_videos import best_on_held_out_videos, video_folds
from zslbench_methods._selection import Axis


@given(st.integers(1, 8), st.integers(1, 6), st.integers(2, 5), st.integers(0, 10**6))
def test_folds_hold_out_whole_groups_and_leave_each_class_some(n_classes, most_groups, folds, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, size=30)
    groups = rng.integers(0, most_groups, size=30)
    found = video_folds(labels, groups, folds, seed)
    assert len(found) <= folds
    assert all(fold.any() for fold in found)
    assert sum(fold.astype(int) for fold in found if True) is not None
    times = np.sum(found, axis=0) if found else np.zeros(30, dtype=int)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        several = len(np.unique(groups[own])) > 1
        assert (times[own] == int(several)).all()  # every video once, unless its class has a single source
        for fold in found:
            assert not fold[own].all()
            for group in np.unique(groups[own]):
                assert len(set(fold[own][groups[own] == group])) == 1
    again = video_folds(labels, groups, folds, seed)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_classes_of_two_groups_are_spread_over_all_folds():
    labels, groups = np.repeat(np.arange(60), 2), np.tile([0, 1], 60)
    sizes = [int(fold.sum()) for fold in video_folds(labels, groups, 4, 0)]
    assert len(sizes) == 4
    assert min(sizes) > 15


def test_one_fold_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        video_folds(np.zeros(4), np.arange(4), 1, 0)


def test_the_point_with_the_best_mean_accuracy_wins_and_held_out_videos_are_unlabelled():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 10)
    seen = SeenVideos.from_arrays(rng.normal(size=(30, 4)), labels=labels, groups=np.arange(30) // 2)
    truth = {tuple(row): label for row, label in zip(seen.pooled().tolist(), labels.tolist(), strict=True)}

    def scores(known, tested):
        assert not hasattr(tested, "labels")
        assert not {tuple(row) for row in known.pooled().tolist()} & {tuple(row) for row in tested.pooled().tolist()}
        right = np.eye(3)[[truth[tuple(row)] for row in tested.pooled().tolist()]]
        for share in (0.0, 1.0, 0.5):
            yield np.where(np.arange(len(right))[:, None] < share * len(right), right, np.roll(right, 1, axis=1))

    report = Report()
    axes = (Axis("share", (0, 1, 2), most=2),)
    assert best_on_held_out_videos(axes, scores, seen, 3, report, folds=3, videos=100, seed=0) == (1,)
    assert report.notes["held_out_top1_per_class"] == 1
    assert report.notes["held_out_folds"] == 3
