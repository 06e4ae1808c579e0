"""The part of a difference's variance that comes from runs, against balanced formulas and simulations."""

import numpy as np
import pytest

from zslbench.stats.runs import run_effect


def crossed(n_runs, n_classes, run_sd, rng, tested=1.0):
    d = rng.normal(0, 0.3, n_classes) + rng.normal(0, run_sd, (n_runs, 1)) + rng.normal(0, 0.2, (n_runs, n_classes))
    return np.where(rng.random(d.shape) < tested, d, np.nan)


def test_with_every_class_in_every_run_it_is_the_two_way_analysis_of_variance():
    d = crossed(4, 20, 0.3, np.random.default_rng(0))
    between = 20 * d.mean(axis=1).var(ddof=1)
    centred = d - d.mean(axis=0) - d.mean(axis=1, keepdims=True) + d.mean()
    noise = (centred**2).sum() / (3 * 19)
    found = run_effect(d)
    # N - C = 60 tested pairs less one per class; of the mean of 4 runs: a quarter of the variance of one.
    assert found.variance == pytest.approx((between - noise) / 20 / 4)
    assert found.n_runs == 4


@pytest.mark.parametrize("tested", [1.0, 0.6])
def test_the_variance_of_runs_is_estimated_without_bias(tested):
    rng = np.random.default_rng(1)
    found = [run_effect(crossed(8, 40, 0.2, rng, tested)).variance for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.2**2 / 8, rel=0.08)


def test_runs_that_differ_no_more_than_their_classes_explain_add_nothing():
    rng = np.random.default_rng(2)
    found = [run_effect(crossed(8, 40, 0.0, rng)).variance for _ in range(200)]
    assert np.mean(np.array(found) == 0) > 0.4
    assert np.mean(found) < 0.05 * 0.2**2 / 8 + 1e-4


def test_one_run_says_nothing_about_runs():
    assert run_effect(np.random.default_rng(0).normal(size=(1, 9))).variance == 0
    disjoint = np.array([[0.1, 0.2, np.nan, np.nan], [np.nan, np.nan, 0.3, 0.4]])
    assert run_effect(disjoint).variance == 0  # a class and its run cannot be separated
