"""Open the classes that a split family reserves for validation, for methods that choose on them."""

from __future__ import annotations

import numpy as np

from zslbench.cells.cell import Cell
from zslbench.errors import NotFoundError
from zslbench.method import Validation
from zslbench.run.controls import frames_of
from zslbench.run.inputs import describe_classes, own_features, own_vectors
from zslbench.run.split_videos import class_rows, hold_out_keys
from zslbench.run.task import Task
from zslbench.videos import SeenVideos

_FEWEST = 2  # a single class is always recognised


def given_validation(cell: Cell, task: Task) -> Validation | None:
    """Return the validation classes of a task's split, with all their videos in the cell's features.

    Classes without videos or class vectors are left out, and so are those without the texts or attributes that the
    method reads.

    Returns
    -------
    Validation or None
        ``None`` if fewer than two classes are left.
    """
    if not task.split.validation:
        return None
    features = own_features(cell)
    vectors = own_vectors(cell, features.covered)
    known = set(features.covered) & set(vectors.names)
    found = []
    for name in task.split.validation:
        try:
            if name in known:
                found.append(describe_classes(cell, cell.dataset, [name], np.array(vectors.take([name]).vectors)))
        except NotFoundError:
            continue
    if len(found) < _FEWEST:
        return None
    classes, *others = found
    for one in others:
        classes = classes.join(one)
    rows, labels = class_rows(features, classes.names)
    store = frames_of(cell, features, task.projection, training=True)
    return Validation(SeenVideos(store, rows, labels).grouped(hold_out_keys(features, rows, labels)), classes)
