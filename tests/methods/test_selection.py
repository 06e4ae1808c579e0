from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.method import Classes, Report, SeenVideos, Validation
from zslbench_methods._selection import (
    Axis,
    best_of,
    best_on_held_out,
    class_folds,
    grid_of,
    held_out_accuracy,
    held_out_classes,
    sample,
)
from zslbench_methods.chance import Random


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_folds_hold_every_class_once_and_differ_by_one_in_size(n_classes: int, n_folds: int, seed: int) -> None:
    if n_folds > n_classes:
        with pytest.raises(ValueError, match="folds"):
            class_folds(n_classes, n_folds, seed)
        return
    folds = class_folds(n_classes, n_folds, seed)
    assert sorted(np.concatenate(folds).tolist()) == list(range(n_classes))
    assert {len(fold) for fold in folds} <= {n_classes // n_folds, n_classes // n_folds + 1}
    assert all(fold.dtype == np.int64 for fold in folds)
    again = class_folds(n_classes, n_folds, seed)
    assert all(np.array_equal(a, b) for a, b in zip(folds, again, strict=True))


@given(st.integers(4, 30), st.floats(0.01, 0.99), st.integers(0, 1000))
def test_held_out_videos_share_no_class_with_training_videos(n_classes: int, fraction: float, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(n_classes), 3))
    train, validation, classes = held_out_classes(labels, n_classes, fraction, seed)
    assert np.array_equal(train, ~validation)
    assert set(labels[validation]) == set(classes)
    assert not set(labels[train]) & set(classes)
    assert len(classes) >= 2
    assert len(set(labels[train])) >= 2


def test_the_share_is_respected_and_the_seed_matters() -> None:
    labels = np.repeat(np.arange(50), 2)
    chosen = [tuple(held_out_classes(labels, 50, 0.2, seed)[2]) for seed in range(3)]
    assert all(len(classes) == 10 for classes in chosen)
    assert len(set(chosen)) == 3


@pytest.mark.parametrize(("n_classes", "fraction"), [(3, 0.5), (10, 0.0)])
def test_nothing_is_held_out_of_too_few_classes_or_with_a_share_of_zero(n_classes: int, fraction: float) -> None:
    train, validation, classes = held_out_classes(np.arange(n_classes), n_classes, fraction, 0)
    assert train.all()
    assert not validation.any()
    assert len(classes) == 0


def test_a_class_without_videos_is_never_held_out() -> None:
    labels = np.repeat([0, 2, 4, 6, 8], 2)
    for seed in range(20):
        assert not set(held_out_classes(labels, 10, 0.4, seed)[2]) & {1, 3, 5, 7, 9}


def test_folds_of_held_out_classes_share_none_and_end_with_the_classes() -> None:
    labels = np.repeat(np.arange(11), 2)
    chosen = [held_out_classes(labels, 11, 0.25, 3, fold)[2].tolist() for fold in range(5)]
    assert [len(each) for each in chosen] == [3, 3, 3, 0, 0]
    assert len({label for each in chosen for label in each}) == 9
    assert chosen[0] == held_out_classes(labels, 11, 0.25, 3)[2].tolist()


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_a_share_out_of_range_raises(fraction: float) -> None:
    with pytest.raises(ValueError, match="share"):
        held_out_classes(np.arange(5), 5, fraction, 0)


def test_a_label_that_is_no_class_raises() -> None:
    with pytest.raises(ValueError, match="there are 4 classes"):
        held_out_classes(np.arange(5), 4, 0.2, 0)


def test_accuracy_weighs_classes_equally() -> None:
    classes = np.array([7, 3])
    labels = np.array([7, 7, 7, 3])
    scores = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert held_out_accuracy(scores, labels, classes) == pytest.approx((2 / 3 + 1) / 2)


def test_accuracy_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        held_out_accuracy(np.zeros((2, 3)), np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(ValueError, match="not among"):
        held_out_accuracy(np.zeros((2, 2)), np.array([0, 2]), np.array([0, 1]))


def choose(grid: list[float], scores, n_classes: int = 9, **how) -> tuple[float, Report]:  # type: ignore[no-untyped-def]
    labels = np.repeat(np.arange(n_classes), 4)
    seen = SeenVideos.from_arrays(np.eye(n_classes)[labels] + np.arange(36 * n_classes // 9)[:, None], labels=labels)
    classes = Classes(tuple(f"class {i}" for i in range(n_classes)), np.eye(n_classes, dtype=np.float32))
    report = Report()
    how = {"method": Random(seed=1), "folds": 3, "videos": 99} | how
    (best,) = best_on_held_out([Axis("share", tuple(grid))], scores, seen, classes, report, **how)
    return best, report


def test_the_point_is_chosen_that_tells_held_out_classes_apart_best() -> None:
    """The share of videos that a point labels rightly is the point itself; 0.5 and 0.75 of 4 videos a class are."""

    def scores(known, classes, videos, held_out):  # type: ignore[no-untyped-def]
        assert not set(classes.names) & set(held_out.names)
        assert len(classes) + len(held_out) == 9
        assert set(np.unique(known.labels)) == set(range(len(classes)))
        # A known video is the unit vector of its class and its own number: places follow the classes.
        own = known.pooled() - known.pooled().min(axis=1, keepdims=True)
        np.testing.assert_array_equal(classes.vectors[known.labels], own)
        true = (videos.pooled() - videos.pooled().min(axis=1, keepdims=True)) @ held_out.vectors.T
        place = np.argsort(np.argsort(true.argmax(axis=1), kind="stable"), kind="stable") % 4
        for share in (0.25, 0.75, 0.5):
            yield np.where((place < 4 * share)[:, None], true, -true)

    best, report = choose([0.25, 0.75, 0.5], scores)
    assert best == 0.75
    assert report.notes["held_out_top1_per_class"] == pytest.approx(0.75)


def test_validation_classes_are_tested_instead_and_all_seen_classes_are_trained_on() -> None:
    new = Classes(("new", "newer"), np.ones((2, 9), dtype=np.float32))
    labels = np.array([1, 0, 1])
    method = Random(seed=1)
    method.validation = Validation(SeenVideos.from_arrays(np.ones((3, 9)), labels=labels), new)

    def scores(known, classes, videos, held_out):  # type: ignore[no-untyped-def]
        assert len(known) == 36
        assert len(classes) == 9
        assert held_out.names == new.names
        assert not hasattr(videos, "labels")
        for wrong in (3, 0, 2):
            yield np.eye(2)[np.where(np.arange(3) < wrong, 1 - labels, labels)]

    best, report = choose([0.1, 0.2, 0.3], scores, method=method)
    assert best == 0.2
    assert report.notes["held_out_folds"] == 1
    assert report.notes["held_out_top1_per_class"] == 1
    assert method.reads_validation


def test_without_a_choice_no_validation_class_is_asked_for() -> None:
    method = Random(seed=1)
    method.validation = Validation(
        SeenVideos.from_arrays(np.ones((1, 9)), labels=[0]), Classes(("new",), np.ones((1, 9)))
    )
    choose([0.5], lambda *_: pytest.fail("asked for scores"), method=method)
    assert not method.reads_validation


def test_nothing_is_held_out_where_there_is_no_choice_or_too_few_classes() -> None:
    def never(*_):  # type: ignore[no-untyped-def]
        raise AssertionError

    assert choose([3.0], never)[0] == 3.0
    assert choose([1.0, 2.0, 3.0], never, n_classes=5)[0] == 2.0


def test_a_sample_is_in_order_without_repetition_and_at_most_everything() -> None:
    assert sample(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    some = sample(1000, 50, 0)
    assert len(set(some.tolist())) == 50
    assert (np.diff(some) > 0).all()
    assert some.tolist() != sample(1000, 50, 1).tolist()


def test_a_given_value_is_the_only_choice_of_its_axis_and_the_last_axis_changes_fastest() -> None:
    axes = Axis.of("a", None, (1, 2)), Axis.of("b", 5, (1, 2)), Axis.of("c", None, "xy")
    assert grid_of(*axes) == [(1, 5, "x"), (1, 5, "y"), (2, 5, "x"), (2, 5, "y")]


def told(accuracies: list[float], choices: tuple[float, ...] = (0.0, 0.1, 1.0), **bounds: float) -> Report:
    report = Report()
    points = {(choice,): [value - 0.1, value + 0.1] for choice, value in zip(choices, accuracies, strict=True)}
    best_of([Axis("strength", choices, **bounds)], points, report)
    return report


@pytest.mark.parametrize(("accuracies", "side"), [([0.5, 0.4, 0.3], "first"), ([0.3, 0.4, 0.5], "last")])
def test_a_choice_at_the_edge_is_noted_and_warned_of_once(accuracies: list[float], side: str) -> None:
    report = told(accuracies)
    assert report.notes["strength_at_edge"] == f"{side} of 0 to 1"
    (sentence,) = report.warnings
    assert f"the {side} of the values that were tried (0 to 1)" in sentence


@pytest.mark.parametrize(
    ("accuracies", "bounds"),
    [
        ([0.3, 0.5, 0.4], {}),  # inside
        ([0.5, 0.5, 0.4], {}),  # another value is as good: nothing says that more lies beyond
        ([0.5, 0.4, 0.3], {"least": 0.0}),  # nothing lies beyond
        ([0.3, 0.4, 0.5], {"most": 0.9}),
    ],
)
def test_a_choice_inside_or_at_a_natural_bound_or_a_tie_says_nothing(
    accuracies: list[float], bounds: dict[str, float]
) -> None:
    report = told(accuracies, **bounds)
    assert report.warnings == []
    assert "strength" in report.notes
    assert "strength_at_edge" not in report.notes


def test_neither_a_single_value_nor_a_category_nor_the_middle_of_an_untried_grid_has_an_edge() -> None:
    axes = [Axis("given", (5.0,)), Axis("direction", ("encode", "decode"))]
    report = Report()
    assert best_of(axes, {(5.0, "encode"): [0.1], (5.0, "decode"): [0.2]}, report) == (5.0, "decode")
    assert report.warnings == []
    untried = Report()
    assert best_of([Axis("mu", (0.0, 0.3))], {(0.0,): [], (0.3,): []}, untried) == (0.3,)
    assert (untried.notes, untried.warnings) == ({"mu": 0.3, "held_out_folds": 0}, [])


def test_each_axis_is_judged_by_itself() -> None:
    report = Report()
    axes = [Axis("a", (1.0, 2.0, 3.0)), Axis("b", (1.0, 2.0, 3.0))]
    best_of(axes, {point: [0.9 if point == (3.0, 2.0) else 0.1] for point in grid_of(*axes)}, report)
    assert "a_at_edge" in report.notes
    assert "b_at_edge" not in report.notes


def test_the_spread_over_the_folds_is_noted() -> None:
    report = Report()
    best_of([Axis("a", (1.0, 2.0))], {(1.0,): [0.1, 0.2, 0.3], (2.0,): [0.2, 0.4, 0.9]}, report)
    assert report.notes["held_out_top1_per_class"] == pytest.approx(0.5)
    assert report.notes["held_out_sd"] == pytest.approx((((0.3**2) + 0.1**2 + 0.4**2) / 2) ** 0.5)
    assert report.notes["held_out_folds"] == 3
