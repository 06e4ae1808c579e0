"""Kernel ridge regression over 50 splits against a loop over scikit-learn's KernelRidge."""

import time

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from zslbench.datasets.splits import random_family
from zslbench.kernels import normalised
from zslbench.method import Classes, Report
from zslbench.videos import FrameStore, SeenVideos, Videos
from zslbench_methods.pooled_krr import PooledKRR

N, DIM, N_CLASSES = 13_320, 384, 101
REFERENCE_SPLITS = 2  # scikit-learn takes seconds a split; its mean over two stands for all fifty


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = np.arange(N) % N_CLASSES
    vectors = normalised(rng.normal(size=(N_CLASSES, 300)).astype(np.float32))
    x = normalised(vectors[labels] @ rng.normal(size=(300, DIM)).astype(np.float32) + rng.normal(size=(N, DIM)))
    names = [f"class{i:03d}" for i in range(N_CLASSES)]
    return x.astype(np.float32), labels, vectors, names, random_family("random-50/50", "benchmark", names)


def ours(data, kernel, indices):
    x, labels, vectors, names, family = data
    store = FrameStore(x, np.arange(N), np.ones(N, dtype=int))
    predictions = {}
    for index in indices:
        split = family.splits[index]
        place = {name: i for i, name in enumerate(split.seen)}
        seen_label = np.array([place.get(name, -1) for name in names])[labels]
        rows = np.flatnonzero(seen_label >= 0)
        seen = SeenVideos(store, rows, seen_label[rows])
        classes = Classes(split.seen, vectors[[names.index(name) for name in split.seen]])
        method = PooledKRR({"kernel": kernel, "strength": 1e-4, "laplacian": "none"})
        method.fit(seen, classes, None, Report())
        predictions[index] = (method.embed(Videos(store, np.flatnonzero(seen_label < 0))), method._gamma)
    return predictions


def reference(data, kernel, index, gamma):
    x, labels, vectors, names, family = data
    seen = np.isin(labels, [names.index(name) for name in family.splits[index].seen])
    x = x.astype(np.float64)
    model = KernelRidge(alpha=1e-4 * seen.sum(), kernel="linear" if kernel == "cosine" else "rbf", gamma=gamma)
    return model.fit(x[seen], vectors[labels[seen]]).predict(x[~seen])


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "splits", "wanted"), [("cosine", 50, "a ratio of 10 or more"), ("rbf", 3, "-")])
def test_pooled_krr_over_splits(benchmark, data, kernel, splits, wanted):
    predictions = benchmark.pedantic(ours, args=(data, kernel, range(splits)), rounds=1)
    mine = benchmark.stats.stats.mean / splits
    start = time.perf_counter()
    for index in range(REFERENCE_SPLITS):
        predicted, gamma = predictions[index]
        np.testing.assert_allclose(predicted, reference(data, kernel, index, gamma), atol=2e-3)
    theirs = (time.perf_counter() - start) / REFERENCE_SPLITS
    found = {"splits": splits, "seconds_a_split": mine, "scikit_learn": theirs, "ratio": theirs / mine}
    benchmark.extra_info |= found | {"wanted": wanted}
