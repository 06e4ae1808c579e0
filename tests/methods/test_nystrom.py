"""The solver on Nystrom centres against dense systems in float64, scikit-learn's KernelRidge and pooled-krr itself."""

import numpy as np
import pytest
from loops import laplacian_by_loop
from scipy.sparse.linalg import cg
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

from zslbench.kernels import normalised
from zslbench.method import Classes, Report, SeenVideos, Videos
from zslbench.testing import tiny_task
from zslbench_methods import _nystrom
from zslbench_methods._graph import chi2_map, knn_laplacian
from zslbench_methods._nystrom import MOST_DENSE, centres_that_fit, falkon
from zslbench_methods.pooled_krr import PooledKRR

pytestmark = pytest.mark.versions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6))
Y = RNG.normal(size=(300, 3))
GAMMA = 0.1


@pytest.mark.parametrize(("labelled", "smoothness"), [(300, 0.0), (300, 0.3), (200, 0.3), (200, 2.0)])
@pytest.mark.parametrize("strength", [1e-4, 1e-2, 1.0])
def test_the_solution_is_that_of_the_normal_equations(labelled, smoothness, strength):
    centres = X[RNG.permutation(300)[:60]]
    cross, inner = rbf_kernel(X, centres, GAMMA), rbf_kernel(centres, centres, GAMMA)
    graph = knn_laplacian(X, 5)
    found = falkon(cross, inner, Y[:labelled], strength, laplacian=graph, smoothness=smoothness)
    keep = np.diag((np.arange(300) < labelled).astype(float))
    system = cross.T @ (keep + smoothness * laplacian_by_loop(X, 5)) @ cross + strength * labelled * inner
    expected = np.linalg.solve(system + 1e-9 * np.eye(60), cross[:labelled].T @ Y[:labelled])
    assert found.converged
    np.testing.assert_allclose(cross @ found.coefficients, cross @ expected, atol=2e-3)


@pytest.mark.parametrize("strength", [1e-3, 1e-1])
def test_with_all_videos_as_centres_it_is_scikit_learns_kernel_ridge(strength):
    kernel = rbf_kernel(X, X, GAMMA)
    found = falkon(kernel, kernel, Y, strength)
    expected = KernelRidge(alpha=strength * 300, kernel="precomputed").fit(kernel, Y).predict(kernel)
    np.testing.assert_allclose(kernel @ found.coefficients, expected, atol=1e-3)


def test_kernel_values_in_float32_cost_no_accuracy():
    centres = X[:80]
    cross, inner = rbf_kernel(X, centres, GAMMA), rbf_kernel(centres, centres, GAMMA)
    exact, rounded = (falkon(cross.astype(kind), inner, Y, 1e-4) for kind in (np.float64, np.float32))
    np.testing.assert_allclose(cross @ rounded.coefficients, cross @ exact.coefficients, atol=1e-3)


def test_the_preconditioner_makes_iterations_few_and_a_graph_adds_few():
    centres, strength = X[:150], 1e-3
    cross, inner = rbf_kernel(X, centres, GAMMA), rbf_kernel(centres, centres, GAMMA)
    plain = falkon(cross, inner, Y, strength)
    smooth = falkon(cross, inner, Y, strength, laplacian=knn_laplacian(X, 10), smoothness=0.3)
    steps = []
    system, right = cross.T @ cross + strength * 300 * inner, cross.T @ Y[:, 0]
    cg(system, right, rtol=1e-5, maxiter=1000, callback=steps.append)
    assert len(steps) > 5 * plain.iterations
    assert smooth.iterations <= 1.5 * plain.iterations


def test_equal_centres_and_columns_of_zeros_are_no_obstacle():
    centres = np.concatenate([X[:20], X[:20]])
    cross, inner = rbf_kernel(X, centres, GAMMA), rbf_kernel(centres, centres, GAMMA)
    targets = np.column_stack([Y[:, 0], np.zeros(300)])
    found = falkon(cross, inner, targets, 1e-3)
    single = falkon(cross[:, :20], inner[:20, :20], targets, 1e-3)
    np.testing.assert_allclose(cross @ found.coefficients, cross[:, :20] @ single.coefficients, atol=2e-3)
    assert not (cross @ found.coefficients)[:, 1].any()


def test_a_solution_that_has_not_converged_says_so(monkeypatch):
    monkeypatch.setattr(_nystrom, "_MOST_ITERATIONS", 1)
    kernel = rbf_kernel(X, X, GAMMA)
    found = falkon(kernel, kernel, Y, 1e-6)
    assert found.iterations == 1
    assert not found.converged


@pytest.mark.parametrize(
    ("videos", "gibibytes", "centres"),
    [
        (1_000, 0, None),  # half a GiB at most: not worth a question
        (6_700, 2, None),
        (6_700, 1, 6_700),  # all videos, without their n x n systems in float64
        (20_000, 16, None),
        (20_000, 8, 13_421),
        (20_001, 500, 13_421),
        (60_000, 64, 4_473),
        (60_000, 1, 1_118),
        (120_000, 64, 2_236),
    ],
)
def test_the_dense_system_is_solved_where_it_fits_and_centres_fit_a_quarter_of_the_memory(
    monkeypatch, videos, gibibytes, centres
):
    monkeypatch.setattr(_nystrom, "memory_at_hand", lambda: gibibytes << 30)
    assert centres_that_fit(videos) == centres
    if centres is not None:
        assert centres * videos * 4 <= min(1 << 30, (gibibytes << 30) / 4)
    else:
        assert videos <= MOST_DENSE


def test_the_memory_at_hand_is_what_is_free():
    import psutil

    assert 0 < _nystrom.memory_at_hand() <= psutil.virtual_memory().total


@pytest.mark.parametrize("metric", ["sqeuclidean", "precomputed"])
def test_the_laplacian_of_the_graph_is_that_of_its_definition(metric):
    given = X if metric == "sqeuclidean" else ((X[:, None] - X) ** 2).sum(axis=2)
    np.testing.assert_allclose(knn_laplacian(given, 4, metric=metric).toarray(), laplacian_by_loop(X, 4), atol=1e-12)


def test_neighbours_keep_their_order_where_all_videos_share_a_part():
    x = X.astype(np.float32)
    np.testing.assert_array_equal(
        knn_laplacian(x + np.float32(2048), 4).toarray() < 0,
        laplacian_by_loop((x + np.float32(2048)).astype(float), 4) < 0,
    )


def test_a_graph_of_one_video_has_no_edge():
    assert knn_laplacian(X[:1], 4).toarray().tolist() == [[0.0]]


def test_neighbours_by_the_chi2_map_are_those_by_the_distance():
    x = np.maximum(RNG.normal(size=(40, 32))[np.arange(600) % 40] + RNG.normal(size=(600, 32)), 0)
    x /= x.sum(axis=1, keepdims=True)
    total = x[:, None] + x
    exact = ((x[:, None] - x) ** 2 / np.where(total > 0, total, 1)).sum(axis=2)
    np.fill_diagonal(exact, np.inf)
    near = np.argsort(exact, axis=1)[:, :10]
    graph = (knn_laplacian(chi2_map(x), 10).toarray() < 0)[np.repeat(np.arange(600), 10), near.ravel()]
    assert graph.mean() > 0.95


def world(n=2_000, classes=20):
    """Return videos, the classes they are of, and test videos of others with these."""
    rng = np.random.default_rng(3)
    vectors = normalised(rng.normal(size=(classes + 10, 12))).astype(np.float32)
    means = np.abs(np.tanh(2 * vectors @ rng.normal(size=(12, 24))) + 1)

    def videos(labels):
        return np.abs(means[labels] + 0.5 * rng.normal(size=(len(labels), 24))).astype(np.float32)

    seen, new = np.arange(n) % classes, classes + np.arange(600) % 10
    names = tuple(f"class {i}" for i in range(classes + 10))
    every = Classes(names, vectors)
    known = SeenVideos.from_arrays(videos(seen), labels=seen), every.take(np.arange(classes))
    return *known, Videos.from_arrays(videos(new)), every.take(np.arange(classes, classes + 10)), new - classes


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"smoothness": 0.3, "strength": 1e-3},
        {"kernel": "chi2", "laplacian": "none"},
        pytest.param({"kernel": "cosine", "smoothness": 0.3}, marks=pytest.mark.slow),
        {"kernel": "linear", "strength": 1e-3, "smoothness": 0.0},
    ],
)
def test_centres_are_as_accurate_as_all_videos(params):
    seen, classes, test, unseen, labels = world()
    accuracy = {}
    for centres in (None, 500):
        report = Report()
        method = PooledKRR(params | {"centres": centres})
        method.fit(seen, classes, None, report)
        accuracy[centres] = (method.score(test, unseen).argmax(axis=1) == labels).mean()
        assert report.notes.get("centres") == centres
        assert not report.warnings
    assert accuracy[None] > 0.3  # chance 0.1
    assert abs(accuracy[500] - accuracy[None]) <= 0.02  # of 600 videos


def test_all_videos_as_centres_give_the_dense_scores(monkeypatch):
    monkeypatch.setattr(_nystrom, "_ALWAYS_DENSE", 0)
    task = tiny_task(per_class=20)
    fixed = {"strength": 1e-2, "smoothness": 0.3}
    scores = {}
    for free in (1 << 40, 1 << 19):
        monkeypatch.setattr(_nystrom, "memory_at_hand", lambda free=free: free)
        method, report = PooledKRR(fixed), Report()
        method.fit(task.train, task.seen_classes, None, report)
        scores["solver" in report.notes] = method.score(task.test, task.test_classes)
    assert set(scores) == {False, True}
    np.testing.assert_allclose(scores[True], scores[False], atol=0.02)


def test_a_graph_over_test_videos_is_solved_on_centres_too():
    seen, classes, test, unseen, labels = world()
    from zslbench.method import Target

    scores = []
    for centres in (None, 800):
        method = PooledKRR({"laplacian": "train+test", "strength": 1e-3, "smoothness": 0.3, "centres": centres})
        method.fit(seen, classes, Target(videos=test), Report())
        scores.append(method.score(test, unseen))
    accuracies = [(each.argmax(axis=1) == labels).mean() for each in scores]
    assert accuracies[0] > 0.3
    assert abs(accuracies[0] - accuracies[1]) <= 0.02


def test_a_model_on_centres_is_saved_with_these_alone():
    seen, classes, test, unseen, _ = world(n=400)
    method = PooledKRR({"centres": 50, "strength": 1e-2})
    method.fit(seen, classes, None, Report())
    state = method.state()
    assert len(state["train"]) == 50
    again = PooledKRR({"centres": 50, "strength": 1e-2})
    again.restore(state)
    np.testing.assert_allclose(again.score(test, unseen), method.score(test, unseen), atol=1e-5)
