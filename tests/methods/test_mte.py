"""MTE and KLIEP against loops, closed forms and scipy's solver of convex problems."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm
from sklearn.linear_model import Ridge

from zslbench.kernels import normalised
from zslbench.method import Budget, Classes, Report, SeenVideos, Target, Videos
from zslbench.testing import linear_world
from zslbench_methods._kliep import fit_ratio, gaussians, mixture
from zslbench_methods._multi_task import Moments, Problem, name_map
from zslbench_methods.mte import MTE

N, D, C, DIM = 90, 8, 12, 5  # videos, values a feature, classes, values a class vector


def problem(seed=0, weighted=True):
    """Return features (n, D), weights, labels, class vectors, and the problem of their weighted, centred moments."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(N, D)), rng.uniform(0.2, 2, size=N) if weighted else np.ones(N)
    labels, vectors = np.arange(N) % C, rng.normal(size=(C, DIM))
    second, sums, counts = np.zeros((D, D)), np.zeros((C, D)), np.zeros(C)
    for i in range(N):
        second += w[i] * np.outer(x[i], x[i])
        sums[labels[i]] += w[i] * x[i]
        counts[labels[i]] += w[i]
    moments, mean = Moments(second, sums, counts).centred()
    np.testing.assert_allclose(mean, np.average(x, axis=0, weights=w))
    return x - mean, w, labels, vectors, Problem(moments, vectors)


def loss(a, s, strength, data):
    x, w, labels, vectors, _ = data
    errors = sum(w[i] * np.sum((vectors[labels[i]] - a @ s @ x[i]) ** 2) for i in range(N))
    return errors / w.sum() + strength * (np.sum(a**2) + np.sum(s**2))


def test_a_single_task_is_scikit_learns_weighted_ridge():
    data = x, w, labels, vectors, solver = problem()
    reference = Ridge(alpha=0.03 * w.sum(), fit_intercept=False).fit(x, vectors[labels], sample_weight=w)
    np.testing.assert_allclose(solver.single(0.03), reference.coef_, atol=1e-10)
    assert loss(np.eye(DIM), solver.single(0.03), 0.0, data) < loss(np.eye(DIM), np.zeros((DIM, D)), 0.0, data)


def test_shared_tasks_minimise_the_penalty_on_what_is_common_and_what_is_not():
    x, w, labels, vectors, solver = problem()
    strength, common = 0.05, 0.5
    # One ridge regression in (w_0, v_1, ..., v_d): task t's rows have the feature in block 0 and in block t.
    rows, targets, weights = [], [], []
    for i in range(N):
        for t in range(DIM):
            row = np.zeros((DIM + 1, D))
            row[0], row[t + 1] = x[i], x[i]
            rows.append(row.ravel())
            targets.append(vectors[labels[i], t])
            weights.append(w[i] / w.sum())
    design, penalty = np.array(rows), strength * np.repeat([common] + [1.0] * DIM, D)
    system = (design * np.array(weights)[:, None]).T @ design + np.diag(penalty)
    found = np.linalg.solve(system, design.T @ (np.array(weights) * np.array(targets))).reshape(DIM + 1, D)
    np.testing.assert_allclose(solver.shared(strength, common), found[0] + found[1:], atol=1e-9)


def alternating_by_loop(data, k, strengths, iterations):
    """Alternate the two ridge solutions, each as one dense linear system in the entries of the matrix."""
    x, w, labels, vectors, solver = data
    second = sum(w[i] * np.outer(x[i], x[i]) for i in range(N)) / w.sum()
    cross = sum(w[i] * np.outer(vectors[labels[i]], x[i]) for i in range(N)) / w.sum()
    left, size, _ = np.linalg.svd(solver.single(strengths[1]), full_matrices=False)
    a = left[:, :k] * np.sqrt(size[:k])
    for _ in range(iterations):
        system = np.kron(a.T @ a, second) + strengths[1] * np.eye(k * D)
        s = np.linalg.solve(system, (a.T @ cross).ravel()).reshape(k, D)
        a = np.linalg.solve(s @ second @ s.T + strengths[0] * np.eye(k), s @ cross.T).T
    return a, s


@pytest.mark.parametrize("k", [1, 3, 5])
def test_the_factors_are_those_of_a_loop_over_dense_ridge_systems(k):
    data = problem()
    a, s, losses = data[-1].factors(k, 0.02, iterations=7, tolerance=0)
    expected_a, expected_s = alternating_by_loop(data, k, (0.02, 0.02), 7)
    np.testing.assert_allclose(a @ s, expected_a @ expected_s, atol=1e-8)
    np.testing.assert_allclose(a @ a.T, expected_a @ expected_a.T, atol=1e-8)  # but for a rotation of the tasks
    mean_square = np.average((data[3][data[2]] ** 2).sum(axis=1), weights=data[1])
    assert losses[-1] + mean_square == pytest.approx(loss(a, s, 0.02, data))


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_never_rises_and_no_step_lowers_it_in_the_end(seed):
    data = problem(seed)
    a, s, losses = data[-1].factors(4, 0.02, iterations=3000, tolerance=1e-14)
    assert (np.diff(losses) <= 1e-12).all()
    least = loss(a, s, 0.02, data)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        da, ds = 1e-3 * rng.normal(size=a.shape), 1e-3 * rng.normal(size=s.shape)
        assert loss(a + da, s + ds, 0.02, data) > least


def test_enough_tasks_reach_the_optimum_of_the_nuclear_norm():
    """min over A S = W of |A|^2 + |S|^2 is 2 |W|_*: the product solves a convex problem, whose optimum is known."""
    x, w, labels, vectors, solver = problem()
    strength = 0.15
    a, s, _ = solver.factors(5, strength, iterations=5000, tolerance=1e-15)
    product = a @ s
    errors = product @ x.T - vectors[labels].T
    gradient = 2 * (errors * w) @ x / w.sum()
    left, size, right = np.linalg.svd(product, full_matrices=False)
    rank = int((size > 1e-3 * size[0]).sum())
    assert 0 < rank < 5  # or the norm would do nothing here
    inside = left[:, :rank].T @ gradient @ right[:rank].T
    np.testing.assert_allclose(inside, -2 * strength * np.eye(rank), atol=1e-4)
    assert np.linalg.norm(gradient, 2) <= 2 * strength * (1 + 1e-3)


def test_two_strengths_say_no_more_than_one():
    data = problem()
    a, s, _ = data[-1].factors(3, 0.02, iterations=4000, tolerance=0)
    other_a, other_s = alternating_by_loop(data, 3, (0.08, 0.005), 4000)
    np.testing.assert_allclose(a @ s, other_a @ other_s, atol=1e-6)
    np.testing.assert_allclose(a @ a.T, 4 * other_a @ other_a.T, atol=1e-5)


def test_a_name_lies_where_the_ridge_inverse_puts_it():
    a = np.random.default_rng(0).normal(size=(5, 3))
    strength = 0.4 * np.linalg.eigvalsh(a.T @ a).mean()
    for g in np.eye(5):
        expected = np.linalg.lstsq(np.vstack([a, np.sqrt(strength) * np.eye(3)]), np.r_[g, 0, 0, 0], rcond=None)[0]
        np.testing.assert_allclose(name_map(a, 0.4) @ g, expected, atol=1e-10)


def task(seed=0, n_auxiliary=0, noise=0.1):
    n = C + n_auxiliary
    world = linear_world(n, noise, d=DIM, dim=D, per_class=8, lengths=(1, 1), seed=seed)
    auxiliary = np.arange(n) >= C if n_auxiliary else None
    return world._replace(classes=replace(world.classes, auxiliary=auxiliary))[:5]


def fitted(seen, classes, target=None, report=None, **params):
    method = MTE(params)
    method.fit(seen, classes, target, report or Report())
    return method


@pytest.mark.parametrize("mapping", ["latent", "words", "rmtl", "stl"])
def test_it_learns_classes_it_has_never_seen(mapping):
    seen, classes, test, unseen, labels = task()
    report = Report()
    method = fitted(seen, classes, report=report, mapping=mapping)
    assert (method.score(test, unseen).argmax(axis=1) == labels).mean() > 0.6  # chance 0.25
    assert report.notes["held_out_top1_per_class"] > 0.4  # chance 0.25, of four held-out classes
    assert ("inverse" in report.notes) == (mapping == "latent")


def test_scores_are_cosines_among_the_tasks():
    seen, classes, test, unseen, _ = task()
    method = fitted(seen, classes, strength=0.01, inverse=0.5, tasks=3)
    x = normalised(seen.pooled()).astype(float)
    counts = np.bincount(seen.labels).astype(float)
    sums = np.stack([x[seen.labels == c].sum(axis=0) for c in range(C)])
    moments, mean = Moments(x.T @ x, sums, counts).centred()
    a, s, _ = Problem(moments, normalised(classes.vectors.astype(float))).factors(3, 0.01)
    names = name_map(a, 0.5)
    for i, video in enumerate(normalised(test.pooled()).astype(float)):
        for j, vector in enumerate(normalised(unseen.vectors).astype(float)):
            p, q = s @ (video - mean), names @ vector
            expected = p @ q / np.linalg.norm(p) / np.linalg.norm(q)
            assert method.score(test, unseen)[i, j] == pytest.approx(expected, abs=1e-5)


# KLIEP.


def normals(seed=0):
    """Return a sample of N(0.7, 0.8^2) and a larger one of N(0, 1), as (n, 1)."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.7, 0.8, size=(800, 1)), rng.normal(size=(4000, 1))


def test_kliep_recovers_the_ratio_of_two_normal_densities():
    target, source = normals()
    ratio = fit_ratio(target, source)
    grid = np.linspace(-1.5, 2.5, 81)[:, None]
    true = norm.pdf(grid, 0.7, 0.8) / norm.pdf(grid)
    assert np.abs(ratio(grid) - true[:, 0]).mean() < 0.15 * true.mean()
    assert np.corrcoef(ratio(grid), true[:, 0])[0, 1] > 0.97


@given(st.integers(0, 100), st.sampled_from([0.2, 0.7, 3.0, None]), st.integers(1, 30))
@settings(max_examples=15, deadline=None)
def test_kliep_keeps_its_constraints_and_its_likelihood_rises(seed, width, n_centres):
    rng = np.random.default_rng(seed)
    target, source = rng.normal(0.5, 1, size=(40, 3)), rng.normal(size=(60, 3))
    counts = rng.integers(1, 5, size=60)
    ratio = fit_ratio(target, source, counts, n_centres=n_centres, width=width, seed=seed)
    assert (ratio.alpha >= 0).all()
    assert np.average(ratio(source), weights=counts) == pytest.approx(1, abs=1e-6)
    assert (np.diff(ratio.likelihood) >= -1e-9).all()
    assert ratio.likelihood[-1] == pytest.approx(np.log(ratio(target)).mean(), abs=1e-4)
    assert len(ratio.alpha) <= n_centres


def test_kliep_is_the_optimum_of_the_published_problem():
    """max sum log w(target), mean w(source) = 1, alpha >= 0: solved by scipy from the definition, with loops."""
    rng = np.random.default_rng(1)
    target, source = rng.normal(0.5, 0.7, size=(30, 2)), rng.normal(size=(50, 2))
    ratio = fit_ratio(target, source, n_centres=6, width=0.8)

    def basis(x):
        return [np.exp(-sum((p - q) ** 2 for p, q in zip(x, c, strict=True)) / (2 * 0.8**2)) for c in ratio.centres]

    at_target = np.array([basis(x) for x in target])
    mean = sum(np.array(basis(x)) for x in source) / len(source)
    best = minimize(
        lambda alpha: -np.log(at_target @ alpha).sum(),
        x0=np.full(6, 1 / mean.sum()),
        jac=lambda alpha: -(at_target / (at_target @ alpha)[:, None]).sum(axis=0),
        bounds=[(0, None)] * 6,
        constraints={"type": "eq", "fun": lambda alpha: mean @ alpha - 1, "jac": lambda alpha: mean},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert np.log(at_target @ ratio.alpha).sum() == pytest.approx(-best.fun, abs=0.01)
    np.testing.assert_allclose(at_target @ ratio.alpha, at_target @ best.x, atol=0.05)


def test_a_mixtures_shares_end_where_no_component_could_gain():
    rng = np.random.default_rng(0)
    densities = rng.uniform(0.1, 2, size=(40, 5))
    shares, likelihood = mixture(densities, iterations=5000, tolerance=1e-6)
    gain = np.array([np.mean(densities[:, j] / (densities @ shares)) for j in range(5)])
    assert gain.max() <= 1 + 1e-6
    np.testing.assert_allclose(gain[shares > 1e-3], 1, atol=1e-3)
    assert len(likelihood) < 5000
    assert shares.sum() == pytest.approx(1)


def test_the_basis_is_gaussian():
    x, centres = np.random.default_rng(0).normal(size=(2, 4, 3))
    expected = [[np.exp(-np.sum((a - b) ** 2) / (2 * 0.6**2)) for b in centres] for a in x]
    np.testing.assert_allclose(gaussians(x, centres, 0.6), expected, atol=1e-10)


@pytest.mark.parametrize(
    ("target", "source"), [(np.ones((5, 2)), np.ones((7, 2))), (np.zeros((1, 2)), np.ones((3, 2)))]
)
def test_kliep_of_points_that_coincide_stays_finite(target, source):
    ratio = fit_ratio(target, source)
    np.testing.assert_allclose(ratio(source), 1, atol=1e-6)


def test_a_source_that_no_basis_function_reaches_has_no_weight():
    ratio = fit_ratio(np.zeros((3, 1)), np.full((4, 1), 1e3), width=0.1)
    assert ratio(np.zeros((2, 1))).tolist() == [0, 0]


# Prioritised augmentation.

BUDGETS = {
    "none": set(),
    "visual": {Budget.UNSEEN_VIDEOS},
    "names": {Budget.UNSEEN_NAMES},
    "both": {Budget.UNSEEN_VIDEOS, Budget.UNSEEN_NAMES},
}


@pytest.mark.parametrize("weights", BUDGETS)
def test_weights_widen_the_budget(weights):
    assert MTE({"weights": weights}).budget == {Budget.CLASS_VECTORS} | BUDGETS[weights]


@pytest.mark.parametrize("weights", ["visual", "names", "both"])
def test_without_auxiliary_videos_weights_change_nothing_and_say_so(weights):
    seen, classes, test, unseen, _ = task()
    report = Report()
    target = Target(classes=unseen, videos=test)
    weighted = fitted(seen, classes, target, report, weights=weights).score(test, unseen)
    np.testing.assert_array_equal(weighted, fitted(seen, classes).score(test, unseen))
    assert [w for w in report.warnings if "no auxiliary videos" in w and "--auxiliary" in w] == report.warnings
    assert len(report.warnings) == 1


@pytest.mark.parametrize("weights", ["visual", "names", "both"])
def test_auxiliary_videos_are_weighted_by_the_ratio_and_the_others_count_once(weights, monkeypatch):
    seen, classes, test, unseen, _ = task(n_auxiliary=6)
    made = {}
    original = MTE._weights
    monkeypatch.setattr(MTE, "_weights", lambda self, *a: made.setdefault("w", original(self, *a)))
    report = Report()
    target = Target(classes=unseen if weights != "visual" else None, videos=test if weights != "names" else None)
    method = fitted(seen, classes, target, report, weights=weights, strength=0.01, inverse=1.0)
    expected, auxiliary = np.ones(48), np.arange(96, 144)
    x, v = normalised(seen.pooled()), normalised(classes.vectors.astype(float))
    if weights != "names":
        expected *= fit_ratio(normalised(test.pooled()), x[auxiliary])(x[auxiliary])
    if weights != "visual":
        per_video = v[seen.labels[auxiliary]]
        ratio = fit_ratio(normalised(unseen.vectors.astype(float)), v, np.r_[np.zeros(C), np.full(6, 8)])
        expected *= ratio(per_video)
    expected /= expected.mean()
    np.testing.assert_allclose(made["w"], expected, rtol=1e-6)
    assert made["w"].std() > 0.1  # or nothing was weighted
    every = np.r_[np.ones(96), expected]
    second = sum(w * np.outer(a, a) for w, a in zip(every, x.astype(float), strict=True))
    sums = np.stack([every[seen.labels == c] @ x[seen.labels == c] for c in range(C + 6)])
    counts = np.bincount(seen.labels, every)
    moments, _ = Moments(second, sums, counts).centred()
    _, s, _ = Problem(moments, v).factors(50, 0.01)
    np.testing.assert_allclose(method.state()["videos"], s, atol=1e-5)
    assert report.notes["effective_share"] == pytest.approx(1 / np.mean(expected**2))


def test_visual_weights_help_where_half_of_the_auxiliary_videos_mislead():
    """Half of the auxiliary classes look like the test and obey its map; the others are far away and obey another."""
    right = {}
    for weights in ("none", "visual"):
        hits = []
        for seed in range(4):
            rng = np.random.default_rng(seed)
            vectors = normalised(rng.normal(size=(40, DIM))).astype(np.float32)
            maps, offsets = rng.normal(size=(2, DIM, D)), np.eye(2, D) * 4
            domain = np.r_[np.zeros(16, int), np.ones(16, int), np.zeros(8, int)]  # 8 seen, 24 auxiliary, 8 unseen

            def features(labels, rng=rng, vectors=vectors, maps=maps, offsets=offsets, domain=domain):
                z = np.einsum("nd,ndk->nk", vectors[labels], maps[domain[labels]]) + offsets[domain[labels]]
                return (z + 0.2 * rng.normal(size=(len(labels), D))).astype(np.float32)

            labels, test_labels = np.repeat(np.arange(32), 6), np.repeat(np.arange(32, 40), 6)
            names = tuple(map(str, range(40)))
            seen = SeenVideos.from_arrays(features(labels), labels=labels)
            test = Videos.from_arrays(features(test_labels))
            known = Classes(names[:32], vectors[:32], auxiliary=np.arange(32) >= 8)
            target = Target(videos=test) if weights == "visual" else None
            method = fitted(seen, known, target, weights=weights, strength=0.01, inverse=1.0)
            predicted = method.score(test, Classes(names[32:], vectors[32:])).argmax(axis=1)
            hits.append((predicted == test_labels - 32).mean())
        right[weights] = np.mean(hits)
    assert right["visual"] > right["none"] + 0.1
    assert right["visual"] > 0.3  # chance 0.125


def test_the_choice_holds_out_own_classes_only(monkeypatch):
    seen, classes, *_ = task(n_auxiliary=6)
    held_out = []
    from zslbench_methods import mte as module

    real = module.held_out_accuracy
    monkeypatch.setattr(module, "held_out_accuracy", lambda s, y, c: held_out.append(set(c.tolist())) or real(s, y, c))
    fitted(seen, classes)
    assert set().union(*held_out) == set(range(C))
