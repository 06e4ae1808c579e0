"""The estimate of a figure: its mean over splits, and its interval over classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zslbench.stats.intervals import FIGURES, class_accuracy, class_values, estimate

pytestmark = pytest.mark.versions


def test_the_mean_is_over_splits_and_the_standard_deviation_has_ddof_1():
    correct = np.array([[1, 3, 0], [2, 0, 2]])
    total = np.array([[4, 4, 0], [4, 0, 4]])
    found = estimate(correct, total, "top1")
    assert found.mean == pytest.approx((0.5 + 0.5) / 2)
    assert estimate(correct[:1], total[:1], "top1").mean == pytest.approx(0.5)
    uneven = estimate(np.array([[1, 0], [3, 0]]), np.array([[4, 0], [4, 0]]), "top1")
    assert uneven.split_std == pytest.approx(np.std([0.25, 0.75], ddof=1))


def test_per_class_weighs_classes_equally_and_per_video_weighs_videos():
    correct, total = np.array([[9.0, 0.0]]), np.array([[10.0, 2.0]])
    assert estimate(correct, total, "top1").mean == pytest.approx(9 / 12)
    assert estimate(correct, total, "top1_per_class").mean == pytest.approx(0.45)


def test_fewer_than_five_classes_have_no_interval():
    four = estimate(np.array([[9.0, 0.0, 5.0, 3.0]]), np.full((1, 4), 10.0), "top1")
    assert np.isnan([four.low, four.high]).all()
    five = estimate(np.array([[9.0, 0.0, 5.0, 3.0, 4.0]]), np.full((1, 5), 10.0), "top1")
    assert 0 < five.low < five.mean < five.high < 1


def test_with_equal_classes_the_interval_is_students_by_the_delta_method():
    accuracy = np.random.default_rng(0).uniform(size=25)
    found = estimate(accuracy[None] * 100, np.full((1, 25), 100.0), "top1")
    mean, error = accuracy.mean(), stats.sem(accuracy)
    assert found.mean == pytest.approx(mean)
    reach = stats.t.ppf(0.975, 24) * error / (mean * (1 - mean))
    logits = np.log([found.low, found.high]) - np.log1p([-found.low, -found.high])
    assert logits == pytest.approx(np.log(mean / (1 - mean)) + np.array([-reach, reach]))


def test_a_class_with_most_of_the_videos_makes_the_interval_wider():
    accuracy = np.linspace(0.2, 0.8, 10)
    even = estimate((accuracy * 100)[None], np.full((1, 10), 100.0), "top1_per_class")
    total = np.array([[1000.0, *[10.0] * 8, 1000.0]])
    uneven = estimate(accuracy * total, total, "top1")
    assert uneven.mean == pytest.approx(even.mean)
    assert uneven.high - uneven.low > 2 * (even.high - even.low)


@pytest.mark.parametrize(("right", "low", "high"), [(0.0, 0.0, 1 - 0.025**0.1), (7.0, 0.025**0.1, 1.0)])
def test_no_class_or_every_video_right_leaves_room_for_other_classes(right, low, high):
    found = estimate(np.full((1, 10), right), np.full((1, 10), 7.0), "top1")
    assert (found.low, found.high) == pytest.approx((low, high))  # Clopper and Pearson's bound of 0 in 10


def test_repeating_every_split_does_not_make_the_interval_narrower():
    # An interval over splits would shrink by the square root of the number of copies.
    rng = np.random.default_rng(0)
    accuracy = np.round(rng.uniform(size=(4, 20)) * 50)
    total = np.full((4, 20), 50.0)
    once = estimate(accuracy, total, "top1")
    often = estimate(np.tile(accuracy, (10, 1)), np.tile(total, (10, 1)), "top1")
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


@pytest.mark.parametrize("n", [5, 25])
def test_the_interval_covers_the_true_mean_of_random_classes(n):
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(1000):
        difficulty = rng.beta(2, 5, size=n)
        correct = rng.binomial(60, difficulty).astype(float)[None]
        found = estimate(correct, np.full((1, n), 60.0), "top1")
        inside += found.low <= 2 / 7 <= found.high
    assert 0.93 <= inside / 1000 <= 0.97


@st.composite
def counts(draw):
    n_splits, n_classes = draw(st.integers(1, 3)), draw(st.integers(5, 8))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    unseen = np.array([rng.permutation(n_classes) < 2 for _ in range(n_splits)])
    scored = rng.integers(1, 30, size=unseen.shape).astype(float)
    return rng.binomial(scored.astype(int), 0.4).astype(float), scored, unseen


@given(counts(), st.sampled_from(FIGURES))
def test_the_values_of_the_classes_are_a_loops_jackknife_and_their_mean_is_the_figure(given_counts, figure):
    correct, scored, unseen = given_counts

    def by_loop(kept):
        figures = []
        for right, total, new in zip(correct[:, kept], scored[:, kept], unseen[:, kept], strict=True):
            s, u = ((right[side] / total[side]).mean() for side in (~new, new))
            base, novel = (right[side].sum() / total[side].sum() for side in (~new, new))
            figures.append({
                "top1": right.sum() / total.sum(), "top5": right.sum() / total.sum(),
                "top1_per_class": (right / total).mean(), "S": s, "U": u,
                "H": 2 * s * u / (s + u) if s + u else 0.0, "base": base, "novel": novel,
                "HM": 2 * base * novel / (base + novel) if base + novel else 0.0,
            }[figure])  # fmt: skip
        return np.mean(figures)

    n = correct.shape[1]
    whole = by_loop(np.arange(n))
    values = class_values(correct, scored, figure, unseen)
    used = np.flatnonzero(~np.isnan(values))  # of one side only the classes that are on this side in a split
    sides = {"S": ~unseen, "base": ~unseen, "U": unseen, "novel": unseen}
    assert used.tolist() == np.flatnonzero(sides.get(figure, unseen | True).any(axis=0)).tolist()
    assert np.mean(values[used]) == pytest.approx(whole)
    # No split loses its only class here: two are unseen in each, and three or more are seen.
    left = np.array([by_loop(np.delete(np.arange(n), i)) for i in used])
    assert values[used] == pytest.approx(whole + (len(used) - 1) * (left.mean() - left))
    assert estimate(correct, scored, figure, unseen).mean == pytest.approx(whole)


def test_class_accuracy_averages_over_the_splits_that_test_the_class():
    found = class_accuracy(np.array([[1.0, 3.0, 0.0], [2.0, 0.0, 0.0]]), np.array([[4.0, 4.0, 0.0], [8.0, 0.0, 0.0]]))
    np.testing.assert_allclose(found, [0.25, 0.75, np.nan])


def test_the_harmonic_interval_shrinks_with_more_classes():
    rng = np.random.default_rng(0)
    widths = []
    for n in (10, 100):
        unseen = np.tile(np.arange(n) % 2 == 0, (5, 1))
        right = rng.binomial(20, rng.uniform(0.2, 0.8, n), size=(5, n)).astype(float)
        found = estimate(right, np.full((5, n), 20.0), "H", unseen)
        assert found.low < found.mean < found.high
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2


def test_a_split_without_videos_or_without_unseen_classes_is_refused():
    with pytest.raises(ValueError, match="every split"):
        estimate(np.zeros((2, 3)), np.array([[1, 1, 1], [0, 0, 0]]), "top1")
    with pytest.raises(ValueError, match="unseen"):
        estimate(np.ones((1, 3)), np.ones((1, 3)), "H", np.zeros((1, 3), dtype=bool))
    with pytest.raises(ValueError, match="no class values of 'AUSUC'"):
        estimate(np.ones((1, 3)), np.ones((1, 3)), "AUSUC", np.zeros((1, 3), dtype=bool))
