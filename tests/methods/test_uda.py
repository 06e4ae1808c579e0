"""UDA: each step against an independent solver, their alternation, and what is coded after the fit."""

import numpy as np
import pytest
from loops import numeric_gradient
from scipy.special import softmax

from zslbench.errors import ZslbenchError
from zslbench.kernels import normalised
from zslbench.method import Classes, Report, SeenVideos, Target, Videos
from zslbench_methods._uda import bounded_dictionary, objective, propagated, sparse_codes
from zslbench_methods.conse import ConSE
from zslbench_methods.uda import UDA


def problem(n=30, dim=9, d=6, size=1.0, seed=0):
    """Return features, a dictionary and what pulls the codes."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)), size * rng.normal(size=(dim, d)), rng.normal(size=(n, d))


def fista(x, dictionary, pull, l2, l3, steps=2000):
    """Return the codes by accelerated proximal gradient steps on the rows [D; sqrt(l2) I]."""
    d = dictionary.shape[1]
    rows = np.vstack([dictionary, np.sqrt(l2) * np.eye(d)])
    wanted = np.hstack([x, np.sqrt(l2) * pull])
    rate = 1 / (2 * np.linalg.norm(rows, 2) ** 2)
    codes = ahead = np.zeros((len(x), d))
    t = 1.0
    for _ in range(steps):
        moved = ahead - rate * 2 * (ahead @ rows.T - wanted) @ rows
        after = np.sign(moved) * np.maximum(np.abs(moved) - rate * l3, 0)
        t_after = (1 + np.sqrt(1 + 4 * t * t)) / 2
        ahead = after + (t - 1) / t_after * (after - codes)
        codes, t = after, t_after
    return codes


@pytest.mark.parametrize(("l2", "l3"), [(0.1, 2.0), (1.0, 3.0), (5.0, 8.0)])
def test_the_codes_are_those_of_a_proximal_gradient_loop(l2, l3):
    x, dictionary, pull = problem()
    codes = sparse_codes(x, dictionary, pull, l2, l3, tolerance=1e-12)
    expected = fista(x, dictionary, pull, l2, l3)
    np.testing.assert_allclose(codes, expected, atol=1e-6)
    assert 0.1 < (expected == 0).mean() < 0.9  # or sparsity would not be tested
    np.testing.assert_array_equal(codes[np.abs(expected) < 1e-9], 0)


def test_the_codes_satisfy_the_optimality_conditions():
    x, dictionary, pull = problem(n=50, dim=40, d=25, size=0.2)
    codes = sparse_codes(x, dictionary, pull, 0.3, 1.0, tolerance=1e-12)
    slope = 2 * (codes @ dictionary.T - x) @ dictionary + 2 * 0.3 * (codes - pull)
    used = codes != 0
    assert used.any()
    assert not used.all()
    np.testing.assert_allclose(slope[used], -np.sign(codes[used]), atol=1e-6)
    assert np.abs(slope[~used]).max() <= 1 + 1e-6


def test_codes_that_need_not_be_sparse_are_those_of_least_squares():
    x, dictionary, pull = problem()
    codes = sparse_codes(x, dictionary, pull, 0.4, 0.0)
    rows = np.vstack([dictionary, np.sqrt(0.4) * np.eye(6)])
    expected = np.linalg.lstsq(rows, np.hstack([x, np.sqrt(0.4) * pull]).T)[0].T
    np.testing.assert_allclose(codes, expected, atol=1e-10)
    np.testing.assert_allclose(sparse_codes(x, dictionary, pull, 0.4, 1e-9, tolerance=1e-12), expected, atol=1e-6)


def test_one_video_and_one_value_are_coded_alike():
    x, dictionary, pull = problem()
    whole = sparse_codes(x, dictionary, pull, 0.1, 2.0, tolerance=1e-10)
    np.testing.assert_allclose(
        sparse_codes(x[:1], dictionary, pull[:1], 0.1, 2.0, tolerance=1e-10), whole[:1], atol=1e-7
    )
    x, dictionary, pull = problem(d=1)
    np.testing.assert_allclose(
        sparse_codes(x, dictionary, pull, 0.1, 2.0, tolerance=1e-10), fista(x, dictionary, pull, 0.1, 2.0), atol=1e-7
    )


def dictionary_loss(dictionary, gram, cross):
    return np.trace(dictionary @ gram @ dictionary.T) - 2 * np.trace(dictionary @ cross.T)


def projected_gradient(gram, cross, steps=20_000):
    rate = 1 / (2 * np.linalg.norm(gram, 2))
    dictionary = np.zeros(cross.shape)
    for _ in range(steps):
        dictionary = dictionary - rate * 2 * (dictionary @ gram - cross)
        dictionary = dictionary / np.maximum(np.linalg.norm(dictionary, axis=0), 1)
    return dictionary


@pytest.mark.parametrize("size", [0.5, 1.0, 3.0, 30.0])
def test_the_dictionary_is_that_of_a_projected_gradient_loop(size):
    rng = np.random.default_rng(1)
    codes = rng.normal(size=(40, 6)) * [0.3, 0.5, 1, 1, 2, 3]
    x = size * codes @ rng.normal(size=(6, 9)) / 3 + rng.normal(size=(40, 9))
    gram, cross = codes.T @ codes + 0.5 * np.eye(6), x.T @ codes
    found, expected = bounded_dictionary(gram, cross), projected_gradient(gram, cross)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    lengths = np.linalg.norm(found, axis=0)
    assert lengths.max() <= 1 + 1e-12
    least = dictionary_loss(expected, gram, cross)
    assert dictionary_loss(found, gram, cross) <= least + 1e-6 * abs(least)
    if size == 1.0:
        assert 0 < np.isclose(lengths, 1).sum() < 6  # some atoms are held back, some are not


def test_a_dictionary_of_short_atoms_is_the_ridge_solution_towards_the_source():
    x, source, codes = problem(n=40, size=0.1)
    tie = 3.0
    found = bounded_dictionary(codes.T @ codes + tie * np.eye(6), 0.1 * x.T @ codes + tie * source)
    assert np.linalg.norm(found, axis=0).max() < 1

    def loss(dictionary):
        return ((0.1 * x - codes @ dictionary.T) ** 2).sum() + tie * ((dictionary - source) ** 2).sum()

    np.testing.assert_allclose(numeric_gradient(loss, found, 1e-4), 0, atol=1e-6)  # and the loss is convex


def test_the_objective_is_the_written_one_up_to_a_constant():
    x, dictionary, _ = problem()
    rng = np.random.default_rng(2)
    prototypes, weights = rng.normal(size=(4, 6)), softmax(rng.normal(size=(30, 4)), axis=1)
    source = rng.normal(size=dictionary.shape)

    def written(codes):
        total = 3.0 * ((dictionary - source) ** 2).sum()
        for i, y in enumerate(codes):
            total += ((x[i] - dictionary @ y) ** 2).sum() + 0.2 * np.abs(y).sum()
            total += 0.7 * sum(weights[i, j] * ((y - prototypes[j]) ** 2).sum() for j in range(4))
        return total

    def short(codes):
        return objective(x, codes, dictionary, source, weights @ prototypes, (3.0, 0.7, 0.2))

    one, two = rng.normal(size=(2, 30, 6))
    assert short(one) - short(two) == pytest.approx(written(one) - written(two))


def task(n_classes=16, d=6, dim=20, noise=0.25, shift=0.6, seed=3):
    """Return a task whose unseen videos are made by another dictionary than the seen ones."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_classes + 5, d)).astype(np.float32)
    source = rng.normal(size=(d, dim)) / np.sqrt(dim)
    target = source + shift * rng.normal(size=(d, dim)) / np.sqrt(dim)

    def features(of, decoder):
        return (normalised(vectors)[of] @ decoder + noise * rng.normal(size=(len(of), dim)) / np.sqrt(dim)).astype(
            np.float32
        )

    labels, test_labels = np.arange(12 * n_classes) % n_classes, np.arange(200) % 5
    seen = SeenVideos.from_arrays(features(labels, source), labels=labels)
    test = Videos.from_arrays(features(n_classes + test_labels, target))
    names = tuple(f"class {i}" for i in range(n_classes + 5))
    return seen, Classes(names[:-5], vectors[:-5]), test, Classes(names[-5:], vectors[-5:]), test_labels


def fitted(seen, classes, test, unseen, report=None, **params):
    method = UDA(params)
    method.fit(seen, classes, Target(classes=unseen, videos=test), report or Report())
    return method


def accuracy(method, test, unseen, labels):
    return (method.score(test, unseen).argmax(axis=1) == labels).mean()


@pytest.mark.parametrize("params", [{}, {"lambda_3": 0.0}, {"weights": "iap"}, {"lambda_1": 1e-6, "lambda_3": 0.3}])
def test_no_round_raises_the_objective(params):
    report = Report()
    fitted(*task()[:4], report, rounds=8, **params)
    values = np.array([epoch["objective"] for epoch in report.epochs])
    assert len(values) == 8
    assert (np.diff(values) <= 1e-9 * values[0]).all()
    assert values[-1] < values[0] - 1e-6


@pytest.mark.parametrize("params", [{}, {"lambda_3": 0.0}, {"labels": "propagation"}, {"weights": "iap"}])
def test_it_learns_classes_it_has_never_seen(params):
    seen, classes, test, unseen, labels = task()
    assert accuracy(fitted(seen, classes, test, unseen, **params), test, unseen, labels) > 0.6  # chance 0.2


def test_adaptation_recognises_more_where_the_target_has_another_dictionary():
    adapted, source = [], []
    for seed in range(4):
        *given, labels = task(seed=seed, shift=1.5)
        adapted.append(accuracy(fitted(*given), *given[2:], labels))
        source.append(accuracy(fitted(*given, rounds=1), *given[2:], labels))
    assert np.mean(adapted) > np.mean(source) + 0.03
    assert sum(np.greater_equal(adapted, source)) >= 3


def test_a_target_that_weighs_nothing_leaves_the_source_dictionary():
    seen, classes, test, unseen, _ = task()
    state = fitted(seen, classes, test, unseen, lambda_1=1e9).state()
    np.testing.assert_allclose(state["dictionary"], state["source"], atol=1e-6)


def test_the_source_dictionary_is_the_ridge_solution():
    from sklearn.linear_model import Ridge

    seen, classes, test, unseen, _ = task()
    found = fitted(seen, classes, test, unseen, gamma=0.2).state()["source"]
    x, y = normalised(seen.pooled().astype(float)), normalised(classes.vectors.astype(float))[seen.labels]
    ridge = Ridge(alpha=0.2 * len(x), fit_intercept=False).fit(y, x - x.mean(axis=0))
    np.testing.assert_allclose(found, ridge.coef_, atol=1e-6)


@pytest.mark.parametrize("weights", ["source", "iap"])
def test_codes_are_pulled_to_the_weighted_class_vectors(weights):
    seen, classes, test, unseen, _ = task()
    method = fitted(seen, classes, test, unseen, weights=weights, lambda_2=1e6, lambda_3=0.0, temperature=0.3)
    p = normalised(unseen.vectors.astype(float))
    if weights == "source":
        x = normalised(test.pooled().astype(float)) - method.state()["mean"]
        cosines = normalised(x) @ normalised(p @ method.state()["source"].T).T
    else:
        iap = ConSE({"top": len(classes), "strength": 1e-3})
        iap.fit(seen, classes, None, Report())
        cosines = iap.score(test, unseen)
    np.testing.assert_allclose(method.embed(test), softmax(cosines / 0.3, axis=1) @ p, atol=1e-4)


def test_after_the_fit_other_videos_and_other_classes_are_scored_too():
    seen, classes, test, unseen, labels = task()
    method = fitted(seen, classes, test, unseen)
    both = Classes(classes.names + unseen.names, np.concatenate([classes.vectors, unseen.vectors]))
    scores = method.score(test, both)
    np.testing.assert_allclose(scores[:, -5:], method.score(test, unseen), atol=1e-12)
    np.testing.assert_allclose(method.score(test.take([7, 2]), both), scores[[7, 2]], atol=1e-6)
    some = fitted(seen, classes, test.take(np.arange(150)), unseen)
    others = test.take(np.arange(150, 200))
    assert accuracy(some, others, unseen, labels[150:]) > 0.5  # chance 0.2


def test_classes_and_videos_of_both_kinds_may_be_the_target():
    seen, classes, test, unseen, labels = task()
    both = Classes(classes.names + unseen.names, np.concatenate([classes.vectors, unseen.vectors]))
    method = fitted(seen, classes, test, both)
    assert (method.score(test, both).argmax(axis=1) == labels + len(classes)).mean() > 0.2  # chance 0.05


def test_without_a_target_it_says_what_it_needs():
    seen, classes, *_ = task()
    with pytest.raises(ZslbenchError, match="unseen classes and their unlabelled videos"):
        UDA().fit(seen, classes, None, Report())


@pytest.mark.parametrize("spread", [0.0, 0.4, 0.8])
def test_propagation_is_the_solution_of_its_linear_system(spread):
    rng = np.random.default_rng(4)
    codes, scores = normalised(rng.normal(size=(25, 4))), rng.normal(size=(25, 3))
    cosines = codes @ codes.T - 9 * np.eye(25)
    near = np.zeros((25, 25))
    np.put_along_axis(near, np.argsort(-cosines, axis=1)[:, :3], 1, axis=1)
    graph = np.maximum(near, near.T)
    degrees = graph.sum(axis=1)
    smooth = graph / np.sqrt(degrees[:, None] * degrees[None, :])
    expected = (1 - spread) * np.linalg.solve(np.eye(25) - spread * smooth, scores)
    np.testing.assert_allclose(propagated(scores, codes, 3, spread), expected, atol=1e-4)


def test_a_lone_video_keeps_its_scores():
    scores = np.array([[0.3, 0.1]])
    np.testing.assert_array_equal(propagated(scores, np.ones((1, 2)), 5, 0.5), scores)
