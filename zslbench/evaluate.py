"""One cell from start to end: open, build the views, fit, score, measure.

The labels of unseen videos stay in this module: a method is handed views that cannot tell them, and its scores are
compared with them after it has returned.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.cell import Cell, ClassCounts, Result, State
from zslbench.dataset import Dataset
from zslbench.digests import derive_seed
from zslbench.errors import CoverageError, ZslbenchError
from zslbench.features import FeatureSet, open_features
from zslbench.method import Budget, Classes, Method, Report, Target
from zslbench.metrics import class_sums, gzsl_metrics, hits, seen_unseen_curve, top_k, zsl_metrics
from zslbench.registry import get_dataset, get_method
from zslbench.semantics import ClassVectors, open_semantics
from zslbench.splits import Split
from zslbench.videos import IntArray, SeenVideos, Videos

HELD_OUT = 0.2  # share of each seen class's videos that GZSL tests on, where there is no official list
TOP = 5  # predictions kept a video


@dataclass(frozen=True)
class Outcome:
    """A cell's result and its predictions table (:class:`pyarrow.Table`)."""

    result: Result
    predictions: Any


@dataclass(frozen=True)
class Task:
    """What one cell trains and tests on.

    Attributes
    ----------
    seen_classes, test_classes
        With class vectors.
    train, test
        Views; ``labels`` holds the true places of ``test`` in ``test_classes`` and is never handed on.
    seen
        (n_test_classes,) which of them are seen classes.
    """

    seen_classes: Classes
    test_classes: Classes
    train: SeenVideos
    train_groups: list[str]
    test: Videos
    ids: list[str]
    labels: IntArray
    seen: NDArray[np.bool_]
    split: Split
    dataset: Dataset
    seen_test: str = ""


@lru_cache(maxsize=8)
def cached_features(dataset: str, name: str) -> FeatureSet:
    """Return a feature set that this process shares between cells: one memory map, one set of kernel matrices."""
    return open_features(get_dataset(dataset), name)


@lru_cache(maxsize=32)
def _class_vectors(spec: str, dataset: str, classes: tuple[str, ...]) -> ClassVectors:
    return open_semantics(spec, get_dataset(dataset), classes)


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
    task = build_task(cell)
    method_class = get_method(cell.method)
    method = _new(method_class, cell)
    target = _target(method.budget, task)
    clock = time.perf_counter()
    method.fit(task.train, task.seen_classes, target, report)
    fitted = time.perf_counter()
    scores = _checked(method.score(task.test, task.test_classes), task)
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
        expected=sum(expected[name] for name in task.split.unseen) if expected else None,
        present=int(np.count_nonzero(~task.seen[task.labels])),
        fit_seconds=fitted - clock,
        score_seconds=scored - fitted,
        epochs=report.epochs,
        warnings=report.warnings,
        notes=report.notes,
        started=started,
        finished=time.time(),
    )
    return Outcome(result, _predictions(scores, task))


def _new(method_class: type[Method], cell: Cell) -> Method:
    seed = derive_seed(cell.seed, cell.method, cell.dataset, cell.features_digest, cell.split_digest)
    return method_class(cell.params, seed=seed)


def build_task(cell: Cell) -> Task:
    """Open a cell's inputs and build the views of its split."""
    features = cached_features(cell.dataset, cell.features)
    seen_features = cached_features(cell.seen_dataset, cell.features) if cell.seen_dataset else features
    for digest, opened in ((cell.features_digest, features), (cell.seen_features_digest, seen_features)):
        if digest is not None and opened.manifest.digest != digest:
            raise ZslbenchError(f"{opened.title} changed since this run was planned; run the command again.")
    dataset = features.dataset
    split = dataset.family(cell.family, features.covered).splits[cell.split]
    if split.digest != cell.split_digest:
        raise ZslbenchError(f"split {cell.split} of {cell.family} changed since this run was planned; run it again.")
    seen_names = split.seen
    # All classes in use at once: opened once for all splits, and equal vectors are noticed across seen and unseen.
    if cell.seen_dataset:
        seen_vectors = _class_vectors(cell.semantics, cell.seen_dataset, seen_names).vectors
        unseen_vectors = _class_vectors(cell.semantics, cell.dataset, split.unseen).vectors
    else:
        vectors = _class_vectors(cell.semantics, cell.dataset, tuple(sorted(seen_names + split.unseen)))
        seen_vectors, unseen_vectors = vectors.take(seen_names).vectors, vectors.take(split.unseen).vectors
    if seen_vectors.shape[1] != unseen_vectors.shape[1]:
        raise CoverageError(
            f"{cell.semantics} has {seen_vectors.shape[1]}-d vectors for the seen classes and "
            f"{unseen_vectors.shape[1]}-d ones for the unseen classes; import both from one source."
        )
    seen_classes = Classes(seen_names, seen_vectors)
    train_rows, train_labels = _rows(seen_features, seen_names)
    test_rows, test_labels = _rows(features, split.unseen)
    test_classes = Classes(split.unseen, unseen_vectors)
    seen_test = ""
    if cell.protocol == "gzsl":
        held_out, seen_test = held_out_videos(seen_features, train_rows, train_labels)
        test_rows = np.concatenate([train_rows[held_out], test_rows])
        test_labels = np.concatenate([train_labels[held_out], test_labels + len(seen_names)])
        train_rows, train_labels = train_rows[~held_out], train_labels[~held_out]
        test_classes = Classes(seen_names + split.unseen, np.concatenate([seen_vectors, unseen_vectors]))
    return Task(
        seen_classes=seen_classes,
        test_classes=test_classes,
        train=SeenVideos(seen_features.store, train_rows, train_labels),
        train_groups=[seen_features.groups[i] for i in train_rows],
        test=Videos(features.store, test_rows),
        ids=[features.ids[i] for i in test_rows],
        labels=test_labels,
        seen=np.arange(len(test_classes)) < len(test_classes) - len(split.unseen),
        split=split,
        dataset=dataset,
        seen_test=seen_test,
    )


def _rows(features: FeatureSet, names: tuple[str, ...]) -> tuple[IntArray, IntArray]:
    """Return the rows of the videos of ``names`` and their places in it."""
    place = np.full(len(features.dataset.classes), -1, dtype=np.int64)
    place[[features.dataset.label_of[name] for name in names]] = np.arange(len(names))
    rows = np.flatnonzero(place[features.labels] >= 0)
    return rows, place[features.labels[rows]]


def held_out_videos(features: FeatureSet, rows: IntArray, labels: IntArray) -> tuple[NDArray[np.bool_], str]:
    """Return which seen-class videos GZSL tests on, and by which rule.

    The official test list where the feature set has one; otherwise at least a fifth of each class's videos, whole
    source groups where they are known, since videos cut from one source are near-copies of each other. The choice
    depends on the class and the video names only, never on the split.
    """
    if features.has_official_lists:
        return np.array([features.official[i] == "test" for i in rows], dtype=bool), "official test list"
    held_out = np.zeros(len(rows), dtype=bool)
    grouped = all(features.groups[i] for i in rows)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        name = features.dataset.classes[features.labels[rows[members[0]]]]
        keys = [features.groups[rows[i]] if grouped else features.ids[rows[i]] for i in members]
        taken: set[str] = set()
        for key in sorted(set(keys), key=lambda key: derive_seed("gzsl", features.dataset.name, name, key)):
            if sum(k in taken for k in keys) >= HELD_OUT * len(keys) or len(taken) == len(set(keys)) - 1:
                break
            taken.add(key)
        held_out[members] = [key in taken for key in keys]
    return held_out, "a fifth of each class, whole source groups" if grouped else "a fifth of each class"


def _target(budget: frozenset[Budget], task: Task) -> Target | None:
    names, videos, oracle = (b in budget for b in (Budget.UNSEEN_NAMES, Budget.UNSEEN_VIDEOS, Budget.ORACLE))
    if not (names or videos or oracle):
        return None
    counts = np.bincount(task.labels, minlength=len(task.test_classes)).tolist()
    return Target(
        classes=task.test_classes if names else None,
        videos=task.test if videos else None,
        counts=dict(zip(task.test_classes.names, counts, strict=True)) if oracle else None,
    )


def _checked(scores: NDArray[Any], task: Task) -> NDArray[Any]:
    expected = (len(task.test), len(task.test_classes))
    scores = np.asarray(scores)
    if scores.shape != expected:
        raise ValueError(f"score() returned shape {scores.shape}; {expected} = (n_videos, n_classes) was asked for")
    if not np.isfinite(scores).all():
        bad = np.argwhere(~np.isfinite(scores))[0]
        raise ValueError(f"score() returned {scores[tuple(bad)]} for video {task.ids[bad[0]]}")
    return scores


def _calibration_factor(cell: Cell, task: Task) -> float:
    """Return the calibrated-stacking factor with the best H on held-out seen classes; no test video is looked at.

    A third of the seen classes plays the unseen part; a second model is fitted on the others, less held-out videos.
    """
    n = len(task.seen_classes)
    rng = np.random.default_rng(derive_seed(cell.seed, "calibration", cell.dataset, cell.split_digest))
    pseudo_unseen = np.zeros(n, dtype=bool)
    pseudo_unseen[rng.permutation(n)[: max(1, n // 3)]] = True
    known = np.flatnonzero(~pseudo_unseen)
    if len(known) < 2:
        raise ZslbenchError("gzsl needs at least three seen classes; use a family with more of them.")
    is_known = ~pseudo_unseen[task.train.labels]
    held_out = is_known & (rng.random(len(task.train)) < HELD_OUT)
    train_index = np.flatnonzero(is_known & ~held_out)
    train = task.train.take(train_index)
    place = np.cumsum(~pseudo_unseen) - 1
    method = _new(get_method(cell.method), cell)
    test_index = np.flatnonzero(~is_known | held_out)
    pseudo_target = _target(
        method.budget,
        Task(
            seen_classes=task.seen_classes.take(known),
            test_classes=task.seen_classes,
            train=train,
            train_groups=[],
            test=task.train.take(test_index).unlabelled(),
            ids=[],
            labels=task.train.labels[test_index],
            seen=~pseudo_unseen,
            split=task.split,
            dataset=task.dataset,
        ),
    )
    relabelled = train.relabel(place[train.labels])
    method.fit(relabelled, task.seen_classes.take(known), pseudo_target, Report())
    scores = np.asarray(method.score(task.train.take(test_index).unlabelled(), task.seen_classes))
    return seen_unseen_curve(scores, task.train.labels[test_index], ~pseudo_unseen).best_factor()


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
