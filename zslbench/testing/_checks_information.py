"""Checks of the information that a method has about the test."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from zslbench.method import GRANTS, Budget, Report, Target
from zslbench.run.task import Task
from zslbench.testing._cell import predictions
from zslbench.testing._check import CheckFailed, CheckSkipped, Subject, check, require, require_same
from zslbench.videos import FrameStore, IntArray, SeenVideos, Videos, storage


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
    """Return the same scores after the labels of the test videos were permuted.

    Two feature sets on disk differ only in these labels, and a whole cell runs on each. The cell is zero-shot, or
    supervised for a method that scores trained classes only. If the scores differ, the method reads labels that it was
    not given.
    """
    if subject.method.__module__ == "__main__":
        raise CheckSkipped("a run only accepts methods of a module, but this one is defined in __main__")
    task = subject.cell_task()
    permuted = replace(task, labels=np.random.default_rng(0).permutation(task.labels))
    first, second = (predictions(subject, one) for one in (task, permuted))
    if first == second:
        return
    if Budget.ORACLE in subject.new().budget:
        raise CheckSkipped("the budget declares oracle: choices made with test labels change with them")
    if first != predictions(subject, task):
        raise CheckFailed("scores differ between two runs of one cell with the same labels; see the check determinism.")
    raise CheckFailed("the scores of test videos changed with their labels on disk: the method reads test labels.")


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
