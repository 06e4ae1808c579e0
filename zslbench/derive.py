"""Derived feature sets: a manifest, the table of videos, and the PCA fitted for each set of training videos."""

from __future__ import annotations

import contextlib
import datetime
import shutil
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from zslbench.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.features import SIMULATED, FeatureSet, Manifest, check_name, feature_path, open_features
from zslbench.paths import new_directory
from zslbench.transforms import MAX_DIM, PREFIX, Projection, Transform, fit_pca, projection_key
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
        self.parent = open_features(dataset, step.parent)
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
        with contextlib.suppress(OSError):  # a read-only data root: fitted again next time
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


def derive_features(
    dataset: Dataset,
    parent: str,
    name: str,
    *,
    k: int,
    fit: Literal["seen", "all"],
    whiten: bool = False,
) -> DerivedFeatures:
    """Return the feature set ``name``: the PCA of another one to ``k`` values; it is declared where it is not there.

    Declaring writes no features. Matrices are fitted by :meth:`DerivedFeatures.projection`.

    Parameters
    ----------
    parent
        Name of the feature set that it is made of, which is not derived itself.
    fit
        On the training videos of each cell, or on all videos: then the unseen classes have shaped the features.

    Raises
    ------
    ZslbenchError
        ``k`` or the parent's dimension does not do, or there is another feature set of that name.
    """
    check_name(name)
    source = open_features(dataset, parent)
    m, title = source.manifest, f"{dataset.name}@{parent}"
    if m.transform:
        raise ZslbenchError(f"{title} is derived itself; transform {m.transform.parent!r}, which it is made of.")
    if name == SIMULATED:
        raise ZslbenchError(f"{SIMULATED!r} is the name of simulated features; choose another name.")
    if m.dim > MAX_DIM:
        raise ZslbenchError(f"{title} has {m.dim:,} values a frame, and a PCA takes {MAX_DIM:,}; import fewer of them.")
    if not 1 <= k <= m.dim:
        raise ZslbenchError(f"{title} has {m.dim} values a frame; ask for 1 to {m.dim} of a PCA.")
    step = Transform(parent=parent, parent_digest=m.digest, fit=fit, whiten=whiten, dim=m.dim)
    manifest = Manifest.model_validate(
        m.model_dump()
        | {
            "name": name,
            "dim": k,
            "dtype": "float32",
            "pca_fit": "all" if "all" in (fit, m.pca_fit) else "seen",
            "source": f"the PCA of {title}",
            "files": {"videos.parquet": m.files["videos.parquet"]},
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "transform": step,
        }
    )
    final = feature_path(dataset.name, name)
    if not (final / "manifest.json").is_file():
        source.check_unchanged()
        with new_directory(final) as work:
            shutil.copyfile(source.path / "videos.parquet", work / "videos.parquet")
            (work / "manifest.json").write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    found = open_features(dataset, name)
    if not isinstance(found, DerivedFeatures) or found.manifest.digest != manifest.digest:
        raise ZslbenchError(
            f"{dataset.name} has another feature set {name!r}; give --as NAME, or run 'zslbench features remove "
            f"{dataset.name} {name}' first."
        )
    return found
