"""Build the task of one cell: the views of its split, made from feature sets, class vectors and texts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.cell import Cell, Protocol
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.label_sets import get_label_set
from zslbench.datasets.splits import Split
from zslbench.digests import derive_seed
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet
from zslbench.features.transforms import Projection
from zslbench.method import Classes
from zslbench.overlap.auxiliary import compare_auxiliary
from zslbench.run.inputs import auxiliary_classes, cached_features, check_unchanged, seen_features, split_classes
from zslbench.videos import IntArray, SeenVideos, Videos, joined, storage

HELD_OUT = 0.2  # share of each seen class's videos that GZSL tests on, if there is no official list


@dataclass(frozen=True)
class Task:
    """The classes and videos that one cell trains and tests on.

    Attributes
    ----------
    seen_classes, test_classes
        Classes with their vectors.
    train, test
        Views of videos. The test videos are in a random order, so that the order gives no information.
    labels
        (n_test,) true indices of ``test`` in ``test_classes``; no method gets them.
    train_keys
        (n_train,) keys of videos that are held out together: the source group within its class, or the video.
    seen
        (n_test_classes,) whether a class is a seen one.
    left_out
        Classes of an auxiliary dataset that resemble an unseen class, and are not trained on.

    Examples
    --------
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.run.experiment import make_experiment
    >>> from zslbench.run.plan import make_plan
    >>> experiment = make_experiment({"method": "ridge", "dataset": "hmdb51", "splits": "1"})
    >>> (cell,) = make_plan(experiment, simulate=lambda dataset: simulate(dataset, videos_per_class=3)).cells
    >>> task = build_task(cell)
    >>> len(task.train), len(task.test), len(task.test_classes)
    (78, 75, 25)
    """

    seen_classes: Classes
    test_classes: Classes
    train: SeenVideos
    train_keys: list[str]
    test: Videos
    ids: list[str]
    labels: IntArray
    seen: NDArray[np.bool_]
    split: Split
    dataset: Dataset
    seen_test: str = ""
    projection: Projection | None = None
    left_out: tuple[str, ...] = ()


def build_task(cell: Cell) -> Task:
    """Open a cell's inputs and build the views of its split."""
    return split_task(cell, planned_split(cell))


def planned_split(cell: Cell) -> Split:
    """Return the split that a cell was planned with."""
    features = cached_features(cell.dataset, cell.features, cell.features_digest)
    split = features.dataset.family(cell.family, features.covered).splits[cell.split]
    check_unchanged(f"split {cell.split} of {cell.family}", split.digest, cell.split_digest)
    return split


def split_task(cell: Cell, split: Split) -> Task:
    """Open a cell's inputs and build the views of a split, the cell's or another one of its classes."""
    features = cached_features(cell.dataset, cell.features, cell.features_digest)
    trained_on = seen_features(cell)
    seen_classes, test_classes = split_classes(cell, split, features.covered)
    train_rows, train_labels, held_out, seen_test = seen_videos(trained_on, split.seen, cell.protocol)
    test_rows, test_labels = class_rows(features, split.unseen)
    if cell.protocol == "gzsl":
        test_rows = np.concatenate([train_rows[held_out], test_rows])
        test_labels = np.concatenate([train_labels[held_out], test_labels + len(split.seen)])
        train_rows, train_labels = train_rows[~held_out], train_labels[~held_out]
        test_classes = seen_classes.join(test_classes)
    # Feature files are in class order, so a video's index among the test videos would reveal its label. The seed needs
    # the digest of the features: with the names of dataset and split alone, a method could compute the order again.
    seed = derive_seed("order", cell.dataset, cell.features_digest, split.digest)
    order = np.random.default_rng(seed).permutation(len(test_rows))
    test_rows, test_labels = test_rows[order], test_labels[order]
    projection = trained_on.projection(train_rows)
    task = Task(
        seen_classes=seen_classes,
        test_classes=test_classes,
        train=SeenVideos(trained_on.projected(projection), train_rows, train_labels),
        train_keys=hold_out_keys(trained_on, train_rows, train_labels),
        test=Videos(features.projected(projection), test_rows),
        ids=[features.ids[i] for i in test_rows],
        labels=test_labels,
        seen=np.arange(len(test_classes)) < len(test_classes) - len(split.unseen),
        split=split,
        dataset=features.dataset,
        seen_test=seen_test,
        projection=projection,
    )
    return with_auxiliary(cell, task) if cell.auxiliary else task


def with_auxiliary(cell: Cell, task: Task) -> Task:
    """Return a task that trains also on the cell's auxiliary videos.

    Classes that equal or resemble an unseen class of the split are left out, by the rule of `overlap.auxiliary`.
    """
    assert cell.auxiliary is not None  # noqa: S101
    auxiliary = cell.auxiliary
    features = cached_features(auxiliary.dataset, auxiliary.features, auxiliary.features_digest)
    left_out = near_unseen(auxiliary.dataset, cell.dataset, task.split.unseen)
    names = tuple(name for name in features.covered if name not in left_out)
    if not names:
        raise ZslbenchError(
            f"every class of {auxiliary.title} resembles an unseen one of {cell.title}; leave out --auxiliary."
        )
    classes = auxiliary_classes(cell, features, names)
    rows, labels = class_rows(features, names)
    own, own_rows = storage(task.train)
    test_store, test_rows = storage(task.test)
    store = joined(own, features.projected(task.projection))
    return replace(
        task,
        seen_classes=task.seen_classes.join(classes),
        train=SeenVideos(
            store,
            np.concatenate([own_rows, rows + len(own.lengths)]),
            np.concatenate([task.train.labels, labels + len(task.seen_classes)]),
        ),
        train_keys=task.train_keys + [f"{auxiliary.dataset}/{key}" for key in hold_out_keys(features, rows, labels)],
        # One store for both sides if they are of one dataset, so that graphs and kernel matrices can span them.
        test=Videos(store, test_rows) if test_store is own else task.test,
        left_out=tuple(sorted(left_out)),
    )


def near_unseen(auxiliary: str, dataset: str, unseen: tuple[str, ...]) -> set[str]:
    """Return the classes of an auxiliary dataset that equal or resemble one of the ``unseen`` ones of a dataset."""
    if strange := set(unseen) - set(get_label_set(dataset).labels):  # a label set's alias can be a dataset's name
        raise ZslbenchError(
            f"{min(strange)!r} is no label of the label set {dataset!r}, so auxiliary classes cannot be compared with "
            f"it; give the dataset another name."
        )
    return set(compare_auxiliary(auxiliary, dataset, frozenset(unseen)).left_out)


def class_rows(features: FeatureSet, names: tuple[str, ...]) -> tuple[IntArray, IntArray]:
    """Return the rows of the videos of the classes ``names``, and the indices of their classes in ``names``."""
    place = np.full(len(features.dataset.classes), -1, dtype=np.int64)
    place[[features.dataset.label_of[name] for name in names]] = np.arange(len(names))
    rows = np.flatnonzero(place[features.labels] >= 0)
    return rows, place[features.labels[rows]]


def seen_videos(
    features: FeatureSet, names: tuple[str, ...], protocol: Protocol
) -> tuple[IntArray, IntArray, NDArray[np.bool_], str]:
    """Return the videos of a split's seen classes and which of them a protocol tests on.

    Returns
    -------
    rows, labels
        (n,) indices into the feature set and into ``names``.
    held_out
        (n,) bool, whether a video is held out from training; all false for ``zsl``.
    rule
        The rule that chose them; empty for ``zsl``.
    """
    rows, labels = class_rows(features, names)
    if protocol == "zsl":
        return rows, labels, np.zeros(len(rows), dtype=bool), ""
    return rows, labels, *held_out_videos(features, rows, labels)


def held_out_videos(features: FeatureSet, rows: IntArray, labels: IntArray) -> tuple[NDArray[np.bool_], str]:
    """Return which seen-class videos GZSL tests on, and by which rule.

    They are the official test list if the feature set has one. Otherwise they are at least a fifth of each class's
    videos, in whole source groups if these are known. Videos cut from one source are near-copies of each other, so they
    must not be in both parts. The choice depends only on the names of classes and videos, never on the split.
    """
    if features.has_official_lists:
        return np.array([features.official[i] == "test" for i in rows], dtype=bool), "official test list"
    keys = hold_out_keys(features, rows, labels)
    return hold_out(labels, keys, features.dataset.name), "a fifth of each class, whole source groups where known"


def hold_out_keys(features: FeatureSet, rows: IntArray, labels: IntArray) -> list[str]:
    """Return one key per video, its class and source group, or its class and itself; equal keys are held out together.

    The name of a group is only valid within its class (UCF101 has ``g01`` in every class).
    """
    grouped = {label: all(features.groups[i] for i in rows[labels == label]) for label in np.unique(labels).tolist()}
    names = [features.dataset.classes[i] for i in features.labels[rows]]
    return [
        f"{name}/{features.groups[i] if grouped[label] else features.ids[i]}"
        for i, name, label in zip(rows, names, labels.tolist(), strict=True)
    ]


def hold_out(labels: IntArray, keys: list[str], *seed: str | int) -> NDArray[np.bool_]:
    """Hold out at least a fifth of each class's videos, by whole keys; a class with one key keeps it for training."""
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        sizes = Counter(keys[i] for i in members)
        taken: set[str] = set()
        # Never the last key, so that every class keeps videos for training.
        for key in sorted(sizes, key=lambda key: derive_seed("hold out", *seed, key))[:-1]:
            if sum(sizes[k] for k in taken) >= HELD_OUT * len(members):
                break
            taken.add(key)
        held_out[members] = [keys[i] in taken for i in members]
    return held_out
