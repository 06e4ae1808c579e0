"""Print how well features distinguish classes that an extractor was, or was not, trained on: why the audit has no hint.

python tools/probe_unseen.py  # the real feature sets of ZSLBENCH_SHARED_DATA, some minutes

An extractor is imitated by a linear discriminant projection that is fitted with the labels of some classes.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zslbench.kernels import normalised

_FILES = ("ucf101-captions/features.npy", "ucf101-vgg16-15c/features.npy", "utd-mhad/skeletons.npy")
_DRAWS = 8
_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


def _accuracy(x: _Floats, classes: _Ints, groups: _Ints, side: _Ints) -> float:
    """Return the mean accuracy of the nearest video of another source group, within some classes."""
    here = np.isin(classes, side)
    x, classes, groups = x[here], classes[here], groups[here]
    right = np.zeros(len(x), dtype=bool)
    for start in range(0, len(x), 1000):
        rows = slice(start, start + 1000)
        cosines = x[rows] @ x.T
        cosines[groups[rows, None] == groups] = -2
        right[rows] = classes[cosines.argmax(axis=1)] == classes[rows]
    return float(np.mean([right[classes == each].mean() for each in side]))


def _trained(x: _Floats, classes: _Ints, side: _Ints) -> _Floats:
    """Return features of a projection that was fitted to distinguish the classes of one side, (n, d)."""
    chosen = x[np.isin(classes, side)]
    own = classes[np.isin(classes, side)]
    means = np.array([chosen[own == each].mean(axis=0) for each in side])
    within = np.cov((chosen - means[np.searchsorted(side, own)]).T)
    within += 0.01 * np.trace(np.cov(chosen.T)) / x.shape[1] * np.eye(x.shape[1])
    values, axes = np.linalg.eigh(within)
    whiten = axes / np.sqrt(values)
    basis = np.linalg.svd((means - means.mean(axis=0)) @ whiten, full_matrices=False)[2][: min(64, len(side) - 1)]
    return normalised((x - chosen.mean(axis=0)) @ whiten @ basis.T)


def _print(path: Path) -> None:
    with path.with_name("videos.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    classes = np.unique([row["class"] for row in rows], return_inverse=True)[1]
    groups = np.unique([row["class"] + "/" + row["group"] for row in rows], return_inverse=True)[1]
    x = np.load(path).mean(axis=1, dtype=np.float64)
    rng, n = np.random.default_rng(0), classes.max() + 1
    kinds: dict[str, list[tuple[float, float]]] = {}
    everything = _trained(x, classes, np.arange(n))
    for _ in range(_DRAWS):
        order = rng.permutation(n)
        seen, unseen = np.sort(order[: n // 2]), np.sort(order[n // 2 :])
        made = {
            "none of them": normalised(x - x.mean(axis=0)),
            "the seen classes": _trained(x, classes, seen),
            "the unseen classes (a leak)": _trained(x, classes, unseen),
            "all classes (a leak)": everything,
        }
        for kind, features in made.items():
            pair = [_accuracy(features, classes, groups, side) for side in (seen, unseen)]
            kinds.setdefault(kind, []).append((pair[1], pair[1] - pair[0]))
    for kind, found in kinds.items():
        accuracy, difference = np.array(found).T
        print(
            f"| {path.parent.name} | {kind} | {accuracy.min():.2f} to {accuracy.max():.2f} | "
            f"{difference.min():+.2f} to {difference.max():+.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    print("| features | trained on | accuracy in unseen classes | minus that in seen classes |")
    print("|---|---|---|---|")
    for file in _FILES:
        _print(Path(os.environ["ZSLBENCH_SHARED_DATA"]) / file)
