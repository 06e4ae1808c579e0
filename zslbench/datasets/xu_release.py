"""Read ``Label.mat`` and ``Split.mat`` of Xu, Hospedales and Gong's IJCV 2017 release.

Both are MATLAB structs with one field per dataset. Class indices are 1-based and count the classes in the release's
*own* order, which for UCF101 is not Python's ``sorted()``. So this module returns names, never indices.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.splits import Split
from zslbench.errors import ZslbenchError
from zslbench.files import reading
from zslbench.registry import DATASETS

_Read = TypeVar("_Read")


def is_labels(path: Path) -> bool:
    """Return whether a MATLAB file is the ``Label.mat`` of that release, by the variable in it."""
    import h5py
    from scipy.io import whosmat

    with reading(path):
        return not h5py.is_hdf5(path) and any(name == "VideoLabel" for name, _, _ in whosmat(path))


def read_labels(path: Path) -> tuple[dict[str, tuple[list[str], NDArray[Any]]], list[str]]:
    """Return the class names and class vectors of ``Label.mat``.

    Returns
    -------
    tuple
        Dataset -> (our names of its classes in the release's order, vectors (n, 300)), and the names of the release's
        datasets that zslbench does not know.

    Raises
    ------
    ZslbenchError
        The file is not from that release.
    """
    tables, unknown = {}, []
    found = _fields(path, "VideoLabel", lambda part: (np.atleast_1d(part.ClassName), np.asarray(part.WordVec)))
    for field, (given, vectors) in found.items():
        if (dataset := _our_name(field)) is None:
            unknown.append(field)
            continue
        tables[dataset] = [get_dataset(dataset).resolve_class(str(name)) for name in given], vectors
    return tables, unknown


def read_splits(path: Path, labels: Path) -> dict[str, list[Split]]:
    """Return dataset -> its splits, by name, of ``Split.mat``; ``labels`` is the ``Label.mat`` beside it.

    Raises
    ------
    ZslbenchError
        A file is not from that release, or an index is out of range.
    """
    order, _ = read_labels(labels)
    splits = {}
    for field, (train, test) in _fields(path, "Split", _indices).items():
        if (dataset := _our_name(field)) is None or dataset not in order:
            continue
        names = order[dataset][0]
        whole = train.size and test.size and len(train) == len(test)
        if not whole or min(train.min(), test.min()) < 1 or max(train.max(), test.max()) > len(names):
            raise ZslbenchError(
                f"{path.name} has indices outside 1 to {len(names)} for {field}; use its own Label.mat."
            )
        splits[dataset] = [
            Split(tuple(names[i - 1] for i in seen), tuple(names[i - 1] for i in unseen))
            for seen, unseen in zip(train, test, strict=True)
        ]
    return splits


def _indices(part: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    # squeeze_me turns the (1, n) indices of a single split into a vector.
    return np.atleast_2d(part.Train).astype(int), np.atleast_2d(part.Test).astype(int)


def _fields(path: Path, variable: str, read: Callable[[Any], _Read]) -> dict[str, _Read]:
    """Return what ``read`` takes from each field of a struct."""
    from scipy.io import loadmat

    file = "Label.mat" if variable == "VideoLabel" else "Split.mat"
    says = f"{path.name} is not the {file} of Xu's IJCV 2017 release"
    with reading(path, "check the file", says=says):
        struct = loadmat(path, squeeze_me=True, struct_as_record=False)[variable]
        return {field: read(getattr(struct, field)) for field in struct._fieldnames}  # noqa: SLF001  (SciPy offers no other way)


def _our_name(field: str) -> str | None:
    """Return zslbench's name of a dataset of the release: ``OlympicSports`` is ``olympicsports16``."""
    key, names = field.lower(), DATASETS.names()
    return key if key in names else next((name for name in names if name.rstrip("0123456789") == key), None)
