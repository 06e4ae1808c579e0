"""TZS: pooled-krr by another name, and the steps on top of it."""

import numpy as np
import pytest
from loops import laplacian_by_loop

from zslbench.errors import ZslbenchError
from zslbench.kernels import normalised
from zslbench.method import Budget, Report
from zslbench.registry import get_method
from zslbench.testing import CheckState, check_method, tiny_task
from zslbench.videos import Videos
from zslbench_methods.pooled_krr import PooledKRR
from zslbench_methods.tzs import TZS


def fitted(method, task):
    from zslbench.run.evaluate import _target

    method.fit(task.train, task.seen_classes, _target(method.budget, task), Report())
    return method


@pytest.mark.parametrize("params", [{}, *TZS.presets.values()])
def test_it_is_pooled_krr(params):
    task = tiny_task()
    scores = [fitted(method(params), task).score(task.test, task.test_classes) for method in (TZS, PooledKRR)]
    np.testing.assert_array_equal(*scores)


def test_the_transductive_preset_is_laprls_over_training_and_test_videos():
    task = tiny_task()
    method = fitted(TZS(TZS.presets["transductive"] | {"strength": 0.01, "smoothness": 0.3, "neighbours": 4}), task)
    assert Budget.UNSEEN_VIDEOS in method.budget
    assert Budget.UNSEEN_VIDEOS not in TZS().budget
    x = np.concatenate([task.train.pooled(), task.test.pooled()]).astype(float)
    n, every = len(task.train), len(x)
    gram = np.array([[np.exp(-method._gamma * np.sum((a - b) ** 2)) for b in x] for a in x])
    select, labels = np.zeros((every, every)), np.zeros((every, 10))
    for i in range(n):
        select[i, i] = 1
        labels[i] = task.seen_classes.vectors[task.train.labels[i]]
    system = select @ gram + 0.01 * n * np.eye(every) + 0.3 * laplacian_by_loop(x, 4) @ gram
    expected = normalised(gram[n:] @ np.linalg.solve(system, labels)) @ task.test_classes.vectors.T
    np.testing.assert_allclose(method.score(task.test, task.test_classes), expected, atol=2e-3)


def test_without_smoothness_test_videos_change_nothing_and_are_not_kept():
    task = tiny_task()
    fixed = {"strength": 0.01, "smoothness": 0.0}
    both = [fitted(TZS({**fixed, "laplacian": graph}), task) for graph in ("train", "train+test")]
    np.testing.assert_array_equal(*(method.score(task.test, task.test_classes) for method in both))
    assert len(both[1].state()["train"]) == len(task.train)


def test_the_icip_preset_is_kernel_ridge_with_the_exponential_chi2_kernel():
    task = tiny_task()
    method = fitted(TZS(TZS.presets["icip2015"] | {"strength": 0.01}), task)
    x, z = (v.pooled().astype(float) for v in (task.train, task.test))

    def chi2(a, b):
        return np.array(
            [[sum((p - q) ** 2 / (p + q) for p, q in zip(u, v, strict=True) if p + q) for v in b] for u in a]
        )

    off = ~np.eye(len(x), dtype=bool)
    assert method._gamma == pytest.approx(1 / chi2(x, x)[off].mean(), rel=1e-4)
    gram, cross = np.exp(-method._gamma * chi2(x, x)), np.exp(-method._gamma * chi2(z, x))
    targets = task.seen_classes.vectors[task.train.labels]
    expected = cross @ np.linalg.solve(gram + 0.01 * len(x) * np.eye(len(x)), targets)
    np.testing.assert_allclose(method.embed(task.test), expected, atol=2e-3)


def test_it_learns_classes_it_has_never_seen():
    task = tiny_task(per_class=12, dim=16)
    for method in (
        TZS(),
        TZS(TZS.presets["transductive"]),
        get_method("tzs+self-training")({"self_training": {"neighbours": 12}}),
    ):
        scores = fitted(method, task).score(task.test, task.test_classes)
        assert (scores.argmax(axis=1) == task.labels).mean() > 0.6  # chance 0.2


def test_chi2_of_negative_features_names_the_remedy():
    task = tiny_task(frames=lambda values: values - 3)
    with pytest.raises(ZslbenchError, match="negative features; add --set tzs.kernel=rbf"):
        fitted(TZS(TZS.presets["icip2015"]), task)


def test_chi2_of_negative_test_features_is_a_sentence_too():
    task = tiny_task(frames=np.abs)
    method = fitted(TZS(TZS.presets["icip2015"]), task)
    with pytest.raises(ZslbenchError, match="negative features; use kernel=rbf"):
        method.score(Videos.from_arrays(-task.test.pooled()), task.test_classes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tzs+self-training", "tzs+gc"])
def test_it_conforms_with_steps(name):
    assert [v for v in check_method(get_method(name)) if v.state is CheckState.FAILED] == []
