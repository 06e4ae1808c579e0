import numpy as np
import pytest
from sklearn.metrics import pairwise as sk

from zslbench import kernels
from zslbench.errors import ZslbenchError
from zslbench.kernels import between, class_moments, pairwise
from zslbench.videos import FrameStore, SeenVideos, Videos, _held

RNG = np.random.default_rng(0)
X = RNG.uniform(0.1, 1, size=(30, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("inner", sk.linear_kernel),
        ("cosine", sk.cosine_similarity),
        ("sqeuclidean", lambda a, b: sk.euclidean_distances(a, b, squared=True)),
        ("chi2", lambda a, b: -sk.additive_chi2_kernel(a, b)),
    ],
)
def test_matrices_equal_scikit_learns_and_blocks_equal_the_whole(kind, expected):
    np.testing.assert_allclose(pairwise(X, X[:7], kind), expected(X, X[:7]), atol=1e-5)
    store = FrameStore(X, np.arange(30), np.ones(30, dtype=int))
    a, b = Videos(store, np.array([3, 9, 1])), Videos(store, np.array([29, 0]))
    np.testing.assert_allclose(between(a, b, kind), expected(X[[3, 9, 1]], X[[29, 0]]), atol=1e-5)


@pytest.mark.parametrize("offset", [0, 10, 100])
def test_distances_keep_their_digits_where_all_vectors_share_a_part(offset):
    x = (RNG.normal(size=(60, 32)) + offset).astype(np.float32)
    exact = sk.euclidean_distances(x.astype(np.float64), squared=True)
    np.testing.assert_allclose(pairwise(x[:40], x, "sqeuclidean"), exact[:40], atol=1e-6 * exact.max())


def test_chi2_distances_take_zeros_and_parts_and_refuse_negative_features(monkeypatch):
    monkeypatch.setattr(kernels, "_CACHED_VALUES", 20)  # four rows at a time
    x = np.where(X > 0.5, X, 0)
    x.flags.writeable = False
    np.testing.assert_allclose(pairwise(x, x[:7], "chi2"), -sk.additive_chi2_kernel(x.copy(), x[:7].copy()), atol=1e-5)
    with pytest.raises(ZslbenchError, match="negative features; use kernel=rbf"):
        pairwise(x, x - 0.1, "chi2")


def test_a_block_is_the_callers_own_to_change():
    store = FrameStore(X, np.arange(30), np.ones(30, dtype=int))
    view = Videos(store, np.arange(30))
    first = between(view, view, "inner")
    first *= 0
    assert between(view, view, "inner").any()


def test_views_of_two_feature_sets_are_compared_too():
    a, b = Videos.from_arrays(X[:4]), Videos.from_arrays(X[4:10])
    np.testing.assert_allclose(between(a, b, "inner"), X[:4] @ X[4:10].T, rtol=1e-5)


@pytest.mark.parametrize("unit", [False, True])
def test_class_moments_are_those_of_the_videos_of_the_view(unit):
    labels = RNG.integers(3, size=30)
    seen = SeenVideos.from_arrays(X, labels=labels)
    part = seen.take(np.arange(20))
    x = X[:20].astype(float)
    x = x / np.linalg.norm(x, axis=1, keepdims=True) if unit else x
    for _ in range(2):  # the second time from the cache
        moment, sums = class_moments(part, 4, unit=unit)
        np.testing.assert_allclose(moment, x.T @ x, rtol=1e-5)
        np.testing.assert_allclose(sums, np.eye(4)[labels[:20]].T @ x, rtol=1e-5)


def test_no_more_moments_are_stored_than_memory_is_granted(monkeypatch):
    monkeypatch.setattr(kernels, "_SHARED_BYTES", 2 * 5 * 5 * 8)
    seen = SeenVideos.from_arrays(X, labels=np.arange(30) % 6)
    x = X.astype(float)
    for _ in range(2):
        np.testing.assert_allclose(class_moments(seen, 6)[0], x.T @ x, rtol=1e-5)
    assert len(_held(seen)[0].cache) == 2
