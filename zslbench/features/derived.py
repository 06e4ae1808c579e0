"""Derived feature sets: a manifest, the table of videos, and the PCA fitted for each set of training videos."""

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
    """A feature set whose frames are those of ``parent``, projected.

    Attributes
    ----------
    parent
        The feature set that it is made of.
    step
        The manifest's ``transform``.
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        super().__init__(path, dataset)
        if self.manifest.transform is None:
            raise ValueError(f"{path} is not derived")
        self.step = step = self.manifest.transform
        title, again = f"{dataset.name}@{path.name}", f"'zslbench features remove {dataset.name} {path.name}'"
        if not (feature_path(dataset.name, step.parent) / "manifest.json").is_file():
            raise ZslbenchError(
                f"{title} is made of {step.parent!r}, which is gone; import that again, or run {again}."
            )
        self.parent = FeatureSet(feature_path(dataset.name, step.parent), dataset)  # a parent is never derived
        if self.parent.manifest.digest != step.parent_digest:
            raise ZslbenchError(
                f"{title} is made of another {step.parent!r} than the one here; run {again} and transform again."
            )

    def projection(self, rows: IntArray) -> Projection:
        """Return the PCA of a cell that trains on the videos ``rows``.

        It is fitted when it is first asked for, on these videos alone (on all videos where that was declared), and
        kept beside the manifest.

        Raises
        ------
        ZslbenchError
            These videos span fewer dimensions than are asked for, or the matrix on disk is damaged.
        """
        m = self.manifest
        rows = np.arange(m.n_videos) if self.step.fit == "all" else rows
        path = self.path / f"{PREFIX}{projection_key(m.digest, rows)}.npz"
        if path.is_file():
            return Projection.load(path, m.input_dim, m.dim)
        projection = fit_pca(self.parent.store, rows, m.dim, whiten=self.step.whiten)
        with contextlib.suppress(ZslbenchError):  # a read-only data root: fitted again next time
            projection.save(path)
        return projection

    def projections(self) -> list[Projection]:
        """Return the matrices that are fitted so far."""
        return [
            Projection.load(path, self.manifest.input_dim, self.manifest.dim)
            for path in sorted(self.path.glob(f"{PREFIX}*.npz"))
        ]

    @cached_property
    def store(self) -> FrameStore:
        """The frames in the components of the PCA of all videos.

        Raises
        ------
        ZslbenchError
            Each split has a PCA of its own.
        """
        if self.step.fit == "all":
            return self.projected(self.projection(np.arange(0)))
        raise ZslbenchError(
            f"{self.title} has a PCA for each split and none of its own; take {self.step.parent!r}, which it is made "
            f"of, or a model that was trained on it."
        )

    @property
    def _source(self) -> FrameStore:
        self.check_unchanged()
        return self.parent.store

    def verify(self) -> None:
        """Check the table, every fitted matrix and the feature set that it is made of."""
        super().verify()
        self.projections()
        self.parent.verify()
