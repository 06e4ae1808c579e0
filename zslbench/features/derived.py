"""Derived feature sets: a manifest, the table of videos, and one fitted PCA per set of training videos."""

from __future__ import annotations

import contextlib
from functools import cached_property
from pathlib import Path

import numpy as np

from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet, feature_path
from zslbench.features.transforms import PREFIX, Projection, fit_pca, projection_key
from zslbench.videos import FrameStore, IntArray


class DerivedFeatures(FeatureSet):
    """A feature set whose frames are the projected frames of ``parent``.

    Attributes
    ----------
    parent
        The feature set whose frames are projected.
    step
        The manifest's ``transform``.

    Examples
    --------
    Declare the PCA of features, and fit it on all of their videos:

    >>> import numpy as np
    >>> from zslbench import get_dataset
    >>> from zslbench.features.catalog import derive_features
    >>> from zslbench.features.simulated import simulate
    >>> parent = simulate(get_dataset("hmdb51"), name="small", videos_per_class=2)
    >>> derived = derive_features(parent.dataset, "small", "small-pca8", k=8, fit="seen")
    >>> derived.projection(np.arange(102)).components.shape
    (8, 128)
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        super().__init__(path, dataset)
        if self.manifest.transform is None:
            raise ValueError(f"{path} is not derived")
        self.step = step = self.manifest.transform
        title, again = f"{dataset.name}@{path.name}", f"'zslbench features remove {dataset.name} {path.name}'"
        if not (feature_path(dataset.name, step.parent) / "manifest.json").is_file():
            raise ZslbenchError(
                f"{title} is derived from {step.parent!r}, which does not exist; import {step.parent!r} again, or run "
                f"{again}."
            )
        self.parent = FeatureSet(feature_path(dataset.name, step.parent), dataset)  # a parent is never derived
        if self.parent.manifest.digest != step.parent_digest:
            raise ZslbenchError(
                f"{title} was derived from another {step.parent!r} than the present one; run {again}, and transform "
                f"again."
            )

    def projection(self, rows: IntArray) -> Projection:
        """Return the PCA of a cell that trains on the videos ``rows``.

        The PCA is fitted on the first call, on these videos only (or on all, if it was declared so), and stored beside
        the manifest.

        Raises
        ------
        ZslbenchError
            These videos span fewer dimensions than the PCA has, or the matrix on disk is damaged.
        """
        m = self.manifest
        rows = np.arange(m.n_videos) if self.step.fit == "all" else rows
        path = self.path / f"{PREFIX}{projection_key(m.digest, rows)}.npz"
        if path.is_file():
            return Projection.load(path, m.input_dim, m.dim)
        projection = fit_pca(self.parent.store, rows, m.dim, whiten=self.step.whiten)
        with contextlib.suppress(ZslbenchError):  # the data root may be read-only: then it is fitted again next time
            projection.save(path)
        return projection

    def projections(self) -> list[Projection]:
        """Return the matrices that have been fitted."""
        return [
            Projection.load(path, self.manifest.input_dim, self.manifest.dim)
            for path in sorted(self.path.glob(f"{PREFIX}*.npz"))
        ]

    @cached_property
    def store(self) -> FrameStore:
        """The frames, projected by the PCA of all videos.

        Raises
        ------
        ZslbenchError
            Each split has its own PCA.
        """
        if self.step.fit == "all":
            return self.projected(self.projection(np.arange(0)))
        raise ZslbenchError(
            f"{self.title} has one PCA per split and none for all videos; use its parent {self.step.parent!r}, or a "
            f"model that was trained on it."
        )

    @property
    def _source(self) -> FrameStore:
        self.check_unchanged()
        return self.parent.store

    def verify(self) -> None:
        """Check the table, every fitted matrix and the parent feature set."""
        super().verify()
        self.projections()
        self.parent.verify()
