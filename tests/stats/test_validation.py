"""The tests and intervals hold what they promise, on simulated experiments over the datasets' own split families.

The simulation is that of ``tools/validate_statistics.py``, which measures more and draws ``docs/statistics.md``.
"""

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from scipy import stats

from zslbench.stats.intervals import class_accuracy
from zslbench.stats.paired import compare_classes, nadeau_bengio, t_test


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("validate_statistics", ROOT / "tools" / "validate_statistics.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["validate_statistics"] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=["hmdb51", pytest.param("ucf101", marks=pytest.mark.slow)])
def layout(tool, request):
    return tool.Layout.of(request.param)


def test_the_layouts_are_the_released_splits(tool):
    hmdb51, ucf101 = tool.Layout.of("hmdb51"), tool.Layout.of("ucf101")
    assert (hmdb51.unseen.shape, set(hmdb51.unseen.sum(axis=1))) == ((50, 51), {25})
    assert (ucf101.unseen.shape, ucf101.first.sum()) == ((50, 101), 47)
    assert (hmdb51.sizes.min(), hmdb51.sizes.max()) == (102, 548)


def test_the_simulations_class_means_are_those_of_the_package(tool):
    layout = tool.small(16)
    found = tool.Differences.of(layout, tool.QUOTED, 10, repetitions=3)
    (right, split, cls) = next(tool.simulate(layout, tool.QUOTED, repetitions=3))
    scored = np.where(layout.unseen, layout.sizes, 0).astype(float)[:10]
    values = []
    for method in range(2):
        correct = np.zeros(layout.unseen.shape)
        correct[split, cls] = right[method, 1]
        values.append(class_accuracy(correct[:10], scored))
    tested = scored.any(axis=0)  # a class may be unseen in none of ten splits
    np.testing.assert_allclose(found.by_class[1], (values[0] - values[1])[tested])


def test_the_vectorised_tests_are_those_of_the_package_and_of_scipy(tool):
    d = tool.Differences.of(tool.small(16), tool.QUOTED, 10, repetitions=4)
    by_package = [nadeau_bengio(x, 1.0) for x in d.by_split]
    np.testing.assert_allclose(tool.nadeau_bengio(d.by_split, 1.0), by_package)
    flipped = stats.permutation_test((d.by_class,), np.mean, permutation_type="samples", axis=1, random_state=0)
    np.testing.assert_allclose(tool.sign_flips(d.by_class), flipped.pvalue, atol=0.04)
    assert [compare_classes(x).p for x in d.by_class] == pytest.approx(t_test(d.by_class).tolist())


@pytest.mark.parametrize("n_splits", [10, 30, 50])
def test_equal_methods_differ_in_5_percent_by_class_and_in_over_30_percent_by_split(tool, layout, n_splits):
    d = tool.Differences.of(layout, tool.QUOTED, n_splits)
    assert len(d.by_class) == 2000
    assert 0.035 <= tool.rate(t_test(d.by_class)) <= 0.065
    assert 0.035 <= tool.rate(tool.sign_flips(d.by_class)) <= 0.065
    assert tool.rate(t_test(d.by_split)) > 0.30
    assert tool.rate(tool.nadeau_bengio(d.by_split, 1.0)) < 0.025  # conservative


@pytest.mark.slow
def test_the_false_positive_rate_holds_under_the_noise_of_real_features(tool, layout):
    d = tool.Differences.of(layout, tool.CAPTIONS, 30, repetitions=5000)
    assert 0.04 <= tool.rate(t_test(d.by_class)) <= 0.065


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_interval_of_the_difference_covers_the_truth(tool, layout, share):
    population = replace(tool.QUOTED, shift=share * tool.QUOTED.own * np.sqrt(2))
    d = tool.Differences.of(layout, population, 30)
    covered = tool.coverage(d.by_class, population.difference, repetitions=500)
    assert 0.93 <= covered["t"] <= 0.97
    assert 0.93 <= covered["expanded percentile"] <= 0.97


def test_a_difference_of_one_class_level_standard_deviation_is_found(tool, layout):
    population = replace(tool.QUOTED, shift=tool.QUOTED.own * np.sqrt(2))
    assert population.difference == pytest.approx(0.194, abs=0.001)
    assert tool.rate(t_test(tool.Differences.of(layout, population, 10).by_class)) > 0.99
    small = replace(population, shift=population.shift / 4)
    d = tool.Differences.of(layout, small, 30)
    assert tool.rate(t_test(d.by_class)) > 2 * tool.rate(tool.nadeau_bengio(d.by_split, 1.0))


def test_with_few_classes_only_students_and_the_expanded_interval_hold(tool):
    d = tool.Differences.of(tool.small(16), tool.QUOTED, 50)
    covered = tool.coverage(d.by_class, 0.0)
    assert 0.93 <= covered["t"] <= 0.97
    assert covered["expanded percentile"] > 0.925
    assert max(covered["percentile"], covered["BCa"]) < 0.92


def test_wilcoxon_takes_skewed_differences_of_mean_zero_for_a_winner(tool):
    found = tool.unequal_spreads(repetitions=500)
    assert found["t over classes"] < 0.10
    assert found["Wilcoxon"] > 0.15


@pytest.mark.slow
def test_the_leaderboards_interval_covers_the_accuracy_on_new_classes(tool, layout):
    ours, _ = tool.leaderboard_coverage(layout, tool.QUOTED, 10, repetitions=1000)
    assert 0.925 <= ours <= 0.97


@pytest.mark.parametrize("n_splits", [1, 10])
def test_the_leaderboards_interval_holds_with_five_classes_where_a_bootstrap_does_not(tool, n_splits):
    ours, bootstrap = tool.leaderboard_coverage(tool.few(5, n_splits), tool.CAPTIONS, n_splits, repetitions=1000)
    assert 0.92 <= ours <= 0.97
    assert bootstrap < 0.91


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "n_splits"), [("kinetics600", 3), ("ucf101", 5), ("hmdb51", 10)])
def test_equal_methods_rarely_differ_where_runs_share_a_shift(tool, dataset, n_splits):
    layout = tool.Layout.of(dataset, {"kinetics600": "kinetics-zsar"}.get(dataset, "xu-50/50"))
    classes_alone, with_runs = tool.shifted_runs(layout, replace(tool.CAPTIONS, split=0.3), n_splits, repetitions=600)
    assert with_runs < 0.11
    assert classes_alone > with_runs + 0.02


def test_the_harmonic_mean_of_equal_methods_differs_in_5_percent(tool):
    d = tool.harmonic_differences(tool.Layout.of("hmdb51"), 10, 0.0, 2000)
    assert 0.035 <= tool.rate(t_test(d)) <= 0.07


def test_a_truly_best_method_is_rarely_left_unmarked(tool):
    assert tool.best_left_out(tool.Layout.of("hmdb51"), 5) <= 0.05
