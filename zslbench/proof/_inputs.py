"""Check a cell against the dataset, split family, feature set and method of this machine, where they are the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from zslbench.cells.cell import PREDICTIONS, TRAINING, Cell, ClassCounts
from zslbench.cells.per_video import read_training
from zslbench.cells.predictions import read_predictions
from zslbench.cells.source import source_digest
from zslbench.cells.store import Record
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import Split, SplitFamily
from zslbench.errors import ZslbenchError
from zslbench.families.catalog import find_family
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import FeatureSet
from zslbench.features.video_lists import features_list
from zslbench.method import Budget
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.registry import get_method
from zslbench.run.split_videos import (
    class_rows,
    expected_videos,
    split_videos,
    tested_ids,
    tested_names,
    training_videos,
)


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
        family = self._family(cell.dataset, cell.family, cell.family_digest, cell.features, cell.features_digest)
        if features is None:
            unchecked.append(f"the feature set {cell.dataset}@{cell.features} is not on this machine")
        else:
            problems += _video_problems(record, folder, features, self._seen(cell, features), _split_of(cell, family))
        if family is not None or not (folder / TRAINING).is_file():  # else its own list of videos is not here
            problems += _count_problems(record, dataset, _split_of(cell, family))
        if family is not None:
            problems += _split_problems(record, family)
        elif cell.family in dataset.stored_families:
            problems.append(f"the digest of {cell.family} is not that of the built-in splits")
        else:
            unchecked.append(f"the splits {cell.family} of {cell.dataset} are not on this machine")
        return problems, unchecked

    def _seen(self, cell: Cell, features: FeatureSet) -> FeatureSet | None:
        """Return the features of the seen classes, if they are on this machine."""
        if cell.seen_dataset is None:
            return features
        digest = cell.seen_features_digest
        return self._features(cell.seen_dataset, cell.features, digest) if digest else None

    def _open_family(
        self, dataset: str, name: str, wanted: str, features: str, features_digest: str
    ) -> SplitFamily | None:
        """Return the family with a digest; a random one is of all classes, or of those of the feature set."""
        found = self._dataset(dataset)
        opened = self._features(dataset, features, features_digest)
        for classes in (None, opened.covered if opened else None):
            try:
                family = find_family(found, name, classes) if found else None
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


def _count_problems(record: Record, dataset: Dataset, split: Split | None) -> list[str]:
    counts, expected = record.result.classes, record.result.expected
    if counts is None:
        return []
    unseen = _names(counts, unseen=True)
    tested = unseen or counts.names
    if strange := sorted(set(tested) - set(dataset.classes)):
        return [f"{strange[0]} is no class of {dataset.name}"]
    others = tuple(name for name in dataset.classes if name not in unseen)
    if split is None and not (unseen and others):
        return []  # the list of the tested videos is not here
    given = split if split and (split.videos or not (unseen and others)) else Split(others, unseen)
    known = expected_videos(dataset, given, simulated=record.cell.simulated)
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
    seen = tested_names(split, cell.protocol, split.seen) if PROTOCOLS[cell.protocol].tests_seen else ()
    names = seen + split.unseen
    if counts and counts.names != names:
        found.append(f"its classes are not those of {cell.family} #{cell.split}")
    return found


def _split_of(cell: Cell, family: SplitFamily | None) -> Split | None:
    return family.splits[cell.split] if family and 0 <= cell.split < len(family) else None


def _video_problems(
    record: Record, folder: Path, features: FeatureSet, of_seen: FeatureSet | None, split: Split | None
) -> list[str]:
    """Return what disagrees with the feature sets of unseen and seen classes: the tested videos and their labels."""
    found = [] if record.cell.simulated or not features.manifest.simulated else ["its features are simulated"]
    counts = record.result.classes
    if counts is None:
        return found
    try:
        predictions = read_predictions(folder / PREDICTIONS)
        training = read_training(folder)
    except (ZslbenchError, FileNotFoundError):
        return found  # listed already
    unseen, seen = (_names(counts, unseen=side) for side in (True, False))
    labels = np.array(predictions.classes)[predictions.ranked.labels].tolist()
    ours = list(zip(predictions.videos, labels, strict=True))
    if split is None and (training or (record.cell.seen_dataset and seen)):
        return found  # the list of its videos, or the classes of the other dataset, are not here
    held_out, planned = record.cell.held_out or ("", "")
    if of_seen is None:
        ours = [(video, name) for video, name in ours if name in unseen]
    try:
        if split is None and not seen:  # zsl, of splits that are not here
            rows, indices = class_rows(features, unseen)
            theirs = [(features.ids[i], unseen[n]) for i, n in zip(rows, indices, strict=True)]
        else:
            if held_out and of_seen is not None and features_list(of_seen, held_out).digest != planned:
                return [*found, f"its list {held_out} is not that of this machine"]
            split = split or Split(seen, unseen)
            chosen = split_videos(split, record.cell.protocol, features, of_seen, held_out)
            labels = [*(seen[n] for n in chosen.seen_labels), *(unseen[n] for n in chosen.unseen_labels)]
            theirs = list(zip(tested_ids(split, chosen, features, of_seen or features), labels, strict=True))
            if training != training_videos(split, chosen, of_seen or features):
                found.append(f"{TRAINING} is not that of {record.cell.family} #{record.cell.split}")
    except KeyError as error:
        return [*found, f"{error.args[0]} is no class of the feature set"]
    except IndexError:
        return [*found, "its classes are not those of its split"]
    except ZslbenchError as error:
        return [*found, str(error)]
    if sorted(ours) != sorted(theirs):
        found.append("its videos or their labels are not those of the feature set")
    return found


def _names(counts: ClassCounts, *, unseen: bool) -> tuple[str, ...]:
    return tuple(name for name, is_unseen in zip(counts.names, counts.unseen, strict=True) if is_unseen == unseen)
