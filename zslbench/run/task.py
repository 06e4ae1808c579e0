"""Build the task of one cell: the views of its split, made from feature sets, class vectors and texts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.cell import Cell
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.label_sets import get_label_set
from zslbench.datasets.splits import Split
from zslbench.digests import derive_seed
from zslbench.errors import ZslbenchError
from zslbench.families.catalog import find_family
from zslbench.features.transforms import Projection
from zslbench.features.video_lists import features_list
from zslbench.method import Classes
from zslbench.overlap.auxiliary import compare_auxiliary
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.run.controls import frames_of
from zslbench.run.inputs import (
    auxiliary_classes,
    cached_features,
    check_unchanged,
    of_part,
    own_features,
    seen_features,
    split_classes,
)
from zslbench.run.split_videos import (
    class_rows,
    hold_out_keys,
    split_videos,
    tested_ids,
    tested_names,
    training_videos,
)
from zslbench.videos import IntArray, SeenVideos, Videos, joined, storage


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
    training
        Ids of the training videos with their classes, if a list or a draw chose them among the seen classes' videos.
    train_keys
        (n_train,) keys of videos that are held out together: the source group within its class, or the video.
    seen
        (n_test_classes,) whether a class is a seen one.
    left_out
        Classes of an auxiliary dataset that resemble an unseen class, and are not trained on.
    train_ids
        (n_train,) ids of the training videos; auxiliary ones begin with the name of their dataset.

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
    training: tuple[tuple[str, str], ...] = ()
    projection: Projection | None = None
    left_out: tuple[str, ...] = ()
    train_ids: tuple[str, ...] = ()


def build_task(cell: Cell) -> Task:
    """Open a cell's inputs and build the views of its split."""
    return split_task(cell, planned_split(cell))


def planned_split(cell: Cell) -> Split:
    """Return the split that a cell was planned with."""
    features = own_features(cell)
    split = find_family(features.dataset, cell.family, features.covered).splits[cell.split]
    check_unchanged(f"split {cell.split} of {cell.family}", split.digest, cell.split_digest)
    return split


def split_task(cell: Cell, split: Split) -> Task:
    """Open a cell's inputs and build the views of a split, the cell's or another one of its classes."""
    features = own_features(cell)
    trained_on = seen_features(cell)
    seen_classes, test_classes = split_classes(cell, split, features.covered)
    train_store = trained_on or features
    if cell.held_out:
        name, planned = cell.held_out
        check_unchanged(f"the list {name}", features_list(train_store, name).digest, planned)
    chosen = split_videos(split, cell.protocol, features, trained_on, cell.held_out[0] if cell.held_out else "")
    seen_classes = replace(seen_classes, names=tested_names(split, cell.protocol, seen_classes.names))
    if PROTOCOLS[cell.protocol].tests_seen:
        test_rows = np.concatenate([chosen.seen_rows, chosen.unseen_rows])
        test_labels = np.concatenate([chosen.seen_labels, chosen.unseen_labels + len(split.seen)])
        test_classes = seen_classes.join(test_classes) if split.unseen else seen_classes
    else:
        test_rows, test_labels = chosen.unseen_rows, chosen.unseen_labels
    ids = tested_ids(split, chosen, features, train_store)
    # Feature files are in class order, so a video's index among the test videos would reveal its label. The seed needs
    # the digest of the features: with the names of dataset and split alone, a method could compute the order again.
    seed = derive_seed("order", cell.dataset, features.manifest.digest, split.digest)
    order = np.random.default_rng(seed).permutation(len(test_rows))
    test_rows, test_labels = test_rows[order], test_labels[order]
    projection = train_store.projection(chosen.train_rows)
    store = frames_of(cell, features, projection, training=False)
    if split.seen_dataset and len(chosen.seen_rows):  # the seen classes' videos come after those of the dataset
        test_rows = np.where(test_labels < len(split.seen), test_rows + len(store.lengths), test_rows)
        store = joined(store, frames_of(cell, train_store, projection, training=False))
    task = Task(
        seen_classes=seen_classes,
        test_classes=test_classes,
        train=SeenVideos(
            frames_of(cell, train_store, projection, training=True), chosen.train_rows, chosen.train_labels
        ),
        train_keys=hold_out_keys(train_store, chosen.train_rows, chosen.train_labels),
        test=Videos(store, test_rows),
        ids=[ids[i] for i in order],
        labels=test_labels,
        training=training_videos(split, chosen, train_store),
        seen=np.arange(len(test_classes)) < len(test_classes) - len(split.unseen),
        split=split,
        dataset=features.dataset,
        seen_test=chosen.rule,
        projection=projection,
        train_ids=tuple(train_store.ids[i] for i in chosen.train_rows),
    )
    task = with_auxiliary(cell, task) if cell.auxiliary else task
    return replace(task, train=task.train.grouped(task.train_keys))


def with_auxiliary(cell: Cell, task: Task) -> Task:
    """Return a task that trains also on the cell's auxiliary videos.

    Classes that equal or resemble an unseen class of the split are left out, by the rule of `overlap.auxiliary`.
    """
    assert cell.auxiliary is not None  # noqa: S101
    auxiliary = cell.auxiliary
    features = of_part(cell, cached_features(auxiliary.dataset, auxiliary.features, auxiliary.features_digest))
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
    store = joined(own, frames_of(cell, features, task.projection, training=True))
    return replace(
        task,
        seen_classes=task.seen_classes.join(classes),
        train=SeenVideos(
            store,
            np.concatenate([own_rows, rows + len(own.lengths)]),
            np.concatenate([task.train.labels, labels + len(task.seen_classes)]),
        ),
        train_ids=(*task.train_ids, *(f"{auxiliary.dataset}/{features.ids[i]}" for i in rows)),
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
