"""Open a cell's inputs once per process, and compare them with the digests in the plan."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.cell import RECIPE, Auxiliary, Cell
from zslbench.cells.source import source_digest
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import Split, SplitFamily
from zslbench.digests import digest
from zslbench.errors import NotFoundError, OutOfVocabularyError, ZslbenchError
from zslbench.families.catalog import find_family
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import FeatureSet
from zslbench.method import Classes
from zslbench.registry import get_method
from zslbench.semantics.attributes import Attributes, open_attributes
from zslbench.semantics.class_tokens import class_tokens
from zslbench.semantics.class_vectors import ClassVectors, open_semantics
from zslbench.semantics.texts import SHIPPED, Texts, open_texts, texts_digest
from zslbench.semantics.token_tower import any_text_vectors, class_phrases, open_tower

_ORIGIN = {"extractor": "extractors", "weights_digest": "weights", "frame_indices": "sampling of frames"}


def check_unchanged(what: str, now: str, planned: str) -> None:
    """Refuse an input whose digest is not the one that a cell was planned with.

    Raises
    ------
    ZslbenchError
        The digests differ.
    """
    if now != planned:
        raise ZslbenchError(f"{what} changed since this run was planned; run the command again.")


@lru_cache(maxsize=8)
def cached_features(dataset: str, name: str, expected: str) -> FeatureSet:
    """Return a feature set; cells share it with its memory map and its kernel matrices.

    Raises
    ------
    ZslbenchError
        Its digest is not ``expected``.
    """
    features = open_features(get_dataset(dataset), name)
    check_unchanged(features.title, features.manifest.digest, expected)
    return features


def own_features(cell: Cell) -> FeatureSet:
    """Return the features of a cell's dataset: of an ensemble's part, only the videos that all of its sets have."""
    return of_part(cell, cached_features(cell.dataset, cell.features, cell.features_digest))


def of_part(cell: Cell, features: FeatureSet) -> FeatureSet:
    """Return what a cell reads of its features: one set of an ensemble, or all."""
    return features if cell.part is None else features.parts[cell.part]


def check_alike(features: FeatureSet, other: FeatureSet) -> None:
    """Refuse features of another dataset that are not from the same extractor, weights and sampling.

    Raises
    ------
    ZslbenchError
        They differ in one of these, in their dimension or in the steps that derived them.
    """
    if len(features.parts) != len(other.parts):
        raise ZslbenchError(f"{features.title} and {other.title} are of different numbers of sets; name the same ones.")
    for ours, theirs in zip(features.parts, other.parts, strict=True):
        _check_alike(ours, theirs)


def _check_alike(features: FeatureSet, other: FeatureSet) -> None:
    for what, meaning in _ORIGIN.items():
        ours, theirs = (getattr(found.manifest, what) for found in (features, other))
        if ours != theirs and (what == "extractor" or (ours and theirs)):
            raise ZslbenchError(
                f"{features.title} and {other.title} have different {meaning} ({ours} and {theirs}); import both from "
                f"the same extractor, under one name."
            )
    if (other.manifest.dim, other.manifest.tokens) != (features.manifest.dim, features.manifest.tokens):
        raise ZslbenchError(
            f"{other.title} has {other.manifest.dim} values per frame and {features.title} {features.manifest.dim}; "
            f"import both from the same extractor."
        )
    ours, theirs = (found.manifest.transform for found in (features, other))
    if (ours and (ours.dim, ours.fit, ours.whiten)) != (theirs and (theirs.dim, theirs.fit, theirs.whiten)):
        raise ZslbenchError(
            f"{other.title} and {features.title} were derived by different steps; derive both by the same 'zslbench "
            f"features transform', under the same name."
        )


def seen_features(cell: Cell) -> FeatureSet | None:
    """Return the features of a cell's seen classes: its own, those of another dataset, or ``None`` if none train."""
    if cell.seen_dataset is None:
        return own_features(cell)
    if cell.seen_features_digest is None:
        return None
    return of_part(cell, cached_features(cell.seen_dataset, cell.features, cell.seen_features_digest))


def family_vectors(spec: str, dataset: Dataset, family: SplitFamily) -> tuple[ClassVectors, ClassVectors | None, str]:
    """Return the class vectors of all classes that a family uses, and their digest.

    All are opened at once, so that a missing word stops a run before it starts. This also finds equal vectors of a seen
    and an unseen class.

    Returns
    -------
    own, other
        Vectors of the dataset's own classes, and of the seen classes if these belong to another dataset.
    digest
        Digest of both.
    """
    other_dataset = family.splits[0].seen_dataset
    own = {name for split in family.splits for name in (*split.unseen, *(() if other_dataset else split.seen))}
    vectors = _with_validation(spec, dataset, own, {name for split in family.splits for name in split.validation})
    if other_dataset is None:
        return vectors, None, vectors.digest
    seen = sorted({name for split in family.splits for name in split.seen})
    others = open_semantics(spec, get_dataset(other_dataset), seen)
    return vectors, others, digest([vectors.digest, others.digest])


def _with_validation(spec: str, dataset: Dataset, needed: set[str], validation: set[str]) -> ClassVectors:
    """Return the vectors of classes and, if the source has all of them, of the family's validation classes."""
    if validation:
        with contextlib.suppress(OutOfVocabularyError):
            return open_semantics(spec, dataset, sorted(needed | validation))
    return open_semantics(spec, dataset, sorted(needed))


def own_vectors(cell: Cell, covered: tuple[str, ...]) -> ClassVectors:
    """Return the vectors of the classes of a cell's own dataset that its family uses, as far as there are some."""
    own, _ = _cached_vectors(cell.semantics, cell.dataset, cell.family, covered, cell.semantics_digest)
    return own


@lru_cache(maxsize=32)
def _cached_vectors(
    spec: str, dataset: str, family: str, covered: tuple[str, ...], expected: str
) -> tuple[ClassVectors, ClassVectors | None]:
    found = get_dataset(dataset)
    own, other, now = family_vectors(spec, found, find_family(found, family, covered))
    check_unchanged(f"the class vectors {spec}", now, expected)
    return own, other


def side_datasets(dataset: str, seen_dataset: str | None, auxiliary: Auxiliary | None) -> tuple[str, ...]:
    """Return the datasets whose classes a cell uses, each once. Digests depend on their order."""
    names = (seen_dataset, dataset, auxiliary.dataset if auxiliary else None)
    return tuple(dict.fromkeys(name for name in names if name))


def run_texts(name: str, datasets: Sequence[str]) -> tuple[dict[str, Mapping[str, Texts]], str]:
    """Return the class texts of each dataset, and their digest.

    Raises
    ------
    NotFoundError
        A dataset has no texts of that name.
    """
    found = {dataset: open_texts(name, get_dataset(dataset)) for dataset in datasets}
    digests = [texts_digest(texts) for texts in found.values()]
    return found, digests[0] if len(digests) == 1 else digest(digests)


@lru_cache(maxsize=8)
def _cached_texts(name: str, datasets: tuple[str, ...], expected: str) -> dict[str, Mapping[str, Texts]]:
    found, now = run_texts(name, datasets)
    check_unchanged(f"the class texts {name}", now, expected)
    return found


@lru_cache(maxsize=8)
def _cached_attributes(name: str, texts: str, datasets: tuple[str, ...], expected: str) -> Attributes:
    found = open_attributes(name, [get_dataset(dataset) for dataset in datasets], texts)
    check_unchanged(f"the attributes {name}", found.digest, expected)
    return found


@lru_cache(maxsize=8)
def _cached_auxiliary(spec: str, dataset: str, covered: tuple[str, ...], expected: str) -> ClassVectors:
    found = open_semantics(spec, get_dataset(dataset), covered)
    check_unchanged(f"the class vectors {spec}", found.digest, expected)
    return found


def describe_classes(cell: Cell, dataset: str, names: Sequence[str], vectors: NDArray[np.float32]) -> Classes:
    """Return classes with all that the cell's method may know: vectors, and what else it declares.

    Parameters
    ----------
    dataset
        The dataset of the classes: one of the cell's, or any other for a saved model.

    Raises
    ------
    ZslbenchError
        Texts or attributes changed after the plan was made, or a class has none.
    """
    datasets = side_datasets(cell.dataset, cell.seen_dataset, cell.auxiliary)
    texts = attributes = encode = tokens = phrases = tower = None
    if cell.texts and cell.texts_digest:
        if dataset in datasets:
            table = _cached_texts(cell.texts, datasets, cell.texts_digest)[dataset]
        else:
            table = open_texts(cell.texts, get_dataset(dataset))
        _check_known(cell, "texts", names, table, dataset)
        texts = tuple(table[name].all for name in names)
        encode = partial(any_text_vectors, cell.semantics, get_dataset(dataset))
        tokens = class_tokens(cell.semantics, get_dataset(dataset), names, texts)
    if cell.attributes and cell.attributes_digest:
        found = _cached_attributes(cell.attributes, cell.texts or SHIPPED, datasets, cell.attributes_digest)
        _check_known(cell, "attributes", names, found.rows.get(dataset, {}), dataset)
        attributes = found.take(dataset, names)
    if get_method(cell.method.partition("+")[0]).info.tower:
        found_in = get_dataset(dataset)
        phrases = class_phrases(cell.semantics, found_in, names)
        tower = partial(open_tower, cell.semantics, found_in)
    return Classes(tuple(names), vectors, texts, attributes, encode, tokens=tokens, phrases=phrases, tower=tower)


def _check_known(cell: Cell, what: str, names: Sequence[str], table: Mapping[str, object], dataset: str) -> None:
    if unknown := [name for name in names if name not in table]:
        raise NotFoundError(f"{cell.label} reads class {what}, but {unknown[0]!r} has none; name classes of {dataset}.")


def split_classes(cell: Cell, split: Split, covered: tuple[str, ...]) -> tuple[Classes, Classes]:
    """Return a cell's seen and unseen classes, with copies of their vectors that a method may change.

    Raises
    ------
    ZslbenchError
        They changed after the plan was made, or the vectors of seen and unseen ones differ in dimension.
    """
    own, other = _cached_vectors(cell.semantics, cell.dataset, cell.family, covered, cell.semantics_digest)
    seen, unseen = (other or own).take(split.seen).vectors, own.take(split.unseen).vectors
    if seen.shape[1] != unseen.shape[1]:
        raise ZslbenchError(
            f"{cell.semantics} has {seen.shape[1]}-d vectors for the seen classes and {unseen.shape[1]}-d ones for the "
            f"unseen classes; import both from the same source."
        )
    return (
        describe_classes(cell, cell.seen_dataset or cell.dataset, split.seen, np.array(seen, dtype=np.float32)),
        describe_classes(cell, cell.dataset, split.unseen, np.array(unseen, dtype=np.float32)),
    )


def open_inputs(cell: Cell) -> tuple[FeatureSet, Split]:
    """Open the features, class vectors, texts and attributes of a cell; return its features and its split.

    Raises
    ------
    ZslbenchError
        One is missing, damaged or not as planned.
    """
    features = cached_features(cell.dataset, cell.features, cell.features_digest)
    seen_features(cell)
    split = find_family(features.dataset, cell.family, features.covered).splits[cell.split]
    check_unchanged(f"split {cell.split} of {cell.family}", split.digest, cell.split_digest)
    split_classes(cell, split, features.covered)
    if cell.auxiliary:
        cached_features(cell.auxiliary.dataset, cell.auxiliary.features, cell.auxiliary.features_digest)
    return features, split


def auxiliary_classes(cell: Cell, features: FeatureSet, names: Sequence[str]) -> Classes:
    """Return classes of a cell's auxiliary dataset, with names such as ``archery (kinetics400)``."""
    assert cell.auxiliary is not None  # noqa: S101
    dataset = cell.auxiliary.dataset
    table = _cached_auxiliary(cell.semantics, dataset, features.covered, cell.auxiliary.semantics_digest)
    vectors = np.array(table.take(names).vectors, dtype=np.float32)
    found = describe_classes(cell, dataset, names, vectors)
    called = tuple(f"{name} ({dataset})" for name in names)
    return replace(found, names=called, auxiliary=np.ones(len(names), dtype=bool))


def check_code(cell: Cell) -> None:
    """Refuse to run a cell with other code than planned; a worker may have loaded its code before an edit.

    Raises
    ------
    ZslbenchError
        The method's source or the harness's recipe differs.
    """
    if cell.recipe != RECIPE or source_digest(get_method(cell.method)) != cell.method_digest:
        raise ZslbenchError(
            f"the code of {cell.method} on this worker is not the code that the run was planned with; restart the "
            f"workers, and give the command again."
        )
