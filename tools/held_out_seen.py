"""Measure methods on held-out *seen* classes of both real feature sets; ``measure_defaults.py`` and others use it.

Some of the seen classes of a split play the unseen ones, in turn. No video of the split's unseen classes is read. Each
measurement is appended to a file of JSON lines, and is not made again while the method's source stays the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.source import source_digest
from zslbench.digests import derive_seed
from zslbench.errors import ZslbenchError
from zslbench.method import GRANTS, Classes, Method, Report, SeenVideos, Target, Videos
from zslbench.registry import get_method
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan
from zslbench.run.task import Task, build_task
from zslbench.stats.metrics import hubness
from zslbench_methods._selection import class_folds


@dataclass(frozen=True)
class Ground:
    """Where methods are measured: features of UCF101, a split family, and the folds of a split's seen classes."""

    features: str
    family: str
    folds: int


GROUNDS = {
    "captions": Ground("captions", "xu-50/50", 2),  # 51 seen classes: 25 or 26 known and 25 or 26 held out
    "vgg16": Ground("vgg16", "random-80/20", 3),  # 12 seen classes: 8 known and 4 held out
}


@dataclass(frozen=True)
class Unit:
    """One fold of the seen classes of one split: what is known, and what is held out."""

    known: SeenVideos
    classes: Classes
    tested: Videos
    labels: NDArray[np.int64]
    held_out: Classes


@dataclass(frozen=True)
class Found:
    """The result of one unit: right and all videos of each held-out class, hubness, and seconds of fit and score."""

    right: Mapping[str, tuple[int, int]]
    hubness: float
    seconds: float
    notes: Mapping[str, float | str]
    refused: str = ""

    @property
    def accuracy(self) -> float:
        """The mean over the classes of the share of videos that are labelled rightly."""
        return float(np.mean([right / all_ for right, all_ in self.right.values()]))


@lru_cache(maxsize=4)
def task_of(ground: str, split: int, method: str) -> Task:
    """Return the task of a split with what this method's budget declares."""
    where = GROUNDS[ground]
    settings = {"method": method, "dataset": "ucf101", "features": where.features, "family": where.family}
    (cell,) = make_plan(make_experiment(settings | {"splits": f"{split},"})).cells
    return build_task(cell)


def unit_of(task: Task, folds: int, fold: int) -> Unit:
    """Return the unit that holds out a fold of the seen classes."""
    n = len(task.seen_classes)
    out = class_folds(n, folds, derive_seed(0, "held out", task.split.digest))[fold]
    kept = np.setdiff1d(np.arange(n), out)
    tested = np.isin(task.train.labels, out)
    known, rest = task.train.take(~tested), task.train.take(tested)
    return Unit(
        known.relabel(np.searchsorted(kept, known.labels)),
        task.seen_classes.take(kept),
        rest.unlabelled(),
        np.searchsorted(out, rest.labels),
        task.seen_classes.take(out),
    )


def measured(method: Method, unit: Unit) -> Found:
    """Fit a method on what is known, and score the held-out classes."""
    started = time.perf_counter()
    given = Target(unit.held_out, unit.tested)
    granted = {name: getattr(given, name) for name, budget in GRANTS.items() if budget in method.budget}
    report = Report()
    try:
        method.fit(unit.known, unit.classes, Target(**granted) if granted else None, report)
        scores = method.score(unit.tested, unit.held_out)
    except (ZslbenchError, np.linalg.LinAlgError) as error:
        return Found({}, float("nan"), 0.0, {}, str(error))
    best = np.argmax(scores, axis=1)
    hits = best == unit.labels
    right = {
        name: (int(hits[unit.labels == i].sum()), int((unit.labels == i).sum()))
        for i, name in enumerate(unit.held_out.names)
    }
    seconds = time.perf_counter() - started
    return Found(right, hubness(best, len(unit.held_out)), seconds, report.notes)


class Measurements:
    """Stored measurements, and those that are still to be made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Found] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                row = json.loads(line)
                key = row.pop("key")
                self.known[key] = Found(**row)

    def units(
        self, label: str, values: Mapping[str, Any], ground: str, units: Sequence[int], *, deadline: float = np.inf
    ) -> Iterator[Found]:
        """Yield the result of each unit; unit i is fold i % folds of split i // folds.

        Parameters
        ----------
        label
            A method, with steps and a preset if there are any.
        values
            Its parameters that are no default.
        deadline
            Of the clock ``time.monotonic``; after it only stored results are yielded.
        """
        base, _, preset = label.partition(":")
        folds = GROUNDS[ground].folds
        for i in units:
            digest = source_digest(get_method(base))
            key = json.dumps([label, dict(values), ground, i, digest], sort_keys=True)
            if key not in self.known and time.monotonic() > deadline:
                return
            if key not in self.known:
                task = task_of(ground, i // folds, base)
                method = get_method(base)
                params = method.Params.model_validate({**(method.presets[preset] if preset else {}), **values})
                seed = derive_seed(0, base, task.split.digest)
                self.known[key] = found = measured(method(params, seed=seed), unit_of(task, folds, i % folds))
                with self.path.open("a") as file:
                    file.write(json.dumps({"key": key, **vars(found)}) + "\n")
            yield self.known[key]
