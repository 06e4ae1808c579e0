"""Paired tests over classes against scipy, hand-computed cases and plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zslbench.stats.intervals import class_accuracy, class_values
from zslbench.stats.paired import (
    compare_classes,
    holm,
    nadeau_bengio,
    near_best,
    t_test,
)
from zslbench.stats.runs import RunEffect

pytestmark = pytest.mark.versions


def counts(n_splits=6, n_classes=12, seed=0):
    """Right, scored and unseen of a small gzsl experiment, class 0 never tested."""
    rng = np.random.default_rng(seed)
    unseen = np.array([rng.permutation(n_classes) < n_classes // 2 for _ in range(n_splits)])
    scored = np.where(unseen, 40.0, 10.0) + np.arange(n_classes)
    scored[:, 0] = 0
    return rng.binomial(scored.astype(int), 0.4).astype(float), scored, unseen


def harmonic(right, scored, unseen):
    """H of each split by a plain loop."""
    found = []
    for k, n, u in zip(right, scored, unseen, strict=True):
        s, h = ([k[i] / n[i] for i in range(len(n)) if n[i] and u[i] == side] for side in (False, True))
        found.append(stats.hmean([np.mean(s), np.mean(h)]))
    return np.array(found)


def test_a_class_counts_by_the_splits_in_which_it_was_tested():
    right = np.array([[8, 5, 0], [2, 0, 1.0]])
    scored = np.array([[10, 10, 0], [10, 0, 4.0]])
    assert class_accuracy(right, scored).tolist() == pytest.approx([0.5, 0.5, 0.25])
    unseen = np.array([[True, False, False], [False, False, True]])
    np.testing.assert_allclose(class_accuracy(right, scored * unseen), [0.8, np.nan, 0.25])
    np.testing.assert_allclose(class_accuracy(right, scored * ~unseen), [0.2, 0.5, np.nan])


def test_class_values_of_ratios_average_to_the_figure_and_spread_as_a_jackknife_by_loops():
    right, scored, unseen = counts()
    figures = {
        "top1": lambda keep: (right[:, keep].sum(axis=1) / scored[:, keep].sum(axis=1)).mean(),
        "H": lambda keep: harmonic(right[:, keep], scored[:, keep], unseen[:, keep]).mean(),
    }
    everything = np.arange(12)
    for name, figure in figures.items():
        values = class_values(right, scored, name, unseen)
        assert np.isnan(values[0])
        assert np.mean(values[1:]) == pytest.approx(figure(everything))
        without = np.array([figure(np.delete(everything, c)) for c in range(1, 12)])
        variance = 10 / 11 * ((without - without.mean()) ** 2).sum()  # Efron and Tibshirani, equation 11.5
        assert np.var(values[1:], ddof=1) / 11 == pytest.approx(variance)


def test_a_split_with_a_single_class_on_one_side_is_no_division_by_zero():
    right, scored = np.array([[4.0, 3, 2]]), np.full((1, 3), 10.0)
    values = class_values(right, scored, "H", np.array([[True, False, False]]))
    assert np.isfinite(values).all()
    assert values.mean() == pytest.approx(stats.hmean([0.4, 0.25]))
    assert class_values(np.zeros((1, 3)), scored, "H", np.array([[True, False, False]])).tolist() == [0, 0, 0]


def test_the_t_test_and_its_interval_are_scipys():
    d = np.random.default_rng(1).normal(0.05, 0.2, size=51)
    found, theirs = compare_classes(d, level=0.9), stats.ttest_1samp(d, 0)
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.9)))
    assert found.dz == pytest.approx(d.mean() / d.std(ddof=1))
    np.testing.assert_allclose(t_test(np.stack([d, -2 * d])), theirs.pvalue)


@settings(deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=3, max_size=30), st.sampled_from([0.8, 0.95]))
def test_the_interval_leaves_out_zero_just_where_the_t_test_rejects(values, level):
    d = np.array(values) / 10
    found = compare_classes(d, level=level)
    if abs(found.p - (1 - level)) > 1e-9:
        assert (found.p < 1 - level) == (found.low > 0 or found.high < 0)


def test_wins_ties_and_losses_are_by_class():
    found = compare_classes(np.array([0.2, 0.1, 0.0, -0.3, 0.4]))
    assert (found.wins, found.ties, found.losses, found.superiority) == (3, 1, 1, 0.7)
    other = compare_classes(np.array([0.2, 0.1, 0.0, -0.3, 0.4]), by_class=np.array([0, 0, 0, 0, 1e-17]))
    assert (other.wins, other.ties) == (0, 5)


def test_equal_methods_have_p_1_and_a_constant_difference_p_0():
    same = compare_classes(np.zeros(5))
    assert (same.p, same.low, same.high) == (1, 0, 0)
    assert np.isnan(same.dz)
    assert compare_classes(np.full(5, 0.1)).p == 0


def test_fewer_than_three_classes_are_refused():
    with pytest.raises(ValueError, match="three"):
        compare_classes(np.array([0.1, 0.2]))


def test_holm_of_a_hand_computed_case():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06 and 0.04, then never below the one before.
    assert holm(np.array([0.04, 0.01, 0.03, 0.02])).tolist() == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    np.testing.assert_allclose(holm(np.array([np.nan, 0.01, 0.03])), [np.nan, 0.02, 0.03])
    assert holm(np.array([])).tolist() == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_rejects_what_its_steps_reject_one_by_one(p):
    for level in (0.01, 0.05, 0.5):
        rejected = set()
        for step, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[i] * (len(p) - step) > level:
                break
            rejected.add(i)
        assert set(np.flatnonzero(holm(np.array(p)) <= level).tolist()) == rejected


def test_nadeau_and_bengios_variance():
    d = np.array([0.01, 0.03, 0.02, 0.05])
    t = d.mean() / np.sqrt((1 / 4 + 0.5) * d.var(ddof=1))
    assert nadeau_bengio(d, 0.5) == pytest.approx(2 * stats.t.sf(t, 3))
    assert nadeau_bengio(d, 0.0) == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
    with pytest.raises(ValueError, match="two"):
        nadeau_bengio(d[:1], 1.0)


def test_the_best_and_what_is_better_by_class_are_never_left_out():
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.1, size=(4, 50))
    values[1], values[2] = values[0] - 0.1 + rng.normal(0, 0.05, 50), values[0] + 0.1
    kept = near_best(values[0] - values, 4)
    assert kept.tolist() == [True, False, True, bool(t_test(values[0] - values[3]) * 3 > 0.05)]


def test_more_rows_to_choose_the_best_from_leave_fewer_out():
    d = np.random.default_rng(0).normal(0.05, 0.15, size=40)
    assert 0.001 < t_test(d) < 0.05
    assert not near_best(d, 2)
    assert near_best(d, 200)


def test_the_variance_of_runs_joins_that_of_classes_with_satterthwaites_degrees_of_freedom():
    d = np.random.default_rng(0).normal(0.1, 0.2, 30)
    runs = RunEffect(variance=0.002, freedom=2.0, n_runs=3)
    found = compare_classes(d, runs=runs)
    of_classes = d.var(ddof=1) / 30
    error = np.sqrt(of_classes + 0.002)
    freedom = (of_classes + 0.002) ** 2 / (of_classes**2 / 29 + 0.002**2 / 2)
    assert found.p == pytest.approx(2 * stats.t.sf(d.mean() / error, freedom))
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, freedom) * error)
    assert t_test(d, runs) == pytest.approx(found.p)
    assert compare_classes(d, runs=RunEffect(0.0, np.inf, 3)).p == pytest.approx(compare_classes(d).p)
