"""A cell's inputs, opened once a process and checked against the digests that the plan saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from zslbench.cell import RECIPE, Cell, source_digest
from zslbench.dataset import Dataset
from zslbench.digests import digest
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.features import FeatureSet, open_features
from zslbench.registry import get_dataset, get_method
from zslbench.semantics import ClassVectors, open_semantics
from zslbench.splits import Split, SplitFamily
from zslbench.texts import Texts, open_texts, texts_digest


@lru_cache(maxsize=8)
def cached_features(dataset: str, name: str, expected: str) -> FeatureSet:
    """Return a feature set that cells share: one memory map, one set of kernel matrices.

    Raises
    ------
    ZslbenchError
        Its digest is not ``expected``.
    """
    features = open_features(get_dataset(dataset), name)
    if features.manifest.digest != expected:
        raise ZslbenchError(f"{features.title} changed since this run was planned; run the command again.")
    return features


def family_vectors(spec: str, dataset: Dataset, family: SplitFamily) -> tuple[ClassVectors, ClassVectors | None, str]:
    """Return the class vectors of all classes that a family uses, and their digest.

    Opened at once, a missing word stops a run before it starts, and equal vectors are noticed across seen and unseen.

    Returns
    -------
    own, other
        Vectors of the dataset's own classes, and of the seen ones where these belong to another dataset.
    digest
        Of both.
    """
    other_dataset = family.splits[0].seen_dataset
    own = {name for split in family.splits for name in (*split.unseen, *(() if other_dataset else split.seen))}
    vectors = open_semantics(spec, dataset, sorted(own))
    if other_dataset is None:
        return vectors, None, vectors.digest
    seen = sorted({name for split in family.splits for name in split.seen})
    others = open_semantics(spec, get_dataset(other_dataset), seen)
    return vectors, others, digest([vectors.digest, others.digest])


@lru_cache(maxsize=32)
def _cached_vectors(
    spec: str, dataset: str, family: str, covered: tuple[str, ...], expected: str
) -> tuple[ClassVectors, ClassVectors | None]:
    found = get_dataset(dataset)
    own, other, now = family_vectors(spec, found, found.family(family, covered))
    if now != expected:
        raise ZslbenchError(f"the class vectors {spec} changed since this run was planned; run the command again.")
    return own, other


def split_vectors(cell: Cell, covered: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the class vectors, (n, d), of a cell's seen and unseen classes: copies, for a method may change them.

    Raises
    ------
    ZslbenchError
        They are not those that the plan saw, or seen and unseen ones differ in dimension.
    """
    own, other = _cached_vectors(cell.semantics, cell.dataset, cell.family, covered, cell.semantics_digest)
    split = get_dataset(cell.dataset).family(cell.family, covered).splits[cell.split]
    seen, unseen = (other or own).take(split.seen).vectors, own.take(split.unseen).vectors
    if seen.shape[1] != unseen.shape[1]:
        raise ZslbenchError(
            f"{cell.semantics} has {seen.shape[1]}-d vectors for the seen classes and {unseen.shape[1]}-d ones for the "
            f"unseen classes; import both from one source."
        )
    return np.array(seen, dtype=np.float32), np.array(unseen, dtype=np.float32)


def run_texts(
    name: str, dataset: str, seen_dataset: str | None
) -> tuple[Mapping[str, Texts], Mapping[str, Texts], str]:
    """Return the class texts of seen and of unseen classes, of other datasets where these differ, and their digest.

    Raises
    ------
    NotFoundError
        A dataset has no texts of that name.
    """
    own = open_texts(name, get_dataset(dataset))
    if seen_dataset is None:
        return own, own, texts_digest(own)
    others = open_texts(name, get_dataset(seen_dataset))
    return others, own, digest([texts_digest(others), texts_digest(own)])


@lru_cache(maxsize=8)
def _cached_texts(
    name: str, dataset: str, seen_dataset: str | None, expected: str
) -> tuple[Mapping[str, Texts], Mapping[str, Texts]]:
    seen, unseen, now = run_texts(name, dataset, seen_dataset)
    if now != expected:
        raise ZslbenchError(f"the class texts {name} changed since this run was planned; run the command again.")
    return seen, unseen


def split_texts(
    cell: Cell, split: Split
) -> tuple[tuple[tuple[str, ...], ...] | None, tuple[tuple[str, ...], ...] | None]:
    """Return the texts of each seen and each unseen class, or twice ``None`` for a method that may not read any.

    Raises
    ------
    ZslbenchError
        They are not those that the plan saw.
    """
    if cell.texts is None or cell.texts_digest is None:
        return None, None
    seen, unseen = _cached_texts(cell.texts, cell.dataset, cell.seen_dataset, cell.texts_digest)
    return tuple(seen[name].all for name in split.seen), tuple(unseen[name].all for name in split.unseen)


def named_texts(cell: Cell, names: Sequence[str], dataset: Dataset) -> tuple[tuple[str, ...], ...] | None:
    """Return the texts of any classes of a dataset, or ``None`` for a method that may not read any.

    Raises
    ------
    NotFoundError
        The dataset has no such texts, or no class of a name.
    """
    if cell.texts is None:
        return None
    texts = open_texts(cell.texts, dataset)
    if unknown := [name for name in names if name not in texts]:
        raise NotFoundError(
            f"{cell.label} reads class texts, and there are none of {unknown[0]!r}; name classes of {dataset.name}."
        )
    return tuple(texts[name].all for name in names)


def check_code(cell: Cell) -> None:
    """Refuse to run a cell with other code than it was planned with: a worker can outlive an edit.

    Raises
    ------
    ZslbenchError
        The method's source or the harness's recipe differs.
    """
    if cell.recipe != RECIPE or source_digest(get_method(cell.method)) != cell.method_digest:
        raise ZslbenchError(
            f"the code of {cell.method} here is not the one that this run was planned with; restart the workers and "
            f"run the command again."
        )
