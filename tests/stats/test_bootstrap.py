import numpy as np
import pytest

from zslbench.stats.bootstrap import class_bootstrap, expanded_tail

pytestmark = pytest.mark.versions


def test_the_mean_is_over_splits_and_the_standard_deviation_has_ddof_1():
    correct = np.array([[1, 3, 0], [2, 0, 2]])
    total = np.array([[4, 4, 0], [4, 0, 4]])
    estimate = class_bootstrap(correct, total)
    assert estimate.mean == pytest.approx((0.5 + 0.5) / 2)
    assert class_bootstrap(correct[:1], total[:1]).mean == pytest.approx(0.5)
    uneven = class_bootstrap(np.array([[1, 0], [3, 0]]), np.array([[4, 0], [4, 0]]))
    assert uneven.split_std == pytest.approx(np.std([0.25, 0.75], ddof=1))


def test_per_class_weighs_classes_equally_and_per_video_weighs_videos():
    correct, total = np.array([[9.0, 0.0]]), np.array([[10.0, 2.0]])
    assert class_bootstrap(correct, total).mean == pytest.approx(9 / 12)
    assert class_bootstrap(correct, total, per_class=True).mean == pytest.approx(0.45)


def test_fewer_than_three_classes_have_no_interval():
    estimate = class_bootstrap(np.array([[9.0, 0.0]]), np.array([[10.0, 2.0]]))
    assert np.isnan(estimate.low)
    assert np.isnan(estimate.high)


def test_the_interval_of_one_split_agrees_with_scipys_bootstrap_over_classes():
    from scipy import stats

    rng = np.random.default_rng(0)
    accuracy = rng.uniform(size=25)
    total = np.full((1, 25), 100.0)
    ours = class_bootstrap(accuracy[None] * 100, total, repetitions=20_000)
    level = 1 - 2 * expanded_tail(25, 0.95)
    theirs = stats.bootstrap(
        (accuracy,), np.mean, method="percentile", n_resamples=20_000, confidence_level=level
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)


def test_the_expanded_tail_makes_a_percentile_interval_as_wide_as_students():
    from scipy import stats

    for n in (8, 25, 101):
        # The bootstrap distribution of a mean is about normal, with (n - 1) / n of the variance.
        width = -stats.norm.ppf(expanded_tail(n, 0.95)) * np.sqrt((n - 1) / n)
        assert width == pytest.approx(stats.t.ppf(0.975, n - 1))


def test_repeating_every_split_does_not_make_the_interval_narrower():
    # An interval over splits would shrink by the square root of the number of copies.
    rng = np.random.default_rng(0)
    accuracy = np.round(rng.uniform(size=(4, 20)) * 50)
    total = np.full((4, 20), 50.0)
    once = class_bootstrap(accuracy, total)
    often = class_bootstrap(np.tile(accuracy, (10, 1)), np.tile(total, (10, 1)))
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_the_interval_covers_the_true_mean_of_random_classes():
    rng = np.random.default_rng(3)
    inside = 0
    for i in range(300):
        difficulty = rng.beta(2, 5, size=25)
        correct = rng.binomial(60, difficulty).astype(float)[None]
        estimate = class_bootstrap(correct, np.full((1, 25), 60.0), repetitions=500, seed=i)
        inside += estimate.low <= 2 / 7 <= estimate.high
    assert 0.89 <= inside / 300 <= 0.98


def test_a_split_without_videos_is_refused():
    with pytest.raises(ValueError, match="every split"):
        class_bootstrap(np.zeros((2, 3)), np.array([[1, 1, 1], [0, 0, 0]]))
