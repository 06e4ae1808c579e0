import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from sklearn import metrics as sklearn_metrics

from zslbench.stats import metrics
from zslbench.stats.metrics import Ranked


def random_scores(seed, n=200, c=7):
    rng = np.random.default_rng(seed)
    labels = rng.integers(c, size=n)
    return rng.normal(size=(n, c)) + 1.0 * np.eye(c)[labels], labels


@pytest.mark.parametrize("seed", range(3))
def test_per_video_and_per_class_accuracy_are_sklearns_accuracy_and_balanced_accuracy(seed):
    scores, labels = random_scores(seed)
    predicted = scores.argmax(axis=1)
    figures = metrics.zsl_metrics(Ranked.of(scores, labels))
    assert figures["top1"] == pytest.approx(sklearn_metrics.accuracy_score(labels, predicted))
    assert figures["top1_per_class"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(labels, predicted))
    assert figures["top5"] == pytest.approx(sklearn_metrics.top_k_accuracy_score(labels, scores, k=5))
    assert figures["chance"] == pytest.approx(1 / 7)
    assert figures["majority"] == pytest.approx(np.bincount(labels).max() / len(labels))


def test_per_video_and_per_class_differ_where_classes_are_uneven():
    # 9 of 10 videos of class 0 right, 0 of 2 of class 1: 9/12 a video, (0.9 + 0) / 2 a class.
    labels = np.array([0] * 10 + [1] * 2)
    scores = np.zeros((12, 2))
    scores[:, 0] = 1
    scores[0] = [0, 1]
    hit = Ranked.of(scores, labels).hits()
    assert metrics.per_video_accuracy(hit) == pytest.approx(0.75)
    assert metrics.per_class_accuracy(hit, labels) == pytest.approx(0.45)


def test_hubness_is_the_skewness_of_the_k_occurrence():
    scores, _ = random_scores(1)
    counts = np.bincount(np.argsort(-scores, axis=1)[:, :3].ravel(), minlength=7)
    assert metrics.hubness(metrics.top_k(scores, 3), 7) == pytest.approx(scipy_stats.skew(counts))


def test_hubness_is_zero_where_every_class_occurs_equally_often():
    assert metrics.hubness(metrics.top_k(np.eye(4), 1), 4) == 0


def test_top_k_lists_the_best_first_and_never_more_than_there_are():
    scores = np.array([[0.1, 0.9, 0.5]])
    assert metrics.top_k(scores, 2).tolist() == [[1, 2]]
    assert metrics.top_k(scores, 9).tolist() == [[1, 2, 0]]


def gzsl_by_loop(scores, labels, seen, factor):
    """Calibrated stacking, written out."""
    predicted = np.where(seen, scores - factor, scores).argmax(axis=1)
    per_class = {c: np.mean(predicted[labels == c] == c) for c in np.unique(labels)}
    s = np.mean([a for c, a in per_class.items() if seen[c]])
    u = np.mean([a for c, a in per_class.items() if not seen[c]])
    return s, u


@given(st.integers(0, 10_000), st.floats(-3, 3))
def test_the_seen_unseen_curve_equals_stacking_at_any_factor(seed, factor):
    scores, labels = random_scores(seed, n=60)
    seen = np.arange(7) < 4
    labels[:2] = [0, 6]
    curve = metrics.seen_unseen_curve(Ranked.of(scores, labels, seen))
    assert curve.at(factor) == pytest.approx(gzsl_by_loop(scores, labels, seen, factor))


@pytest.mark.slow
def test_ausuc_is_the_area_under_a_densely_sampled_curve():
    scores, labels = random_scores(0, n=400)
    seen = np.arange(7) < 4
    points = np.array([gzsl_by_loop(scores, labels, seen, f) for f in np.linspace(-9, 9, 20_001)])
    assert metrics.seen_unseen_curve(Ranked.of(scores, labels, seen)).ausuc == pytest.approx(
        np.trapezoid(points[:, 0], points[:, 1]), abs=2e-3
    )


def test_the_best_factor_has_the_greatest_harmonic_mean():
    scores, labels = random_scores(2, n=300)
    seen = np.arange(7) < 4
    scores[:, seen] += 1  # seen classes win too often
    curve = metrics.seen_unseen_curve(Ranked.of(scores, labels, seen))
    best = metrics.harmonic_mean(*curve.at(curve.best_factor()))
    others = [metrics.harmonic_mean(*gzsl_by_loop(scores, labels, seen, f)) for f in np.linspace(-9, 9, 500)]
    assert best >= max(others) - 1e-12
    assert best > metrics.harmonic_mean(*curve.at(0.0))


def test_gzsl_figures_of_a_hand_computed_case():
    # Seen classes 0, 1; unseen class 2. Seen videos: one of two right; unseen: one of two right.
    scores = np.array([[3, 1, 0], [2, 1, 0], [0, 1, 5], [4, 0, 1]], dtype=float)
    labels = np.array([0, 1, 2, 2])
    figures = metrics.gzsl_metrics(Ranked.of(scores, labels, np.array([True, True, False])), factor=3.5)
    assert (figures["S"], figures["U"], figures["H"]) == pytest.approx((0.5, 0.5, 0.5))
    # Minus 3.5, all seen scores of the first two videos fall below 0 and the last one's 4 below 1.
    assert (figures["S_calibrated"], figures["U_calibrated"], figures["H_calibrated"]) == pytest.approx((0, 1, 0))


def test_gzsl_refuses_videos_of_one_kind():
    with pytest.raises(ValueError, match="both"):
        metrics.seen_unseen_curve(Ranked.of(np.ones((2, 2)), np.array([0, 0]), np.array([True, False])))


@pytest.mark.parametrize("seed", range(3))
def test_the_first_of_equal_scores_in_class_order_counts_and_is_listed_first(seed):
    """Of 400 classes with scores 0 or 1, a partition listed another class than the counted one for most videos."""
    rng = np.random.default_rng(seed)
    scores, labels = (rng.random((300, 400)) < 0.02).astype(float), rng.integers(400, size=300)
    by_hand = np.array([sorted(range(400), key=lambda c: (-row[c], c))[:5] for row in scores])
    ranked = Ranked.of(scores, labels)
    assert ranked.best.tolist() == by_hand.tolist()
    assert ranked.best[:, 0].tolist() == scores.argmax(axis=1).tolist()
    assert ranked.hits(5).tolist() == [label in five for label, five in zip(labels, by_hand, strict=True)]


@given(st.integers(0, 10_000), st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), st.booleans())
def test_equal_scores_have_one_order_at_every_calibration_factor(seed, factor, shuffled):
    """Quarters are subtracted exactly, so that the loop meets the same ties."""
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 4, size=(40, 6)) / 2, rng.integers(6, size=40)
    seen = np.arange(6) < 3
    seen = rng.permutation(seen) if shuffled else seen
    labels[:2] = [np.flatnonzero(seen)[0], np.flatnonzero(~seen)[0]]
    ranked = Ranked.of(scores, labels, seen)
    assert metrics.seen_unseen_curve(ranked).at(factor) == pytest.approx(gzsl_by_loop(scores, labels, seen, factor))
    figures = metrics.gzsl_metrics(ranked, 0.0)
    assert (figures["S_calibrated"], figures["U_calibrated"]) == pytest.approx((figures["S"], figures["U"]))


def tied(seed, *, shuffled):
    """Return whole scores with many ties, so that every difference and threshold is exact."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(10), rng.integers(10, size=90)])
    scores = np.rint(10 * (rng.normal(size=(100, 10)) + np.eye(10)[labels])).astype(int)
    return scores, labels, rng.permutation(10) < 5 if shuffled else np.arange(10) < 5


def swept(scores, labels, seen):
    """Return (S, U) at a threshold between any two whole numbers."""
    return np.array([gzsl_by_loop(2 * scores, labels, seen, 2 * t + 1) for t in range(-80, 80)])


def moved_together(scores, labels, seen):
    """Return (S, U) after each threshold on the difference of the best scores, as the code of Chao et al. has them."""
    best_seen, best_unseen = np.where(seen, scores, -999), np.where(seen, -999, scores)
    gap = best_seen.max(axis=1) - best_unseen.max(axis=1)
    points = []
    for threshold in [-9999, *sorted(set(gap.tolist()))]:
        chosen = np.where(gap <= threshold, best_unseen.argmax(axis=1), best_seen.argmax(axis=1))
        hits = [np.mean(chosen[labels == c] == c) for c in range(10)]
        points.append((np.mean(np.array(hits)[seen]), np.mean(np.array(hits)[~seen])))
    return np.array(points)


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("numbers", [lambda x: x, lambda x: x / 10, lambda x: (x / 10).astype(np.float32)])
@pytest.mark.parametrize("seed", range(5))
def test_inexact_ties_have_the_area_and_the_best_factor_of_exact_ones(seed, numbers, shuffled):
    """Tenths are no binary numbers: areas differed by up to 0.004."""
    scores, labels, seen = tied(seed, shuffled=shuffled)
    curve = metrics.seen_unseen_curve(Ranked.of(numbers(scores), labels, seen))
    points = swept(scores, labels, seen)
    assert curve.ausuc == pytest.approx(np.trapezoid(points[:, 0], points[:, 1]), abs=1e-12)
    released = moved_together(scores, labels, seen)
    assert curve.ausuc == pytest.approx(np.trapezoid(released[:, 0], released[:, 1]), abs=1e-12)
    best = max(metrics.harmonic_mean(*point) for point in points)
    assert metrics.harmonic_mean(*curve.at(curve.best_factor())) == pytest.approx(best)


def test_a_large_score_of_one_video_does_not_merge_the_steps_of_others():
    scores, labels, seen = tied(0, shuffled=False)
    large = scores / 10
    large[0] += 1e15  # its own scores have a resolution of 0.125
    areas = [metrics.seen_unseen_curve(Ranked.of(each, labels, seen)).ausuc for each in (scores, large)]
    assert areas[1] == pytest.approx(areas[0], abs=0.02)


def test_a_method_that_gives_all_classes_one_score_predicts_the_first_class():
    labels = np.array([0, 0, 1, 2, 2, 2])
    figures = metrics.zsl_metrics(Ranked.of(np.zeros((6, 3)), labels))
    assert figures["top1"] == pytest.approx(2 / 6)
    assert figures["top1_per_class"] == pytest.approx(1 / 3)
