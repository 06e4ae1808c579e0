"""Check a cell against the dataset, split family, feature set and method of this machine, where they are the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from zslbench.cells.cell import PREDICTIONS, Cell, ClassCounts
from zslbench.cells.predictions import read_predictions
from zslbench.cells.source import source_digest
from zslbench.cells.store import Record
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import Split, SplitFamily
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import FeatureSet
from zslbench.method import Budget
from zslbench.registry import get_method
from zslbench.run.task import class_rows, seen_videos


class InputChecks:
    """Checks of cells; opened inputs are kept for the next cell.

    Examples
    --------
    >>> from pathlib import Path
    >>> from zslbench.cells.store import Store
    >>> store, checks = Store(Path("results/runs")), InputChecks()
    >>> for record in store.records():
    ...     problems, unchecked = checks.check(record, store.path(record.cell.id))
    """

    def __init__(self) -> None:
        self._dataset = cache(_dataset)
        self._features = cache(_features)
        self._family = cache(self._open_family)

    def check(self, record: Record, folder: Path) -> tuple[list[str], list[str]]:
        """Return what disagrees, and what cannot be checked on this machine."""
        cell = record.cell
        problems = [] if (known := _method_problems(cell)) is None else known
        unchecked = [f"the method {cell.method} of this version is not installed"] if known is None else []
        dataset = self._dataset(cell.dataset)
        if dataset is None or dataset.digest != cell.classes_digest:
            here = "is not on this machine" if dataset is None else "has other classes on this machine"
            return problems, [*unchecked, f"the dataset {cell.dataset} {here}"]
        features = self._features(cell.dataset, cell.features, cell.features_digest)
        if features is None:
            unchecked.append(f"the feature set {cell.dataset}@{cell.features} is not on this machine")
        else:
            other = cell.seen_features_digest
            seen = self._features(cell.seen_dataset, cell.features, other) if cell.seen_dataset and other else features
            problems += _video_problems(record, folder, features, seen)
        problems += _count_problems(record, dataset)
        family = self._family(cell.dataset, cell.family, cell.family_digest, cell.features, cell.features_digest)
        if family is not None:
            problems += _split_problems(record, family)
        elif cell.family in dataset.stored_families:
            problems.append(f"the digest of {cell.family} is not that of the built-in splits")
        else:
            unchecked.append(f"the splits {cell.family} of {cell.dataset} are not on this machine")
        return problems, unchecked

    def _open_family(
        self, dataset: str, name: str, wanted: str, features: str, features_digest: str
    ) -> SplitFamily | None:
        """Return the family with a digest; a random one is of all classes, or of those of the feature set."""
        found = self._dataset(dataset)
        opened = self._features(dataset, features, features_digest)
        for classes in (None, opened.covered if opened else None):
            try:
                family = found.family(name, classes) if found else None
            except ZslbenchError:
                return None
            if family and family.digest == wanted:
                return family
        return None


def _dataset(name: str) -> Dataset | None:
    try:
        return get_dataset(name)
    except ZslbenchError:
        return None


def _features(dataset: str, name: str, digest: str) -> FeatureSet | None:
    try:
        found = open_features(get_dataset(dataset), name)
    except ZslbenchError:
        return None
    return found if found.manifest.digest == digest else None


def _method_problems(cell: Cell) -> list[str] | None:
    """Return what disagrees with the installed method; ``None`` if its code is another one."""
    try:
        method = get_method(cell.method)
        if source_digest(method) != cell.method_digest:
            return None
        budget = method(cell.params).budget
    except ZslbenchError:
        return None
    wanted = tuple(sorted(budget | ({Budget.AUXILIARY_VIDEOS} if cell.auxiliary else set())))
    own = ", ".join(cell.budget) or "none"
    found = [] if cell.budget == wanted else [f"its budget is {own}, not {', '.join(wanted) or 'none'}"]
    if cell.reconstruction != method.info.reconstruction:
        found.append("its mark of a reconstruction is not that of the method")
    return found


def _count_problems(record: Record, dataset: Dataset) -> list[str]:
    counts, expected = record.result.classes, record.result.expected
    if counts is None:
        return []
    unseen = _names(counts, unseen=True)
    if strange := sorted(set(unseen) - set(dataset.classes)):
        return [f"{strange[0]} is no class of {dataset.name}"]
    sizes = dataset.videos_per_class or {}
    known = sum(sizes[name] for name in unseen) if sizes.keys() >= set(unseen) else None
    return [] if expected == known else [f"{expected} videos are expected, but {dataset.name} has {known}"]


def _split_problems(record: Record, family: SplitFamily) -> list[str]:
    cell, counts = record.cell, record.result.classes
    if not 0 <= cell.split < len(family) or family.splits[cell.split].digest != cell.split_digest:
        return [f"its split digest is not that of {cell.family} #{cell.split}"]
    split: Split = family.splits[cell.split]
    found = []
    repeats = sum(other.digest == split.digest for other in family.splits)
    if (cell.repeats, cell.family_size, cell.seen_dataset) != (repeats, len(family), split.seen_dataset):
        found.append(f"its numbers of splits are not those of {cell.family}")
    names = (split.seen if cell.protocol == "gzsl" else ()) + split.unseen
    if counts and counts.names != names:
        found.append(f"its classes are not those of {cell.family} #{cell.split}")
    return found


def _video_problems(record: Record, folder: Path, features: FeatureSet, of_seen: FeatureSet | None) -> list[str]:
    """Return what disagrees with the feature sets of unseen and seen classes: the tested videos and their labels."""
    found = [] if record.cell.simulated or not features.manifest.simulated else ["its features are simulated"]
    counts = record.result.classes
    if counts is None:
        return found
    try:
        predictions = read_predictions(folder / PREDICTIONS)
    except (ZslbenchError, FileNotFoundError):
        return found  # listed already
    unseen = _names(counts, unseen=True)
    labels = np.array(predictions.classes)[predictions.ranked.labels].tolist()
    ours = list(zip(predictions.videos, labels, strict=True))
    if of_seen is None:
        ours = [(video, name) for video, name in ours if name in unseen]
    try:
        rows, indices = class_rows(features, unseen)
        theirs = [(features.ids[i], unseen[label]) for i, label in zip(rows, indices, strict=True)]
        if of_seen is not None and (seen := _names(counts, unseen=False)):
            rows, indices, held_out, _ = seen_videos(of_seen, seen, "gzsl")
            theirs += [(of_seen.ids[i], seen[n]) for i, n in zip(rows[held_out], indices[held_out], strict=True)]
    except KeyError as error:
        return [*found, f"{error.args[0]} is no class of the feature set"]
    if sorted(ours) != sorted(theirs):
        found.append("its videos or their labels are not those of the feature set")
    return found


def _names(counts: ClassCounts, *, unseen: bool) -> tuple[str, ...]:
    return tuple(name for name, is_unseen in zip(counts.names, counts.unseen, strict=True) if is_unseen == unseen)
