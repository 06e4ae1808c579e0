"""Compare settings of Action2Vec with pooled-krr on folds of held-out seen classes.

Run ``python tools/choose_action2vec.py ucf101 vgg16 --family random-50/50 --splits 3 --folds 4``. Every setting and
``pooled-krr`` train on the same videos of the seen classes of each split, less one fold of classes, and are measured on
that fold. Unseen classes of a split are never looked at. It prints a table in Markdown.

The networks are smaller than the default (LSTMs of 512 and 256, attention of 128) and train in bfloat16, except in the
row ``full size``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from zslbench.method import Classes, Method, Report, SeenVideos
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan
from zslbench.run.task import build_task
from zslbench_methods._selection import class_folds, held_out_accuracy
from zslbench_methods.action2vec import Action2Vec
from zslbench_methods.pooled_krr import PooledKRR

SMALL = {"hidden1": 512, "hidden2": 256, "attn_units": 128, "precision": "bf16"}
SETTINGS: dict[str, dict[str, Any]] = {
    "default": SMALL,
    "`lr` 1e-3": {**SMALL, "lr": 1e-3},
    "literal, hardest, not centred": {**SMALL, "pr_negatives": "batch", "centre": False},
    "softmax 0.1, all seen names": {
        **SMALL, "pr_negatives": "classes", "pr_form": "softmax", "pr_dirs": "text", "mining": "none", "pr_positive": 0,
    },
    "two epochs": {**SMALL, "epochs": 2},
    "`lr` 1e-4": {**SMALL, "lr": 1e-4},
    "batches of 64, half as many steps": {**SMALL, "batch_size": 64, "min_batches": 25},
    "no attention": {**SMALL, "attn_at": "none"},
    "not centred": {**SMALL, "centre": False},
    "hinge 0.2, all seen names averaged": {
        **SMALL, "pr_negatives": "classes", "pr_form": "hinge", "pr_margin": 0.2, "pr_dirs": "text", "mining": "none",
    },
    "full size": {"precision": "bf16"},
}  # fmt: skip


class Fold(NamedTuple):
    """Known videos and classes of a fold, and the held-out ones."""

    known: SeenVideos
    classes: Classes
    tested: SeenVideos
    new: Classes
    columns: np.ndarray


def folds(cell: Any, n_folds: int) -> Iterator[Fold]:
    """Yield the folds of the seen classes of a cell's split."""
    task = build_task(cell)
    seen, classes = task.train, task.seen_classes
    for part in class_folds(len(classes), n_folds, seed=0):
        out = np.isin(seen.labels, part)
        kept = np.setdiff1d(np.arange(len(classes)), part)
        known = seen.take(~out)
        known = known.relabel(np.searchsorted(kept, known.labels))
        yield Fold(known, classes.take(kept), seen.take(out), classes.take(part), part)


def measure(method: Method, fold: Fold) -> tuple[float, float]:
    """Return the held-out accuracy per class of a method, and the processor time of its fit in seconds."""
    start = time.process_time()
    method.fit(fold.known, fold.classes, None, Report())
    seconds = time.process_time() - start
    scores = method.score(fold.tested.unlabelled(), fold.new)
    return held_out_accuracy(scores, fold.tested.labels, fold.columns), seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("features")
    parser.add_argument("--family", default="xu-50/50")
    parser.add_argument("--semantics", default="minilm")
    parser.add_argument("--splits", default="3")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--only", action="append", choices=SETTINGS, help="a setting; repeatable [default: all]")
    options = parser.parse_args()
    grid = {name: getattr(options, name) for name in ("dataset", "features", "family", "semantics", "splits")}
    cells = make_plan(make_experiment({"method": "ridge", **grid})).cells
    methods: dict[str, Any] = {"*`pooled-krr`*": PooledKRR}
    for name in options.only or SETTINGS:
        methods[name] = lambda name=name: Action2Vec(SETTINGS[name])
    parts = [fold for cell in cells for fold in folds(cell, options.folds)]
    print(f"{len(parts)} folds, chance {np.mean([1 / len(fold.new) for fold in parts]):.3f}\n")
    print("| setting | held out | less `pooled-krr` | s |\n|---|---|---|---|")
    base = None
    for name, make in methods.items():
        found, seconds = np.array([measure(make(), fold) for fold in parts]).T
        base = found if base is None else base
        less = found - base
        error = less.std(ddof=1) / np.sqrt(len(less))
        print(f"| {name} | {found.mean():.3f} | {less.mean():+.3f} ± {error:.3f} | {seconds.mean():.1f} |", flush=True)


if __name__ == "__main__":
    main()
