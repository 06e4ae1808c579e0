"""Fit the PCA of features in one pass over the training videos, and apply it when frames are read.

A derived feature set (:mod:`zslbench.features.derived`) contains no frames. Its manifest names the parent and the step.
The fitted matrices are stored beside the manifest, one per set of training videos that was used.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.files import new_file, reading
from zslbench.videos import FloatArray, FrameStore, IntArray, Videos, storage

MAX_DIM = 8192  # the covariance of that many values per frame takes 512 MiB
PREFIX = "pca-"  # of the files of fitted matrices
_BLOCK = 1 << 22  # values to read or project at a time: 16 MiB float32, 32 MiB float64


class Transform(BaseModel):
    """The step that makes a derived feature set; part of its digest.

    Attributes
    ----------
    parent, parent_digest
        The feature set of the same dataset that the step is applied to.
    fit
        The videos that the PCA is fitted on: the training videos of each split, or all.
    whiten
        Whether to divide components by their standard deviation.
    dim
        D, the values per frame before the step.
    version
        Version of the fitting code; raise it when its results change.

    Examples
    --------
    >>> Transform(parent="c3d", parent_digest="0123", fit="seen", dim=4096).version
    1
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parent: str
    parent_digest: str
    fit: Literal["seen", "all"]
    whiten: bool = False
    dim: int
    version: int = 1


@dataclass(frozen=True)
class Projection:
    """A fitted PCA: a frame x becomes ``components @ (x - mean)``.

    Attributes
    ----------
    mean, components
        (D,) and (k, D) float32. Rows are orthonormal; whitened rows are divided by their standard deviation.
    explained
        (k,) share of the fitted frames' variance along each component.

    Examples
    --------
    >>> projection = Projection(np.ones(3), np.eye(3)[:2], np.array([0.6, 0.3]))
    >>> projection.apply(np.array([[2.0, 1.0, 5.0]]))
    array([[1., 0.]], dtype=float32)
    """

    mean: FloatArray
    components: FloatArray
    explained: NDArray[np.float64]

    @cached_property
    def key(self) -> str:
        """Digest of the matrix."""
        return hashlib.blake2b(self.mean.tobytes() + self.components.tobytes(), digest_size=16).hexdigest()

    def apply(self, frames: NDArray[Any]) -> FloatArray:
        """Project frames, (n, D), to the components, (n, k) float32."""
        result = np.empty((len(frames), len(self.components)), dtype=np.float32)
        step = max(1, _BLOCK // len(self.mean))
        for start in range(0, len(frames), step):
            result[start : start + step] = (frames[start : start + step] - self.mean) @ self.components.T
        return result

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fields by name."""
        return {"mean": self.mean, "components": self.components, "explained": self.explained}

    def save(self, path: Path) -> None:
        """Write a ``.npz`` file, completely or not at all."""
        with new_file(path) as work:
            np.savez(work, **self.arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path, dim: int, k: int) -> Projection:
        """Read what :meth:`save` wrote for ``dim`` values per frame and ``k`` components.

        Raises
        ------
        ZslbenchError
            The file is damaged or of another shape.
        """
        with reading(
            path, "delete this file: it is fitted again when it is needed", says=f"the fitted PCA {path} is damaged"
        ):
            with np.load(path, allow_pickle=False) as arrays:
                found = cls(arrays["mean"], arrays["components"], arrays["explained"])
            wanted = ((dim,), (k, dim), (k,))
            if (found.mean.shape, found.components.shape, found.explained.shape) != wanted:
                raise ValueError("its shapes are not those of the feature set")
        return found


class ProjectedStore(FrameStore):
    """The frames of another store, projected by a PCA when they are read.

    The projection is linear, so the mean of a video's projected frames is its projected mean.

    Examples
    --------
    >>> frames = np.array([[2.0, 1.0, 5.0], [4.0, 1.0, 5.0]], dtype=np.float32)
    >>> store = FrameStore(frames, np.array([0]), np.array([2]))
    >>> ProjectedStore(store, Projection(np.ones(3), np.eye(3)[:2], np.array([0.6, 0.3]))).pooled()
    array([[2., 0.]], dtype=float32)
    """

    def __init__(self, parent: FrameStore, projection: Projection) -> None:
        super().__init__(parent.frames, parent.offsets, parent.lengths, parent.tokens)
        self._parent = parent
        self.projection = projection

    @property
    def dim(self) -> int:
        """k, the number of components."""
        return len(self.projection.components)

    def _pool(self) -> FloatArray:
        return self.projection.apply(self._parent.pooled())

    def gather(self, rows: IntArray) -> FloatArray:
        """Return the projected frames of the videos ``rows``, one after the other, as a new float32 array."""
        return self.projection.apply(self._parent.gather(rows))


def project(videos: Videos, projection: Projection | None) -> Videos:
    """Return a view of the same videos projected by a PCA, or unchanged for ``None``."""
    if projection is None:
        return videos
    store, rows = storage(videos)
    return Videos(ProjectedStore(store, projection), rows)


def projection_key(feature_set: str, rows: IntArray) -> str:
    """Return the key of the matrix that is fitted on the videos ``rows``, for the digest of a derived feature set."""
    # Sorted little-endian integers: the same bytes for every order of rows, on every machine.
    return digest([feature_set, hashlib.sha256(np.sort(rows).astype("<i8").tobytes()).hexdigest()])


def fit_pca(store: FrameStore, rows: IntArray, k: int, *, whiten: bool = False) -> Projection:
    """Fit an exact PCA on every frame of some videos, in one pass.

    The covariance is summed in float64 over blocks of videos, and decomposed. The frames are shifted by the mean of the
    first block, which avoids cancellation. Memory is D x D and does not grow with the number of videos. The largest
    entry of each component is positive, as in scikit-learn's ``PCA``. The order of ``rows`` does not matter.

    Parameters
    ----------
    rows
        (n,) indices of the videos in ``store``.
    k
        Number of components to keep.
    whiten
        Whether to divide each component by its standard deviation (n - 1 in the denominator) on the fitted frames.

    Raises
    ------
    ZslbenchError
        The frames span fewer than ``k`` dimensions.
    """
    from scipy.linalg import eigh
    from scipy.linalg.blas import dsyrk

    rows, dim = np.sort(rows), store.dim
    # Column order, or dsyrk would copy the matrix at every call instead of adding to it.
    scatter, total, n = np.zeros((dim, dim), order="F"), np.zeros(dim), 0
    shift: NDArray[np.float64] | None = None
    size = max(1, _BLOCK // (dim * max(1, int(store.lengths[rows].max(initial=1)))))
    for batch in Videos(store, rows).batches(size):
        frames = batch.frames.astype(np.float64)
        shift = frames.mean(axis=0) if shift is None else shift
        frames -= shift
        total += frames.sum(axis=0)
        n += len(frames)
        scatter = dsyrk(1.0, frames.T, beta=1.0, c=scatter, overwrite_c=True)  # the upper triangle of X^T X
    rank = min(n - 1, dim)
    if rank >= k and shift is not None:
        mean = total / n
        scatter = dsyrk(-n / (n - 1), mean[:, None], beta=1 / (n - 1), c=scatter, overwrite_c=True)
        whole = float(np.trace(scatter))
        variance, vectors = eigh(
            scatter, lower=False, subset_by_index=(dim - k, dim - 1), overwrite_a=True, check_finite=False
        )
        variance, components = variance[::-1], vectors.T[::-1]
        # Smaller variances are rounding errors; the tolerance is that of numpy.linalg.matrix_rank.
        rank = int(np.count_nonzero(variance > dim * np.finfo(np.float64).eps * variance[0]))
    if rank < k or shift is None:
        raise ZslbenchError(
            f"a PCA to {k} values cannot be fitted: the {n:,} frames of its {len(rows):,} training videos span only "
            f"{max(rank, 0)} dimensions; choose fewer values."
        )
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(k), largest])[:, None]
    if whiten:
        components = components / np.sqrt(variance)[:, None]
    return Projection(
        mean=(mean + shift).astype(np.float32),
        components=np.ascontiguousarray(components, dtype=np.float32),
        explained=np.ascontiguousarray(variance / whole),
    )
