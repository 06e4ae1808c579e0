"""The feature sets on this machine: list, open, derive and remove them by name."""

from __future__ import annotations

import contextlib
import datetime
import shutil
from pathlib import Path
from typing import Literal

from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.features.derived import DerivedFeatures
from zslbench.features.ensemble import EnsembleFeatures, part_names, single
from zslbench.features.feature_set import (
    SIMULATED,
    FeatureSet,
    Manifest,
    feature_path,
    features_root,
    read_manifest,
)
from zslbench.features.transforms import MAX_DIM, Transform
from zslbench.files import check_name, new_directory


def derive_features(
    dataset: Dataset,
    parent: str,
    name: str,
    *,
    k: int,
    fit: Literal["seen", "all"],
    whiten: bool = False,
) -> DerivedFeatures:
    """Return the feature set ``name``, the PCA of another one to ``k`` values; declare it if it does not exist.

    A declaration contains no features. :meth:`DerivedFeatures.projection` fits the matrices.

    Parameters
    ----------
    parent
        Name of the feature set to transform, which must not be derived itself.
    fit
        ``seen``: on the training videos of each cell. ``all``: on all videos, so that the features depend on videos of
        unseen classes.

    Raises
    ------
    ZslbenchError
        ``k`` or the parent's dimension is out of range, or another feature set has that name.
    """
    check_name(name, "a feature set")
    source = single(open_features(dataset, parent))
    m, title = source.manifest, f"{dataset.name}@{parent}"
    if m.transform:
        raise ZslbenchError(f"{title} is derived itself; transform {m.transform.parent!r}, its parent, instead.")
    if name == SIMULATED:
        raise ZslbenchError(f"{SIMULATED!r} is the name of simulated features; choose another name.")
    if m.dim > MAX_DIM:
        raise ZslbenchError(
            f"{title} has {m.dim:,} values per frame, but a PCA takes at most {MAX_DIM:,}; import fewer values."
        )
    if not 1 <= k <= m.dim:
        raise ZslbenchError(f"{title} has {m.dim} values per frame; choose 1 to {m.dim} for the PCA.")
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
            f"{dataset.name} has another feature set {name!r}; choose another name with --as NAME, or run 'zslbench "
            f"features remove {dataset.name} {name}' first."
        )
    return found


def list_features(dataset: str | None = None) -> list[tuple[str, str]]:
    """Return (dataset, name) of every feature set on this machine, sorted."""
    found = features_root().glob(f"{dataset or '*'}/*/manifest.json")
    return sorted((p.parent.parent.name, p.parent.name) for p in found if not p.parent.name.startswith("."))


def open_features(dataset: Dataset, name: str) -> FeatureSet:
    """Return a feature set of ``dataset``, or the ensemble of several whose names are joined by ``+``.

    Raises
    ------
    NotFoundError
        There is no such feature set; the message suggests existing ones, and how to import one.
    ZslbenchError
        The sets of an ensemble do not go together.
    """
    if len(names := part_names(name)) > 1:
        return EnsembleFeatures([open_features(dataset, each) for each in names])
    path = feature_path(dataset.name, name)
    if not (path / "manifest.json").is_file():
        known = [n for _, n in list_features(dataset.name)]
        raise NotFoundError(
            f"{dataset.name} has no feature set {name!r}.{suggest(name, known)} Import one with 'zslbench features "
            f"import {dataset.name} {name} --features FILE --videos VIDEOS.csv', or extract one from videos with "
            f"'zslbench extract --dataset {dataset.name} --videos DIR --backbone NAME --name {name}'."
        )
    if read_manifest(path).transform:
        return DerivedFeatures(path, dataset)
    return FeatureSet(path, dataset)


def derived_from(dataset: str, name: str) -> list[str]:
    """Return the names of the feature sets that are derived from ``name``."""
    found = []
    for _, other in list_features(dataset):
        with contextlib.suppress(ZslbenchError):  # a damaged one must not prevent the removal of others
            step = read_manifest(feature_path(dataset, other)).transform
            if step and step.parent == name:
                found.append(other)
    return found


def remove_features(dataset: str, name: str) -> Path:
    """Delete a feature set, and return the path of its folder.

    Raises
    ------
    ZslbenchError
        An argument is not a valid name, or another feature set is derived from this one.
    NotFoundError
        There is no such feature set.
    """
    check_name(dataset, "a dataset")
    check_name(name, "a feature set")
    path = feature_path(dataset, name)
    if not path.is_dir():
        raise NotFoundError(f"{dataset} has no feature set {name!r}; 'zslbench features list' lists those that exist.")
    if derived := derived_from(dataset, name):
        raise ZslbenchError(f"{', '.join(derived)} of {dataset} is derived from {name!r}; remove that set first.")
    shutil.rmtree(path)
    return path
