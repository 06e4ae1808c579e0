"""Read ``Label.mat`` and ``Split.mat`` of Xu, Hospedales and Gong's IJCV 2017 release.

Both are MATLAB structs with one field per dataset. Class indices are 1-based and count the classes in the release's
*own* order, which for UCF101 is not Python's ``sorted()``. So this module returns names, never indices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.splits import Split
from zslbench.errors import ZslbenchError
from zslbench.registry import DATASETS


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
    for field, part in _fields(path, "VideoLabel").items():
        if (dataset := _our_name(field)) is None:
            unknown.append(field)
            continue
        names = [get_dataset(dataset).resolve_class(str(name)) for name in part.ClassName]
        tables[dataset] = names, np.asarray(part.WordVec)
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
    for field, part in _fields(path, "Split").items():
        if (dataset := _our_name(field)) is None or dataset not in order:
            continue
        names = order[dataset][0]
        # squeeze_me turns the (1, n) indices of a single split into a vector.
        train, test = np.atleast_2d(part.Train).astype(int), np.atleast_2d(part.Test).astype(int)
        if min(train.min(), test.min()) < 1 or max(train.max(), test.max()) > len(names):
            raise ZslbenchError(
                f"{path.name} has indices outside 1 to {len(names)} for {field}; use its own Label.mat."
            )
        splits[dataset] = [
            Split(tuple(names[i - 1] for i in seen), tuple(names[i - 1] for i in unseen))
            for seen, unseen in zip(train, test, strict=True)
        ]
    return splits


def _fields(path: Path, variable: str) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        struct = loadmat(path, squeeze_me=True, struct_as_record=False)[variable]
        return {field: getattr(struct, field) for field in struct._fieldnames}  # noqa: SLF001  (SciPy offers no other way)
    except FileNotFoundError:
        raise ZslbenchError(f"there is no file {path}; check the path.") from None
    except (KeyError, ValueError, AttributeError, TypeError, NotImplementedError) as error:
        file = "Label.mat" if variable == "VideoLabel" else "Split.mat"
        raise ZslbenchError(
            f"{path.name} is not the {file} of Xu's IJCV 2017 release (no struct {variable}); check the file."
        ) from error


def _our_name(field: str) -> str | None:
    """Return zslbench's name of a dataset of the release: ``OlympicSports`` is ``olympicsports16``."""
    key, names = field.lower(), DATASETS.names()
    return key if key in names else next((name for name in names if name.rstrip("0123456789") == key), None)
