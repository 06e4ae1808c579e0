"""Checks of the information that a method has about the test."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from zslbench.datasets.catalog import registered_dataset
from zslbench.datasets.splits import SplitFamily
from zslbench.features.feature_set import FeatureWriter, feature_path
from zslbench.files import DATA_ROOT_VARIABLE, new_directory
from zslbench.method import GRANTS, Budget, Method, Report, Target
from zslbench.registry import DATASETS, METHODS
from zslbench.run.evaluate import evaluate
from zslbench.run.experiment import make_experiment
from zslbench.run.inputs import _cached_vectors, cached_features
from zslbench.run.plan import make_plan
from zslbench.run.task import Task
from zslbench.steps import Stepped
from zslbench.testing._check import CheckFailed, CheckSkipped, Subject, check, require, require_same
from zslbench.testing.tiny import NAME, encoder
from zslbench.videos import FrameStore, IntArray, SeenVideos, Videos, storage

_WORDS = (("red", "blue"), ("ball", "bat"), ("arm", "leg"), ("sand", "snow"))  # 2^4 texts: one for each of 16 classes


@check
def check_declared_budget(subject: Subject) -> None:
    """Fit with the information that the budget declares, and ask for nothing else.

    ``target`` is ``None`` unless the budget declares unseen names, unseen videos or the oracle. It then contains only
    those. ``classes.texts`` and ``classes.attributes`` are ``None`` unless declared. Declare in ``info.budget`` what
    the method uses, or in the ``budget`` property if a parameter decides.
    """
    task = subject.task()
    method = subject.new()
    declared = method.budget
    target = subject.target(task)
    watched = None if target is None else _WatchedTarget(**{f.name: getattr(target, f.name) for f in fields(Target)})
    told = ", ".join(sorted(declared)) or "nothing"
    try:
        method.fit(task.train, task.seen_classes, watched, Report())
    except Exception as error:
        if "NoneType" not in str(error):  # only that can come from a missing target, text or attribute
            raise
        raise CheckFailed(
            f"fit() raises {type(error).__name__} ({error}) with the declared budget ({told}): "
            f"target is {'None' if target is None else 'that and no more'}. Declare what fit() uses."
        ) from error
    asked = sorted(watched.asked) if watched is not None else []
    beyond = [name for name in asked if GRANTS[name] not in declared]
    missing = ", ".join(GRANTS[name] for name in beyond)
    require(not beyond, f"fit() asks for target.{', target.'.join(beyond)}, but the budget lacks {missing}.")


class _WatchedTarget(Target):
    """A target that records which of its fields were read."""

    @property
    def asked(self) -> set[str]:
        return self.__dict__.setdefault("_asked", set())  # type: ignore[no-any-return]

    def __getattribute__(self, name: str) -> Any:
        if name in GRANTS:
            self.asked.add(name)
        return super().__getattribute__(name)


@check
def check_unseen_labels(subject: Subject) -> None:
    """Return the same scores after the labels of the unseen videos were permuted.

    Two feature sets on disk differ only in these labels, and a whole cell runs on each. If the scores differ, the
    method reads labels that it was not given.
    """
    if subject.method.__module__ == "__main__":
        raise CheckSkipped("a run only accepts methods of a module, but this one is defined in __main__")
    task = subject.task(seed=3)
    permuted = replace(task, labels=np.random.default_rng(0).permutation(task.labels))
    first, second = (_predictions(subject, one) for one in (task, permuted))
    if first == second:
        return
    if Budget.ORACLE in subject.new().budget:
        raise CheckSkipped("the budget declares oracle: choices made with test labels change with them")
    if first != _predictions(subject, task):
        raise CheckFailed("scores differ between two runs of one cell with the same labels; see the check determinism.")
    raise CheckFailed("the scores of unseen videos changed with their labels on disk: the method reads test labels.")


@check
def check_storage_order(subject: Subject) -> None:
    """Return the same scores if the videos are stored in another order.

    Feature files are often in class order, so a video's place in its file can reveal its label. Read videos only with
    ``pooled()``, ``sequence()`` and ``batches()``. Look for private parts of views, of their storage or of the harness.
    """
    task = subject.task()
    n = len(storage(task.train).store.lengths)
    scores = [subject.scores(_stored(task, order)) for order in (np.arange(n), np.random.default_rng(0).permutation(n))]
    require_same(scores[1], scores[0], "scores change with the order in which the videos are stored")


def _stored(task: Task, order: IntArray) -> Task:
    """Return the same views of videos that are stored in this order."""
    (store, train), (_, test) = storage(task.train), storage(task.test)
    lengths, place = store.lengths[order], np.argsort(order)
    moved = FrameStore(store.gather(order), np.cumsum(lengths) - lengths, lengths, store.tokens)
    return replace(task, train=SeenVideos(moved, place[train], task.train.labels), test=Videos(moved, place[test]))


def _predictions(subject: Subject, task: Task) -> dict[str, Any]:
    """Return the predictions of a whole cell on a feature set with this task's videos and labels."""
    with tempfile.TemporaryDirectory() as folder, _installed(subject, task, Path(folder)):
        grid = {"method": subject.name, "dataset": NAME, "features": NAME, "semantics": NAME, "family": NAME}
        settings = {subject.name: dict(subject.values)}
        (cell,) = make_plan(make_experiment({**grid, "splits": "all", "set": settings})).cells
        # The method's seed and the order of the test videos depend on the feature set's digest, and so on its labels.
        seeds = [mock.patch(f"zslbench.run.{module}.derive_seed", return_value=0) for module in ("evaluate", "task")]
        with seeds[0], seeds[1]:
            table = evaluate(cell, Report()).predictions
        return {name: table[name].to_pylist() for name in ("video", "predicted", "scores")}


@contextlib.contextmanager
def _installed(subject: Subject, task: Task, root: Path) -> Iterator[None]:
    """Store the task in a data root of its own, and make the registries find its dataset and the method."""
    texts = _texts(task.dataset.classes)
    _write_vectors(task, texts, root / "vectors.npz")
    family = SplitFamily(NAME, NAME, (task.split,), source="made up")
    (root / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    dataset = replace(
        task.dataset,
        stored_families={NAME: family},
        vectors={NAME: root / "vectors.npz"},
        texts_file=root / "texts.json",
    )
    caches = (cached_features, _cached_vectors, registered_dataset)
    try:
        with (
            mock.patch.dict(os.environ, {DATA_ROOT_VARIABLE: str(root)}),
            mock.patch.object(METHODS, "get", return_value=_without_steps(subject.method)),
            mock.patch.object(DATASETS, "get", return_value=lambda: dataset),
        ):
            for cache in caches:  # they hold the other feature set, which has the same name
                cache.cache_clear()
            _write(task, dataset.digest)
            yield
    finally:
        for cache in caches:
            cache.cache_clear()


def _without_steps(method: type[Method]) -> type[Method]:
    while issubclass(method, Stepped):
        method = method.base
    return method


def _texts(names: Sequence[str]) -> dict[str, list[str]]:
    """Return definitions of the classes that share words, so that attributes can be derived from them."""
    return {
        name: [f"{name}: " + " ".join(pair[i >> bit & 1] for bit, pair in enumerate(_WORDS))]
        for i, name in enumerate(names)
    }


def _write_vectors(task: Task, texts: Mapping[str, Sequence[str]], path: Path) -> None:
    """Write the class vectors, and those of the class texts and of the words of the class names."""
    names, vectors = task.dataset.classes, np.concatenate([task.seen_classes.vectors, task.test_classes.vectors])
    said = [text for each in texts.values() for text in each] + [word for name in names for word in name.split()]
    said = list(dict.fromkeys(said))
    np.savez(path, phrases=np.array([*names, *said]), vectors=np.concatenate([vectors, encoder(names, vectors)(said)]))


def _write(task: Task, classes_digest: str) -> None:
    """Write the task's videos as a feature set, the training videos before the test videos."""
    with new_directory(feature_path(NAME, NAME)) as folder:
        writer = FeatureWriter(folder, task.train.dim, "float32")
        for videos, names, ids in (
            (task.train, [task.seen_classes.names[i] for i in task.train.labels], task.train_keys),
            (task.test, [task.test_classes.names[i] for i in task.labels], task.ids),
        ):
            (batch,) = videos.batches(len(videos))
            nothing = [""] * len(videos)
            writer.append(ids, names, nothing, nothing, videos.lengths, batch.frames)
        writer.finish(dataset=NAME, name=NAME, classes_digest=classes_digest, kind="sequences", extractor="made up")
