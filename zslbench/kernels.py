"""Kernel matrices and second moments between views, shared by all splits of a feature set.

What depends only on the videos (inner products, distances) is computed once per feature set and process, and a split
takes its block. What depends on the split (a bandwidth, a label) is left to the method. A method cannot reach other
videos from here, because it only gets blocks between two of its views.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.videos import FloatArray, SeenVideos, Videos, _held

Real = TypeVar("Real", bound=np.floating[Any])
Pairwise = Literal["inner", "cosine", "sqeuclidean", "chi2"]
_SHARED_VIDEOS = 16_384  # a float32 matrix between that many videos takes 1 GiB
_CACHED_VALUES = 1 << 17  # of a part of a matrix that a processor keeps near: 512 KiB
_SHARED_BYTES = 1 << 30  # limit of stored second moments, which are one matrix per class


def normalised(x: NDArray[Real]) -> NDArray[Real]:
    """Return rows of unit length; zero rows stay zero."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(np.divide(x, norms, out=np.zeros_like(x), where=norms > 0))


def centred(vectors: NDArray[Real], mean: NDArray[Real]) -> NDArray[Real]:
    """Return rows scaled to unit length, less ``mean``, and scaled to unit length again."""
    return normalised(normalised(vectors) - mean)


def pairwise(a: FloatArray, b: FloatArray, kind: Pairwise) -> FloatArray:
    """Return the (n_a, n_b) float32 matrix of one kind between two sets of vectors.

    ``chi2`` is the distance sum((x - y)^2 / (x + y)), for non-negative features. ``sqeuclidean`` is between the vectors
    less the mean of ``b``: a part that all of them share would take the digits of float32.

    Raises
    ------
    ZslbenchError
        ``chi2`` of negative features.
    """
    if kind == "cosine":
        a, b = normalised(a), normalised(b)
    if kind == "chi2":
        return _chi2(a, b)
    if kind == "sqeuclidean" and len(b):
        mean = b.mean(axis=0)
        a, b = a - mean, b - mean
    product: FloatArray = a @ b.T
    if kind == "sqeuclidean":
        product *= -2  # each step is in place: filling a second matrix would take as long as the product
        product += np.einsum("ij,ij->i", a, a)[:, None]
        product += np.einsum("ij,ij->i", b, b)
        np.maximum(product, 0, out=product)  # rounding can make the distance of equal vectors negative
    return product


def _chi2(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the distances a row at a time, ten times as fast as scikit-learn's ``additive_chi2_kernel``."""
    import torch

    if a.min(initial=0) < 0 or b.min(initial=0) < 0:
        raise ZslbenchError(
            "chi2 compares histograms, and there are negative features; use kernel=rbf, or other features."
        )
    others, result = torch.tensor(b, dtype=torch.float32), np.empty((len(a), len(b)), dtype=np.float32)
    found, step = torch.from_numpy(result), max(1, _CACHED_VALUES // b.shape[1])
    for start in range(0, len(b), step):
        part = others[start : start + step]
        for row, x in zip(found[:, start : start + step], torch.tensor(a, dtype=torch.float32), strict=True):
            totals = (x + part).clamp_(min=torch.finfo(part.dtype).tiny)  # where it is 0, so is the difference
            torch.sum((x - part).square_().div_(totals), dim=1, out=row)
    return result


def between(a: Videos, b: Videos, kind: Pairwise) -> FloatArray:
    """Return the (n_a, n_b) matrix between the mean-pooled features of two views."""
    (store, a_rows), (other, b_rows) = _held(a), _held(b)
    if store is not other or len(store.lengths) > _SHARED_VIDEOS:
        return pairwise(a.pooled(), b.pooled(), kind)
    cache = store.cache
    if kind not in cache:
        x = store.pooled()
        for held in [key for key in cache if isinstance(key, str)]:  # other entries of the cache have tuples as keys
            del cache[held]  # one matrix at a time: they are the largest objects in memory
        cache[kind] = pairwise(x, x, kind)
    matrix: FloatArray = cache[kind]
    return matrix[np.ix_(a_rows, b_rows)]


def class_moments(
    seen: SeenVideos, n_classes: int, *, unit: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the second moment and the class sums of mean-pooled features.

    Parameters
    ----------
    unit
        Whether to scale each video's feature to unit length first.

    Returns
    -------
    moment
        (D, D) float64, X^T X over all videos of the view: the sum of one matrix per class, each computed once.
    sums
        (n_classes, D) float64, the sum of each class's videos.
    """
    moment = np.zeros((seen.dim, seen.dim))
    sums = np.zeros((n_classes, seen.dim))
    store, all_rows = _held(seen)
    held = sum(value[0].nbytes for key, value in store.cache.items() if isinstance(key, tuple) and key[0] == "moment")
    for label in np.unique(seen.labels):
        rows = all_rows[seen.labels == label]
        key = ("moment", unit, rows.tobytes())
        found = store.cache.get(key)
        if found is None:
            x = store.pooled()[rows]
            x = (normalised(x) if unit else x).astype(np.float64)
            found = x.T @ x, x.sum(axis=0)
            if held + found[0].nbytes <= _SHARED_BYTES:
                held += found[0].nbytes
                store.cache[key] = found
        moment += found[0]
        sums[label] = found[1]
    return moment, sums
