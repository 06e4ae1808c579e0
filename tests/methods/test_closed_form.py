"""Ridge, reverse ridge, kernel ridge and ESZSL against independent computations."""

import numpy as np
import pytest
from loops import laplacian_by_loop
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge as SklearnRidge

from zslbench.kernels import normalised
from zslbench.method import Budget, Classes, Report, SeenVideos, Target, Videos
from zslbench.videos import storage
from zslbench_methods.chance import Majority, Random
from zslbench_methods.eszsl import ESZSL
from zslbench_methods.pooled_krr import PooledKRR
from zslbench_methods.ridge import ReverseRidge, Ridge

pytestmark = pytest.mark.versions

RNG = np.random.default_rng(0)


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    vectors = normalised(rng.normal(size=(10, 7)))
    labels = np.arange(80) % 10
    x = vectors[labels] @ rng.normal(size=(7, 12)) + 0.3 * rng.normal(size=(80, 12)) + 3
    x = np.abs(x).astype(np.float32)
    classes = Classes(tuple("abcdefghij"), vectors.astype(np.float32))
    unseen = Classes(("x", "y", "z"), normalised(rng.normal(size=(3, 7))).astype(np.float32))
    test = np.abs(rng.normal(size=(20, 12)) + 3).astype(np.float32)
    return SeenVideos.from_arrays(x, labels=labels), classes, Videos.from_arrays(test), unseen


def fitted(method, data, target=None):
    seen, classes, _, _ = data
    method.fit(seen, classes, target, Report())
    return method


def test_ridge_is_scikit_learns_on_unit_features(data):
    seen, classes, test, unseen = data
    method = fitted(Ridge({"alpha": 2.0}), data)
    reference = SklearnRidge(alpha=2.0).fit(normalised(seen.pooled()), classes.vectors[seen.labels])
    expected = normalised(reference.predict(normalised(test.pooled()))) @ unseen.vectors.T
    np.testing.assert_allclose(method.score(test, unseen), expected, atol=1e-5)


def test_reverse_ridge_measures_distances_in_feature_space(data):
    seen, classes, test, unseen = data
    method = fitted(ReverseRidge({"alpha": 2.0}), data)
    reference = SklearnRidge(alpha=2.0).fit(classes.vectors[seen.labels], normalised(seen.pooled()))
    prototypes = reference.predict(unseen.vectors)
    x = normalised(test.pooled())
    expected = [[-np.sum((a - b) ** 2) for b in prototypes] for a in x]
    np.testing.assert_allclose(method.score(test, unseen), expected, atol=1e-5)


def test_ridge_takes_the_best_strength_on_held_out_seen_classes(data):
    report = Report()
    seen, classes, _, _ = data
    Ridge().fit(seen, classes, None, report)
    assert report.notes["chosen"].startswith("alpha=")


@pytest.mark.parametrize(
    ("method", "strengths"),
    [(Ridge, {"alpha": 0.1}), (ReverseRidge, {"alpha": 0.1}), (PooledKRR, {"strength": 1e-3, "smoothness": 0.3})],
)
def test_centring_is_the_same_method_on_class_vectors_less_the_seen_mean(data, method, strengths):
    seen, classes, test, unseen = data
    longer = (classes.vectors * np.arange(1, 11)[:, None]).astype(np.float32)  # lengths are taken off first
    unit = [row / np.sqrt((row**2).sum()) for row in longer.astype(float)]
    mean = sum(unit) / len(unit)

    def less_mean(vectors):
        rows = [row / np.sqrt((row**2).sum()) - mean for row in vectors.astype(float)]
        return np.array([row / np.sqrt((row**2).sum()) for row in rows], dtype=np.float32)

    found = fitted(method({"centre": True, **strengths}), (seen, Classes(classes.names, longer), test, unseen))
    moved = Classes(classes.names, less_mean(longer))
    plain = fitted(method({"centre": False, **strengths}), (seen, moved, test, unseen))
    expected = plain.score(test, Classes(unseen.names, less_mean(unseen.vectors)))
    np.testing.assert_allclose(found.score(test, unseen), expected, atol=2e-5)
    again = method({"centre": True})
    again.restore(found.state())
    np.testing.assert_allclose(again.score(test, unseen), expected, atol=2e-5)


@pytest.mark.parametrize("method", [Ridge, ReverseRidge, PooledKRR])
def test_held_out_classes_have_no_part_in_the_mean_while_strengths_are_chosen(data, method, monkeypatch):
    means, centre = [], method._centre
    monkeypatch.setattr(method, "_centre", lambda self, classes: (centre(self, classes), means.append(self._mean)))
    _, classes, _, _ = data
    fitted(method({"centre": True}), data)
    every = normalised(classes.vectors).mean(axis=0)
    *of_folds, last = means
    np.testing.assert_allclose(last, every, atol=1e-6)
    assert sum(np.abs(mean - every).max() > 0.01 for mean in of_folds) == 3


@pytest.mark.parametrize(("strength", "warned"), [(1e-5, True), (1e-1, False)])
def test_a_linear_kernel_warns_of_a_penalty_below_its_rounding_errors(data, strength, warned):
    seen, classes, _, _ = data
    large = SeenVideos.from_arrays(30 * seen.pooled(), labels=seen.labels)  # of squared length 100,000
    report = Report()
    PooledKRR({"kernel": "linear", "strength": strength, "smoothness": 0.3}).fit(large, classes, None, report)
    assert any("rounding errors" in each for each in report.warnings) == warned


@pytest.mark.parametrize("kernel", ["linear", "cosine", "rbf"])
def test_kernel_ridge_without_a_graph_is_scikit_learns(data, kernel):
    seen, classes, test, unseen = data
    params = {"kernel": kernel, "strength": 0.01, "laplacian": "none"}
    method = fitted(PooledKRR(params), data)
    x, z = seen.pooled(), test.pooled()
    if kernel == "cosine":
        x, z = normalised(x), normalised(z)
    reference = KernelRidge(alpha=0.01 * len(x), kernel="rbf" if kernel == "rbf" else "linear", gamma=method._gamma)
    expected = reference.fit(x, classes.vectors[seen.labels]).predict(z)
    np.testing.assert_allclose(method.embed(test), expected, atol=1e-4)
    np.testing.assert_allclose(method.score(test, unseen), normalised(expected) @ unseen.vectors.T, atol=1e-4)


def test_the_primal_and_the_dual_solution_agree(data):
    seen, classes, test, _ = data
    few = SeenVideos.from_arrays(seen.pooled()[:10], labels=seen.labels[:10])  # fewer videos than dimensions: dual
    method = PooledKRR({"kernel": "linear", "strength": 0.1, "laplacian": "none"})
    method.fit(few, classes, None, Report())
    x, y = few.pooled().astype(float), classes.vectors[few.labels]
    expected = test.pooled() @ np.linalg.solve(x.T @ x + 0.1 * 10 * np.eye(12), x.T @ y)
    np.testing.assert_allclose(method.embed(test), expected, atol=1e-4)


@pytest.mark.parametrize("transductive", [False, True])
def test_laplacian_regularisation_solves_the_published_system(data, transductive):
    seen, classes, test, labels = data
    if transductive:
        seen, test = _in_one_store(seen, test)
    params = {"strength": 0.01, "smoothness": 0.5, "neighbours": 4}
    params["laplacian"] = "train+test" if transductive else "train"
    method = PooledKRR(params)
    fitted(method, (seen, classes, test, labels), Target(videos=test) if transductive else None)
    x = seen.pooled().astype(float)
    if transductive:
        x = np.concatenate([x, test.pooled()])
    gram = np.exp(-method._gamma * ((x[:, None] - x[None]) ** 2).sum(axis=2))
    select = np.diag((np.arange(len(x)) < 80).astype(float))
    y = np.zeros((len(x), 7))
    y[:80] = classes.vectors[seen.labels]
    system = select @ gram + 0.01 * 80 * np.eye(len(x)) + 0.5 * laplacian_by_loop(x, 4) @ gram
    z = test.pooled().astype(float)
    cross = np.exp(-method._gamma * ((z[:, None] - x[None]) ** 2).sum(axis=2))
    np.testing.assert_allclose(method.embed(test), cross @ np.linalg.solve(system, y), atol=2e-4)


def _in_one_store(seen, test):
    """Return both as views of one store, as two views of one feature set are."""
    both = Videos.from_arrays(np.concatenate([seen.pooled(), test.pooled()]))
    store, rows = storage(both)
    return SeenVideos(store, rows[: len(seen)], seen.labels), both.take(rows[len(seen) :])


def test_only_the_transductive_graph_declares_unseen_videos():
    assert Budget.UNSEEN_VIDEOS not in PooledKRR().budget
    assert Budget.UNSEEN_VIDEOS in PooledKRR({"laplacian": "train+test"}).budget


@pytest.mark.parametrize("bandwidth", [1.0, 2.0])
def test_the_rbf_kernel_has_the_median_squared_distance(data, bandwidth):
    x = data[0].pooled().astype(float)
    distances = [((a - b) ** 2).sum() for i, a in enumerate(x) for b in x[:i]]
    method = fitted(PooledKRR({"bandwidth": bandwidth, "strength": 0.1, "smoothness": 0.0}), data)
    assert method._gamma == pytest.approx(1 / (bandwidth * np.median(distances)), rel=1e-5)


def test_chi2_kernel_is_the_exponential_of_minus_gamma_chi2(data):
    seen, classes, test, _ = data
    method = fitted(PooledKRR({"kernel": "chi2", "strength": 0.01, "laplacian": "none"}), data)
    x, z = seen.pooled().astype(float), test.pooled().astype(float)

    def gram(a, b):
        return np.exp([[-method._gamma * np.sum((p - q) ** 2 / (p + q)) for q in b] for p in a])

    expected = gram(z, x) @ np.linalg.solve(gram(x, x) + 0.8 * np.eye(80), classes.vectors[seen.labels])
    np.testing.assert_allclose(method.embed(test), expected, atol=1e-3)


def test_eszsls_targets_are_those_of_the_authors_code():
    assert ESZSL().params.targets == "binary"


@pytest.mark.parametrize("targets", ["signed", "binary"])
def test_eszsl_is_the_papers_formula(data, targets):
    seen, classes, test, unseen = data
    method = fitted(ESZSL({"gamma": 0.01, "lambda_": 0.02, "targets": targets}), data)
    x = normalised(seen.pooled()).astype(float).T
    s = classes.vectors.astype(float).T
    y = np.eye(10)[seen.labels]
    y = 2 * y - 1 if targets == "signed" else y
    left = np.linalg.inv(x @ x.T + 0.01 * 80 * np.eye(12))
    right = np.linalg.inv(s @ s.T + 0.02 * 10 * np.eye(7))
    expected = normalised(test.pooled()) @ (left @ x @ y @ s.T @ right) @ unseen.vectors.T
    np.testing.assert_allclose(method.score(test, unseen), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["Ridge", "ReverseRidge", "PooledKRR", "ESZSL"])
def test_permuted_classes_permute_the_scores_and_company_does_not_matter(data, name):
    _, _, test, unseen = data
    method = fitted(globals()[name](), data)
    scores = method.score(test, unseen)
    order = np.array([2, 0, 1])
    np.testing.assert_allclose(method.score(test, unseen.take(order)), scores[:, order], atol=1e-6)
    np.testing.assert_allclose(method.score(test, unseen.take(np.array([1]))), scores[:, [1]], atol=1e-6)
    np.testing.assert_allclose(method.score(test.take([5, 6]), unseen), scores[5:7], atol=1e-6)


def test_random_scores_are_at_chance_and_depend_on_no_company():
    rng = np.random.default_rng(0)
    test = Videos.from_arrays(rng.normal(size=(4000, 9)).astype(np.float32))
    classes = Classes(tuple("abcde"), np.eye(5, dtype=np.float32))
    scores = Random(seed=3).score(test, classes)
    assert np.bincount(scores.argmax(axis=1), minlength=5) / 4000 == pytest.approx(0.2, abs=0.05)
    np.testing.assert_allclose(
        Random(seed=3).score(test.take([7]), classes.take([4, 0])), scores[[7]][:, [4, 0]], atol=1e-6
    )
    assert not np.allclose(Random(seed=4).score(test, classes), scores)


def test_majority_is_told_the_counts_and_nothing_else():
    test = Videos.from_arrays(np.ones((3, 2), dtype=np.float32))
    classes = Classes(("a", "b"), np.eye(2, dtype=np.float32))
    method = Majority()
    method.fit(None, classes, Target(counts={"a": 3, "b": 9}), Report())
    assert method.score(test, classes).argmax(axis=1).tolist() == [1, 1, 1]
    assert method.budget == {Budget.ORACLE}
