"""KDICA's components against the eigenproblem of the n x n matrices, written out in loops, and kernel PCA."""

import numpy as np
import pytest
from attribute_world import fitted, world
from scipy.linalg import eigh
from sklearn.decomposition import KernelPCA

from zslbench.method import Report
from zslbench_methods._attributes import attribute_scores
from zslbench_methods._dica import KernelFeatures, components
from zslbench_methods.kdica import KDICA

RNG = np.random.default_rng(4)
LABELS = np.repeat(np.arange(5), [4, 6, 5, 8, 7])
VALUES = np.array([[0, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 1.0]])
X = VALUES[LABELS] @ RNG.normal(size=(3, 4)) + 0.5 * RNG.normal(size=(30, 4))
NEW = RNG.normal(size=(9, 4))


def projected(x, *, landmarks=X, **how):
    """Return the training videos and others on the components."""
    features = KernelFeatures.of(landmarks, 1.0)
    mean = features(X).mean(axis=0)
    default = {"count": 4, "alignment": 0, "invariance": 1, "ridge": 0}
    directions = components(features(X) - mean, LABELS, VALUES, **default | how)
    return (features(X) - mean) @ directions, (features(x) - mean) @ directions


def matrices():
    """Return the centred K and K_t, the domain-variance matrix L and the centred attribute kernel A, n x n each."""
    gamma = 1 / np.median([((X[i] - X[j]) ** 2).sum() for i in range(30) for j in range(i)])
    kernel = np.array([[np.exp(-gamma * ((a - b) ** 2).sum()) for b in X] for a in X])
    new = np.array([[np.exp(-gamma * ((a - b) ** 2).sum()) for b in X] for a in NEW])
    ones = np.full((30, 30), 1 / 30)
    new_ones = np.full((9, 30), 1 / 30)
    centred_new = new - new_ones @ kernel - new @ ones + new_ones @ kernel @ ones
    variance, groups, sizes = np.empty((30, 30)), 5, np.bincount(LABELS)
    for i, a in enumerate(LABELS):
        for j, b in enumerate(LABELS):
            variance[i, j] = (a == b) / (groups * sizes[a] ** 2) - 1 / (groups**2 * sizes[a] * sizes[b])
    centre = np.eye(30) - ones
    inner = np.array([[VALUES[a] @ VALUES[b] for b in LABELS] for a in LABELS])
    return centre @ kernel @ centre, centred_new, variance, centre @ inner @ centre


@pytest.mark.parametrize("ridge", [0, 0.1, 3])
@pytest.mark.parametrize(("alignment", "invariance"), [(0, 1), (0.5, 1), (0.9, 30), (1, 0)])
def test_projections_are_those_of_the_generalised_eigenproblem_of_the_kernel_matrices(alignment, invariance, ridge):
    k, new, variance, aligned = matrices()
    above = (1 - alignment) * k @ k + alignment * k @ aligned @ k / np.linalg.norm(aligned)
    below = invariance * k @ variance @ k + k
    values, vectors = eigh(above, below + max(ridge, 1e-9) * np.eye(30))
    best = np.argsort(-values)[:3]
    scaled = vectors[:, best] / np.sqrt(values[best])
    train, test = projected(NEW, count=3, alignment=alignment, invariance=invariance, ridge=ridge)
    signs = np.sign((train * (k @ scaled)).sum(axis=0))
    np.testing.assert_allclose(train * signs, k @ scaled, atol=1e-5)
    np.testing.assert_allclose(test * signs, new @ scaled, atol=1e-5)


def test_without_attributes_and_domains_components_are_those_of_kernel_pca():
    train, test = projected(NEW, invariance=0)
    gamma = KernelFeatures.of(X, 1.0).gamma
    pca = KernelPCA(4, kernel="rbf", gamma=gamma).fit(X)
    expected, length = pca.transform(X), np.linalg.norm(pca.transform(X), axis=0)
    signs = np.sign((train * expected).sum(axis=0))
    np.testing.assert_allclose(train * signs, expected / length, atol=1e-8)
    np.testing.assert_allclose(test * signs, pca.transform(NEW) / length, atol=1e-8)


def test_fully_aligned_components_have_unit_alignment_with_the_attributes_each():
    aligned = matrices()[3]
    train, _ = projected(NEW, alignment=1, count=3)
    np.testing.assert_allclose(train.T @ aligned @ train / np.linalg.norm(aligned), np.eye(3), atol=1e-10)


def test_more_invariance_makes_classes_alike():
    def share(invariance):
        train, _ = projected(NEW, invariance=invariance)
        means = np.array([train[c == LABELS].mean(axis=0) for c in range(5)])
        return means.var(axis=0).sum() / train.var(axis=0).sum()

    assert share(0) > share(1) > share(100) > share(10_000)
    assert share(10_000) < 0.01 * share(0)


def test_the_kernel_is_exact_beside_a_landmark_and_nearer_elsewhere_with_more_of_them():
    gamma, errors = KernelFeatures.of(X, 1.0).gamma, []
    exact = np.exp(-gamma * ((X[:, None] - X) ** 2).sum(axis=2))
    for m in (3, 12, 30):
        bandwidth = KernelFeatures.of(X[:m], 1.0).gamma / gamma  # the same gamma from other medians
        features = KernelFeatures.of(X[:m], bandwidth)
        approximate = features(X) @ features(X).T
        np.testing.assert_allclose(approximate[:m], exact[:m], atol=1e-6)
        errors.append(abs(approximate - exact).mean())
    assert errors[0] > 2 * errors[1] > 0.01
    assert errors[2] < 1e-6


def test_scores_are_those_of_attribute_classifiers_on_the_components():
    seen, classes, test, unseen, _ = world()
    method = fitted(KDICA, seen, classes, components=6, strength=1e-3)
    state = method.state()
    x = test.pooled().astype(float)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    kernel = np.array([[np.exp(-state["gamma"] * ((a - b) ** 2).sum()) for b in state["landmarks"]] for a in x])
    logits = (kernel @ state["projection"] - state["offset"]) @ state["weights"].T + state["bias"]
    yes, no = -np.log1p(np.exp(-logits)), -np.log1p(np.exp(logits))
    expected = attribute_scores(yes, no, unseen.attributes, classes.attributes.mean(axis=0))
    np.testing.assert_allclose(method.score(test, unseen), expected, atol=1e-4)


@pytest.mark.parametrize("landmarks", [1000, 40])
def test_it_learns_classes_it_has_never_seen(landmarks):
    seen, classes, test, unseen, labels = world()
    report = Report()
    scores = fitted(KDICA, seen, classes, report, landmarks=landmarks).score(test, unseen)
    assert (scores.argmax(axis=1) == labels).mean() > 0.7  # chance 0.25
    assert 0.3 < report.notes["held_out_top1_per_class"] <= 1  # chance 0.125


def test_components_have_the_size_of_features_of_unit_length():
    seen, classes, *_ = world()
    state = fitted(KDICA, seen, classes, components=5).state()
    x = seen.pooled().astype(float)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    kernel = np.exp(-state["gamma"] * ((x[:, None] - state["landmarks"]) ** 2).sum(axis=2))
    values = kernel @ state["projection"] - state["offset"]
    assert values.shape[1] == 5
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-8)
    assert (values**2).sum(axis=1).mean() == pytest.approx(1)
