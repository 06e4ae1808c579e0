"""One cell from start to end: open, build the views, fit, score, measure.

The labels of unseen videos stay in this module: a method is handed views that cannot tell them, and its scores are
compared with them after it has returned.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.cell import Cell, ClassCounts, Protocol, Result, State
from zslbench.dataset import Dataset
from zslbench.digests import derive_seed
from zslbench.errors import ZslbenchError
from zslbench.features import FeatureSet
from zslbench.inputs import cached_features, check_code, named_texts, split_texts, split_vectors
from zslbench.method import Budget, Classes, Method, Report, Target
from zslbench.metrics import class_sums, gzsl_metrics, hits, seen_unseen_curve, top_k, zsl_metrics
from zslbench.registry import get_method
from zslbench.semantics import open_semantics
from zslbench.splits import Split
from zslbench.transforms import Projection
from zslbench.videos import IntArray, SeenVideos, Videos

HELD_OUT = 0.2  # share of each seen class's videos that GZSL tests on, where there is no official list
TOP = 5  # predictions kept a video
_OF_THE_TEST = frozenset({Budget.UNSEEN_NAMES, Budget.UNSEEN_VIDEOS, Budget.ORACLE})


@dataclass(frozen=True)
class Outcome:
    """A cell's result and its predictions table (:class:`pyarrow.Table`), and the fitted method with its classes.

    ``projection`` is the PCA that its features went through, where the feature set is a derived one.
    """

    result: Result
    predictions: Any
    method: Method
    seen: Classes
    unseen: Classes
    projection: Projection | None = None


@dataclass(frozen=True)
class Task:
    """What one cell trains and tests on.

    Attributes
    ----------
    seen_classes, test_classes
        With class vectors.
    train, test
        Views; ``labels`` holds the true places of ``test`` in ``test_classes`` and is never handed on.
        The test videos are in an order that tells nothing.
    train_keys
        What is held out together: a training video's source group within its class, or the video alone.
    seen
        (n_test_classes,) which of them are seen classes.
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


def evaluate(cell: Cell, report: Report) -> Outcome:
    """Run one cell in this process.

    Raises
    ------
    ZslbenchError
        The feature set, class vectors or split changed since the plan was made, or do not fit each other.
    Exception
        Whatever the method raises.
    """
    started = time.time()
    check_code(cell)
    task = build_task(cell)
    method_class = get_method(cell.method)
    method = _new(method_class, cell)
    target = _target(method.budget, task)
    clock = time.perf_counter()
    method.fit(task.train, task.seen_classes, target, report)
    fitted = time.perf_counter()
    scores = _checked(method.score(task.test, task.test_classes), (len(task.test), len(task.test_classes)))
    scored = time.perf_counter()
    if cell.protocol == "gzsl":
        factor = _calibration_factor(cell, task)
        metrics = gzsl_metrics(scores, task.labels, task.seen, factor)
        report.note(seen_test=task.seen_test)
    else:
        metrics = zsl_metrics(scores, task.labels)
    expected = task.dataset.videos_per_class
    result = Result(
        state=State.DONE,
        metrics=metrics,
        classes=_class_counts(scores, task),
        expected=None if expected is None else _sum_if_all(expected, task.split.unseen),
        present=int(np.count_nonzero(~task.seen[task.labels])),
        fit_seconds=fitted - clock,
        score_seconds=scored - fitted,
        epochs=report.epochs,
        warnings=report.warnings,
        notes=report.notes,
        started=started,
        finished=time.time(),
    )
    unseen = task.test_classes.take(~task.seen)
    return Outcome(result, _predictions(scores, task), method, task.seen_classes, unseen, task.projection)


def fit_on_all_classes(cell: Cell, report: Report) -> tuple[Method, Classes, Projection | None]:
    """Fit a cell's method on all videos of every class that its feature set covers; no test is left.

    Returns
    -------
    method, classes, projection
        The fitted method, what it was trained on, and the PCA, if any, that its features went through.

    Raises
    ------
    ZslbenchError
        The inputs changed since the plan was made, or the method looks at the test.
    """
    check_code(cell)
    features = cached_features(cell.dataset, cell.features, cell.features_digest)
    vectors = open_semantics(cell.semantics, features.dataset, features.covered).vectors
    texts = named_texts(cell, features.covered, features.dataset)
    classes = Classes(features.covered, np.array(vectors), texts)
    seed = derive_seed(cell.seed, cell.method, cell.dataset, cell.features_digest, "all classes")
    method = get_method(cell.method)(cell.params, seed=seed)
    if looks := sorted(method.budget & _OF_THE_TEST):
        raise ZslbenchError(
            f"{cell.label} looks at the test ({', '.join(looks)}), and a model of all classes has none; take a split's."
        )
    rows, labels = _rows(features, classes.names)
    projection = features.projection(rows)
    method.fit(SeenVideos(features.projected(projection), rows, labels), classes, None, report)
    return method, classes, projection


def _sum_if_all(counts: Mapping[str, int], names: tuple[str, ...]) -> int | None:
    return sum(counts[name] for name in names) if all(name in counts for name in names) else None


def _new(method_class: type[Method], cell: Cell) -> Method:
    seed = derive_seed(cell.seed, cell.method, cell.dataset, cell.features_digest, cell.split_digest)
    return method_class(cell.params, seed=seed)


def build_task(cell: Cell) -> Task:
    """Open a cell's inputs and build the views of its split."""
    features = cached_features(cell.dataset, cell.features, cell.features_digest)
    seen_features = features
    if cell.seen_dataset and cell.seen_features_digest:
        seen_features = cached_features(cell.seen_dataset, cell.features, cell.seen_features_digest)
    dataset = features.dataset
    split = dataset.family(cell.family, features.covered).splits[cell.split]
    if split.digest != cell.split_digest:
        raise ZslbenchError(f"split {cell.split} of {cell.family} changed since this run was planned; run it again.")
    seen_names = split.seen
    seen_vectors, unseen_vectors = split_vectors(cell, features.covered)
    seen_texts, unseen_texts = split_texts(cell, split)
    seen_classes = Classes(seen_names, seen_vectors, seen_texts)
    train_rows, train_labels, held_out, seen_test = seen_videos(seen_features, seen_names, cell.protocol)
    test_rows, test_labels = _rows(features, split.unseen)
    test_classes = Classes(split.unseen, unseen_vectors, unseen_texts)
    if cell.protocol == "gzsl":
        test_rows = np.concatenate([train_rows[held_out], test_rows])
        test_labels = np.concatenate([train_labels[held_out], test_labels + len(seen_names)])
        train_rows, train_labels = train_rows[~held_out], train_labels[~held_out]
        both = None if seen_texts is None or unseen_texts is None else seen_texts + unseen_texts
        test_classes = Classes(seen_names + split.unseen, np.concatenate([seen_vectors, unseen_vectors]), both)
    # Feature files are in class order: a video's place among the test videos would tell its label.
    order = np.random.default_rng(derive_seed("order", cell.dataset, cell.split_digest)).permutation(len(test_rows))
    test_rows, test_labels = test_rows[order], test_labels[order]
    projection = seen_features.projection(train_rows)
    return Task(
        seen_classes=seen_classes,
        test_classes=test_classes,
        train=SeenVideos(seen_features.projected(projection), train_rows, train_labels),
        train_keys=hold_out_keys(seen_features, train_rows, train_labels),
        test=Videos(features.projected(projection), test_rows),
        ids=[features.ids[i] for i in test_rows],
        labels=test_labels,
        seen=np.arange(len(test_classes)) < len(test_classes) - len(split.unseen),
        split=split,
        dataset=dataset,
        seen_test=seen_test,
        projection=projection,
    )


def _rows(features: FeatureSet, names: tuple[str, ...]) -> tuple[IntArray, IntArray]:
    """Return the rows of the videos of ``names`` and their places in it."""
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
        (n,) places in the feature set and in ``names``.
    held_out
        (n,) bool: not for training. All false for ``zsl``.
    rule
        How they were chosen; empty for ``zsl``.
    """
    rows, labels = _rows(features, names)
    if protocol == "zsl":
        return rows, labels, np.zeros(len(rows), dtype=bool), ""
    return rows, labels, *held_out_videos(features, rows, labels)


def held_out_videos(features: FeatureSet, rows: IntArray, labels: IntArray) -> tuple[NDArray[np.bool_], str]:
    """Return which seen-class videos GZSL tests on, and by which rule.

    The official test list where the feature set has one; otherwise at least a fifth of each class's videos, whole
    source groups where they are known, since videos cut from one source are near-copies of each other. The choice
    depends on the class and the video names only, never on the split.
    """
    if features.has_official_lists:
        return np.array([features.official[i] == "test" for i in rows], dtype=bool), "official test list"
    keys = hold_out_keys(features, rows, labels)
    return _hold_out(labels, keys, features.dataset.name), "a fifth of each class, whole source groups where known"


def hold_out_keys(features: FeatureSet, rows: IntArray, labels: IntArray) -> list[str]:
    """Return for each video what is held out together with it: its class and source group, or its class and itself.

    A group's name means something within its class only (UCF101 has ``g01`` in every class).
    """
    grouped = {label: all(features.groups[i] for i in rows[labels == label]) for label in np.unique(labels).tolist()}
    names = [features.dataset.classes[i] for i in features.labels[rows]]
    members = [
        features.groups[i] if grouped[label] else features.ids[i]
        for i, label in zip(rows, labels.tolist(), strict=True)
    ]
    return [f"{name}/{member}" for name, member in zip(names, members, strict=True)]


def _hold_out(labels: IntArray, keys: list[str], *seed: str | int) -> NDArray[np.bool_]:
    """Return at least a fifth of each class's videos, by whole keys; a class with one key keeps it for training."""
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        sizes = Counter(keys[i] for i in members)
        taken: set[str] = set()
        for key in sorted(sizes, key=lambda key: derive_seed("hold out", *seed, key))[:-1]:
            if sum(sizes[k] for k in taken) >= HELD_OUT * len(members):
                break
            taken.add(key)
        held_out[members] = [keys[i] in taken for i in members]
    return held_out


def _target(budget: frozenset[Budget], task: Task) -> Target | None:
    if not budget & _OF_THE_TEST:
        return None
    names, videos, oracle = (b in budget for b in (Budget.UNSEEN_NAMES, Budget.UNSEEN_VIDEOS, Budget.ORACLE))
    counts = np.bincount(task.labels, minlength=len(task.test_classes)).tolist()
    return Target(
        classes=task.test_classes if names else None,
        videos=task.test if videos else None,
        counts=dict(zip(task.test_classes.names, counts, strict=True)) if oracle else None,
    )


def _checked(scores: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float64]:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != shape:
        raise ValueError(f"score() returned shape {scores.shape}; {shape} = (n_videos, n_classes) was asked for")
    if not np.isfinite(scores).all():
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(scores))[0])
        raise ValueError(f"score() returned {scores[bad]} for test video {bad[0]}, class {bad[1]}")
    return scores


def _calibration_factor(cell: Cell, task: Task) -> float:
    """Return the calibrated-stacking factor with the best H on held-out seen classes; no test video is looked at.

    A third of the seen classes plays the unseen part; a second model is fitted on the others, less held-out videos.
    """
    n, labels = len(task.seen_classes), task.train.labels
    rng = np.random.default_rng(derive_seed(cell.seed, "calibration", cell.dataset, cell.split_digest))
    known = np.ones(n, dtype=bool)
    known[rng.permutation(n)[: max(1, n // 3)]] = False
    if known.sum() < 2:
        raise ZslbenchError("gzsl needs at least three seen classes; use a family with more of them.")
    held_out = known[labels] & _hold_out(labels, task.train_keys, "calibration", cell.split_digest)
    train_index, test_index = np.flatnonzero(known[labels] & ~held_out), np.flatnonzero(~known[labels] | held_out)
    test_index = rng.permutation(test_index)
    place = np.cumsum(known) - 1
    pseudo = replace(
        task,
        seen_classes=task.seen_classes.take(known),
        test_classes=task.seen_classes,
        train=task.train.take(train_index).relabel(place[labels[train_index]]),
        test=task.train.take(test_index).unlabelled(),
        labels=labels[test_index],
        seen=known,
    )
    method = _new(get_method(cell.method), cell)
    method.fit(pseudo.train, pseudo.seen_classes, _target(method.budget, pseudo), Report())
    scores = _checked(method.score(pseudo.test, pseudo.test_classes), (len(test_index), n))
    return seen_unseen_curve(scores, pseudo.labels, known).best_factor()


def _class_counts(scores: NDArray[Any], task: Task) -> ClassCounts:
    n = len(task.test_classes)

    def count(values: NDArray[Any]) -> tuple[int, ...]:
        return tuple(class_sums(values, task.labels, n).astype(int).tolist())

    return ClassCounts(
        names=task.test_classes.names,
        unseen=tuple((~task.seen).tolist()),
        scored=count(np.ones(len(task.labels))),
        top1=count(hits(scores, task.labels)),
        top5=count(hits(scores, task.labels, TOP)),
    )


def _predictions(scores: NDArray[Any], task: Task) -> Any:
    import pyarrow as pa

    best = top_k(scores, TOP)
    names = np.array(task.test_classes.names)
    values = np.take_along_axis(scores, best, axis=1).astype(np.float32)
    return pa.table(
        {
            "video": pa.array(task.ids),
            "label": pa.array(names[task.labels]).dictionary_encode(),
            "predicted": pa.FixedSizeListArray.from_arrays(pa.array(names[best].ravel()), best.shape[1]),
            "scores": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), best.shape[1]),
        }
    )
