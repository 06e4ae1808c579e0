"""Evaluate one cell: open its inputs, build the views, fit, score and measure.

The labels of unseen videos stay in this module. A method gets views without them; its scores are compared with the
labels after it has returned.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.cell import Cell, Result, State
from zslbench.cells.predictions import Predictions
from zslbench.digests import derive_seed
from zslbench.errors import ZslbenchError
from zslbench.features.transforms import Projection
from zslbench.method import GRANTS, Budget, Classes, Method, Report, Target
from zslbench.overlap.auxiliary import compare_auxiliary
from zslbench.protocols.protocol import PROTOCOLS, Protocol
from zslbench.registry import get_method
from zslbench.run.ensemble import combined, part_cells, part_reports
from zslbench.run.inputs import cached_features, check_code, describe_classes, own_features
from zslbench.run.split_videos import class_rows, expected_videos, hold_out, hold_out_keys
from zslbench.run.task import Task, build_task
from zslbench.run.validation import given_validation
from zslbench.semantics.class_vectors import open_semantics
from zslbench.stats.metrics import Ranked, seen_unseen_curve
from zslbench.videos import SeenVideos, hidden_storage

_NEAREST = 5  # auxiliary classes that a result names as the nearest left in
_OF_THE_TEST = frozenset(GRANTS.values())


@dataclass(frozen=True)
class Outcome:
    """A cell's result, its predictions table and all scores, and the fitted method with its classes.

    ``predictions`` is a :class:`pyarrow.Table` (:mod:`zslbench.cells.predictions`). ``scores``, (n_videos, n_classes),
    has the same order. ``training`` has the ids of training videos with their classes, if a list or a draw chose them.
    ``projection`` is the PCA of its features, if the feature set is derived.

    Examples
    --------
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.run.experiment import make_experiment
    >>> from zslbench.run.plan import make_plan
    >>> experiment = make_experiment({"method": "ridge", "dataset": "hmdb51", "splits": "1"})
    >>> plan = make_plan(experiment, simulate=lambda dataset: simulate(dataset, videos_per_class=3))
    >>> outcome = evaluate(plan.cells[0], Report())
    >>> len(outcome.seen), len(outcome.unseen), outcome.predictions.num_rows
    (26, 25, 75)
    """

    result: Result
    predictions: Any
    scores: NDArray[np.float64]
    method: Method
    seen: Classes
    unseen: Classes
    projection: Projection | None = None
    training: tuple[tuple[str, str], ...] = ()


def evaluate(cell: Cell, report: Report) -> Outcome:
    """Run one cell in this process.

    Raises
    ------
    ZslbenchError
        The feature set, class vectors or split changed after the plan was made, or do not match.
    Exception
        The method raised it.
    """
    started = time.time()
    check_code(cell)
    parts = part_cells(cell)
    tasks = [build_task(part) for part in parts]
    task = tasks[0]
    fitted = [fit_and_score(*each) for each in zip(parts, tasks, part_reports(cell, report), strict=True)]
    scores = combined([each.ids for each in tasks], [each.scores for each in fitted])
    if cell.auxiliary:
        report.note(auxiliary_classes_left_out=", ".join(task.left_out) or "none")
        compared = compare_auxiliary(cell.auxiliary.dataset, cell.dataset, frozenset(task.split.unseen))
        nearest = compared.left_in[:_NEAREST]
        report.note(auxiliary_classes_nearest_left_in="; ".join(match.text for match in nearest) or "none")
    factor = _calibration_factor(parts, tasks) if cell.protocol == "gzsl" and cell.calibrate else None
    if task.seen_test:
        report.note(seen_test=task.seen_test)
    predictions = Predictions(
        tuple(task.ids), task.test_classes.names, ranked_scores(scores, task, cell.protocol), factor, cell.protocol
    )
    result = Result(
        state=State.DONE,
        metrics=predictions.metrics(),
        classes=predictions.counts(),
        expected=expected_videos(task.dataset, task.split, simulated=cell.simulated),
        present=len(task.labels) if task.seen.all() else int(np.count_nonzero(~task.seen[task.labels])),
        fit_seconds=sum(each.fit_seconds for each in fitted),
        score_seconds=sum(each.score_seconds for each in fitted),
        epochs=report.epochs,
        warnings=report.warnings,
        notes=report.notes,
        reads_seed=any(each.method.reads_seed for each in fitted),
        started=started,
        finished=time.time(),
    )
    unseen = task.test_classes.take(~task.seen)
    return Outcome(
        result, predictions.table(), scores, fitted[0].method, task.seen_classes, unseen, task.projection, task.training
    )


def ranked_scores(scores: NDArray[np.float64], task: Task, protocol: Protocol) -> Ranked:
    """Return the best classes of each test video among those that the protocol compares it with."""
    tested = PROTOCOLS[protocol].tested
    if tested == "apart":
        return Ranked.of_sides(scores, task.labels, task.seen)
    ranked = Ranked.of(scores, task.labels, task.seen if tested == "both" else None)
    return replace(ranked, seen=task.seen) if tested == "seen" else ranked


class Fitted(NamedTuple):
    """A fitted method, its (n_test, n_classes) scores of a task's test videos, and the seconds of both.

    Examples
    --------
    >>> from zslbench.registry import get_method
    >>> Fitted(get_method("random")(), np.zeros((2, 3)), fit_seconds=1.5, score_seconds=0.1).fit_seconds
    1.5
    """

    method: Method
    scores: NDArray[np.float64]
    fit_seconds: float
    score_seconds: float


def fit_and_score(cell: Cell, task: Task, report: Report) -> Fitted:
    """Fit a cell's method on a task's training videos, with what its budget grants, and score the test videos.

    Raises
    ------
    ZslbenchError
        The method reads what its budget does not declare.
    Exception
        The method raised it.
    """
    method = _new(cell)
    method.validation = given_validation(cell, task)
    target = _target(method.budget, task)
    clock = time.perf_counter()
    try:
        with hidden_storage():
            method.fit(task.train, task.seen_classes, target, report)
    except AttributeError as error:
        # obj is None: the attribute was read from the missing target, not from an object of the method.
        wanted = GRANTS.get(error.name or "")
        if target is None and error.obj is None and wanted:
            raise ZslbenchError(
                f"{cell.label} reads target.{error.name}, which its budget does not declare; add {wanted} to "
                f"info.budget (Budget.{wanted.name}) if it may read that."
            ) from error
        raise
    fitted = time.perf_counter()
    if method.reads_validation and method.validation:
        report.note(validation_classes=len(method.validation.classes))
    with hidden_storage():
        apart = PROTOCOLS[cell.protocol].tested == "apart"
        scores = _scores_of_sides(method, task, report) if apart else _scores(method, task, report)
    scored = time.perf_counter()
    return Fitted(method, scores, fitted - clock, scored - fitted)


def fit_on_all_classes(cell: Cell, report: Report) -> tuple[Method, Classes, Projection | None]:
    """Fit a cell's method on all videos of every class of its feature set, without a test.

    Returns
    -------
    method, classes, projection
        The fitted method, its training classes, and the PCA of its features, if any.

    Raises
    ------
    ZslbenchError
        The inputs changed after the plan was made, or the method reads the test.
    """
    check_code(cell)
    features = cached_features(cell.dataset, cell.features, cell.features_digest)
    vectors = np.array(open_semantics(cell.semantics, features.dataset, features.covered).vectors)
    classes = describe_classes(cell, cell.dataset, features.covered, vectors)
    seed = derive_seed(cell.seed, cell.method, cell.dataset, cell.features_digest, "all classes")
    method = get_method(cell.method)(cell.params, seed=seed)
    if cell.auxiliary:
        raise ZslbenchError(f"{cell.label} also trains on {cell.auxiliary.title}; use the model of a split.")
    if looks := sorted(method.budget & _OF_THE_TEST):
        raise ZslbenchError(
            f"{cell.label} looks at the test ({', '.join(looks)}), but a model of all classes has none; use the model "
            f"of a split."
        )
    rows, labels = class_rows(features, classes.names)
    projection = features.projection(rows)
    videos = SeenVideos(features.projected(projection), rows, labels).grouped(hold_out_keys(features, rows, labels))
    method.fit(videos, classes, None, report)
    return method, classes, projection


def _new(cell: Cell) -> Method:
    base, _, _ = cell.method.partition("+")  # the same model below every step
    seed = derive_seed(cell.seed, base, cell.dataset, own_features(cell).manifest.digest, cell.split_digest)
    return get_method(cell.method)(cell.params, seed=seed)


def _scores(method: Method, task: Task, report: Report) -> NDArray[np.float64]:
    """Return the scores of the test videos; where an oracle offers several, those that label most of them rightly."""
    shape = (len(task.test), len(task.test_classes))
    offered = method.alternatives(task.test, task.test_classes) if Budget.ORACLE in method.budget else None
    if offered is None:
        return _checked(method.score(task.test, task.test_classes), shape)
    best, chosen, accuracy = None, "", -1.0
    for name, scores in offered:
        checked = _checked(scores, shape)
        found = float((checked.argmax(axis=1) == task.labels).mean())
        if found > accuracy:
            best, chosen, accuracy = checked, name, found
    if best is None:
        raise ValueError("alternatives() offers no scores")
    report.note(chosen_by_test_labels=chosen)
    return best


def _scores_of_sides(method: Method, task: Task, report: Report) -> NDArray[np.float64]:
    """Return scores where each side's videos were offered its own classes only; minus infinity elsewhere."""
    scores = np.full((len(task.test), len(task.test_classes)), -np.inf)
    for side in (task.seen, ~task.seen):
        rows, columns = np.flatnonzero(side[task.labels]), np.flatnonzero(side)
        place = np.full(len(side), -1)
        place[columns] = np.arange(len(columns))
        part = replace(
            task,
            test_classes=task.test_classes.take(columns),
            test=task.test.take(rows),
            labels=place[task.labels[rows]],
        )
        scores[np.ix_(rows, columns)] = _scores(method, part, report)
    return scores


def _target(budget: frozenset[Budget], task: Task) -> Target | None:
    if not budget & _OF_THE_TEST:
        return None
    counts = np.bincount(task.labels, minlength=len(task.test_classes)).tolist()
    everything = Target(task.test_classes, task.test, dict(zip(task.test_classes.names, counts, strict=True)))
    return replace(everything, **{part: None for part, wanted in GRANTS.items() if wanted not in budget})


def _checked(scores: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float64]:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != shape:
        raise ValueError(f"score() returned shape {scores.shape}; it must return {shape} = (n_videos, n_classes)")
    if not np.isfinite(scores).all():
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(scores))[0])
        raise ValueError(f"score() returned {scores[bad]} for test video {bad[0]}, class {bad[1]}")
    return scores


def _calibration_factor(parts: Sequence[Cell], tasks: Sequence[Task]) -> float:
    """Return the calibrated-stacking factor with the best H on held-out seen classes, without any test video.

    A third of the seen classes takes the part of unseen ones. A second model is fitted on the other classes, without
    some videos, which are held out.
    """
    pseudo, scores = [], []
    for cell, task in zip(parts, tasks, strict=True):
        made = _pseudo_task(cell, task)
        method = _new(cell)
        method.validation = given_validation(cell, task)  # neither seen nor unseen, so the second model has them too
        with hidden_storage():
            method.fit(made.train, made.seen_classes, _target(method.budget, made), Report())
            found = _checked(method.score(made.test, made.test_classes), (len(made.test), len(made.test_classes)))
        pseudo.append(made)
        scores.append(found)
    total = combined([made.ids for made in pseudo], scores)
    return seen_unseen_curve(Ranked.of(total, pseudo[0].labels, pseudo[0].seen)).best_factor()


def _pseudo_task(cell: Cell, task: Task) -> Task:
    """Return a task in which a third of the seen classes takes the part of unseen ones."""
    auxiliary = task.seen_classes.auxiliary
    own = len(task.seen_classes) if auxiliary is None else int(np.count_nonzero(~auxiliary))  # they come first
    n, labels = len(task.seen_classes), task.train.labels
    rng = np.random.default_rng(derive_seed(cell.seed, "calibration", cell.dataset, cell.split_digest))
    known = np.ones(n, dtype=bool)
    known[rng.permutation(own)[: max(1, own // 3)]] = False
    if known.sum() < 2:
        raise ZslbenchError("gzsl needs at least three seen classes; use a family with more seen classes.")
    held_out = known[labels] & (labels < own)
    held_out &= hold_out(labels, task.train_keys, "calibration", cell.split_digest)
    train_index, test_index = np.flatnonzero(known[labels] & ~held_out), np.flatnonzero(~known[labels] | held_out)
    test_index = rng.permutation(test_index)  # videos are in class order, see build_task
    place = np.cumsum(known) - 1
    return replace(
        task,
        seen_classes=task.seen_classes.take(known),
        test_classes=task.seen_classes.take(np.arange(own)),
        train=task.train.take(train_index).relabel(place[labels[train_index]]),
        test=task.train.take(test_index).unlabelled(),
        ids=[task.train_ids[i] for i in test_index],
        labels=labels[test_index],
        seen=known[:own],
    )
