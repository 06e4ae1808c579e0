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
from zslbench.features.feature_set import (
    SIMULATED,
    FeatureSet,
    Manifest,
    check_name,
    feature_path,
    features_root,
    read_manifest,
)
from zslbench.features.transforms import MAX_DIM, Transform
from zslbench.files import new_directory


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


def list_features(dataset: str | None = None) -> list[tuple[str, str]]:
    """Return (dataset, name) of every feature set on this machine, sorted."""
    found = features_root().glob(f"{dataset or '*'}/*/manifest.json")
    return sorted((p.parent.parent.name, p.parent.name) for p in found if not p.parent.name.startswith("."))


def open_features(dataset: Dataset, name: str) -> FeatureSet:
    """Return a feature set of ``dataset``.

    Raises
    ------
    NotFoundError
        There is none of that name; the message tells those that exist and how to import one.
    """
    path = feature_path(dataset.name, name)
    if not (path / "manifest.json").is_file():
        known = [n for _, n in list_features(dataset.name)]
        raise NotFoundError(
            f"{dataset.name} has no feature set {name!r}.{suggest(name, known)} Import one with 'zslbench features "
            f"import {dataset.name} {name} --features FILE --videos VIDEOS.csv', or make one of videos with 'zslbench "
            f"extract --dataset {dataset.name} --videos DIR --backbone NAME --name {name}'."
        )
    if read_manifest(path).transform:
        from zslbench.features.derived import DerivedFeatures  # which is made of these

        return DerivedFeatures(path, dataset)
    return FeatureSet(path, dataset)


def derived_from(dataset: str, name: str) -> list[str]:
    """Return the names of the feature sets of a dataset that are made of the one of that name."""
    found = []
    for _, other in list_features(dataset):
        with contextlib.suppress(ZslbenchError):  # a damaged one is not in the way
            step = read_manifest(feature_path(dataset, other)).transform
            if step and step.parent == name:
                found.append(other)
    return found


def remove_features(dataset: str, name: str) -> Path:
    """Delete a feature set and return the folder that it was in.

    Raises
    ------
    ZslbenchError
        What is given is no name, or another feature set is made of it.
    NotFoundError
        There is none of that name.
    """
    check_name(dataset)
    check_name(name)
    path = feature_path(dataset, name)
    if not path.is_dir():
        raise NotFoundError(f"{dataset} has no feature set {name!r}; 'zslbench features list' shows those there are.")
    if derived := derived_from(dataset, name):
        raise ZslbenchError(f"{', '.join(derived)} of {dataset} is made of {name!r}; remove that first.")
    shutil.rmtree(path)
    return path
