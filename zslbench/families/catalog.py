"""Find a split family by its name, whatever makes it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import SplitFamily
from zslbench.errors import NotFoundError, ZslbenchError, some, suggest
from zslbench.families.cross import cross_family, is_cross, shared_classes
from zslbench.families.listed import listed_family, listed_names


def find_family(dataset: Dataset, name: str, classes: Sequence[str] | None = None) -> SplitFamily:
    """Return a split family of a dataset: published, random, imported, by lists of videos, or across datasets.

    Parameters
    ----------
    classes
        The classes of the feature set; all by default.

    Raises
    ------
    NotFoundError
        There is no such family.
    ZslbenchError
        The dataset, or its features, lack what it needs.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> family = find_family(get_dataset("ucf101"), "k400->ucf101")
    >>> len(family.splits[0].seen), len(family.splits[0].unseen)
    (400, 101)
    """
    covered = tuple(classes or dataset.classes)
    if is_cross(name):
        return cross_family(dataset, name, covered)
    try:
        return dataset.family(name, classes)
    except NotFoundError:
        if found := listed_family(dataset, name, covered):
            return found
    known = [*dataset.family_names, *listed_names(dataset)]
    raise NotFoundError(f"{dataset.name} has no split family {name!r}.{suggest(name, known)}")


def first_family(dataset: Dataset, names: Sequence[str]) -> str:
    """Return the first of the ``names`` that is a family of the dataset; the last one if none is."""
    for name in names:
        try:
            find_family(dataset, name)
        except NotFoundError:
            continue
        return name
    return names[-1]


@cache
def distinct_splits(dataset: str, family: str) -> frozenset[str]:
    """Return the digests of a family's different splits, of all classes of the dataset; none if it is not here.

    Examples
    --------
    >>> len(distinct_splits("ucf101", "xu-50/50"))
    47
    """
    try:
        return frozenset(split.digest for split in find_family(get_dataset(dataset), family).splits)
    except ZslbenchError:
        return frozenset()


@cache
def shared_text(dataset: str, family: str) -> str:
    """Return how many tested classes of a family across datasets have the name of a training class; else empty."""
    try:
        found = find_family(get_dataset(dataset), family)
    except ZslbenchError:
        return ""
    if not found.splits[0].seen_dataset:
        return ""
    tested = {name for split in found.splits for name in split.unseen}
    if not (shared := shared_classes(found)):
        return f"{family}: none of the {len(tested)} tested classes has the name of a training class."
    return (
        f"{family}: {len(shared)} of the {len(tested)} tested classes have the name of a training class "
        f"({some(shared, 4)}); --without-overlap leaves them out."
    )
