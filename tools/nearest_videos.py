"""Print each video's greatest cosine by kind of pair, the evidence for the thresholds of docs/audit.md.

python tools/nearest_videos.py                      # the real feature sets of ZSLBENCH_SHARED_DATA
python tools/nearest_videos.py --random 120000 512  # time and memory of the search
"""

from __future__ import annotations

import csv
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

from zslbench.features.twins import search
from zslbench.kernels import normalised
from zslbench.videos import Videos, storage

_FILES = ("ucf101-captions/features.npy", "ucf101-vgg16-15c/features.npy", "utd-mhad/skeletons.npy")
_QUANTILES = (0.5, 0.99, 0.999, 1.0)


def _print_real(folder: Path) -> None:
    print("| features | greatest cosine with a video of | " + " | ".join(f"{100 * q:g} %" for q in _QUANTILES) + " |")
    print("|---|---|" + "---|" * len(_QUANTILES))
    for name in _FILES:
        with (folder / name).with_name("videos.csv").open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        x = normalised(np.load(folder / name).astype(np.float32).mean(axis=1))
        x = normalised(x - x.mean(axis=0))
        classes = np.unique([row["class"] for row in rows], return_inverse=True)[1]
        groups = np.unique([row["class"] + "/" + row["group"] for row in rows], return_inverse=True)[1]
        best = np.full((3, len(x)), -1.0)
        for i in range(len(x)):
            cosines = x @ x[i]
            cosines[i] = -1
            own, group = classes == classes[i], groups == groups[i]
            for k, where in enumerate((group, own & ~group, ~own)):
                best[k, i] = cosines[where].max(initial=-1)
        for kind, found in zip(("the same group", "the same class", "another class"), best, strict=True):
            cells = " | ".join(f"{value:.4f}" for value in np.quantile(found[found > -1], _QUANTILES))
            print(f"| {name.split('/')[0]} | {kind} | {cells} |")


def _print_cost(n: int, dim: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 400, size=n)
    x = rng.normal(size=(400, dim)).astype(np.float32)[labels] + rng.normal(size=(n, dim)).astype(np.float32)
    store = storage(Videos.from_arrays(x)).store
    clock = time.perf_counter()
    found = search(store, labels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{n:,} x {dim}: {time.perf_counter() - clock:.1f} s, {len(found.pairs)} pairs, {peak:.2f} GB in all")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--random"]:
        _print_cost(int(sys.argv[2]), int(sys.argv[3]))
    else:
        _print_real(Path(os.environ["ZSLBENCH_SHARED_DATA"]))
