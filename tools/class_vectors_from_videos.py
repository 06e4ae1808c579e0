"""Print how class vectors from words, and ones made from videos, resemble the videos: the evidence for L8 and W16.

python tools/class_vectors_from_videos.py  # the real feature sets of ZSLBENCH_SHARED_DATA
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.io
from numpy.typing import NDArray

from zslbench.datasets.catalog import get_dataset
from zslbench.features.likeness import Likeness, likeness
from zslbench.kernels import normalised
from zslbench.semantics.class_vectors import open_semantics

_FILES = ("ucf101-captions/features.npy", "ucf101-vgg16-15c/features.npy", "utd-mhad/skeletons.npy")
_Floats = NDArray[np.float64]
_WORD_SOURCES = ("ucf101", "hmdb51", "kinetics700")


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str]]:
    with path.with_name("videos.csv").open(encoding="utf-8") as stream:
        classes = [row["class"] for row in csv.DictReader(stream)]
    names, owner = np.unique(classes, return_inverse=True)
    return np.load(path).astype(np.float32).mean(axis=1), owner, names.tolist()


def _from_words(folder: Path, name: str, names: list[str]) -> Iterator[tuple[str, _Floats]]:
    if name.startswith("ucf101"):
        dataset = get_dataset("ucf101")
        for source in dataset.vectors:
            yield source, open_semantics(source, dataset, names).vectors
        labels = scipy.io.loadmat(folder / "xu-ijcv17/Label.mat", squeeze_me=True, struct_as_record=False)
        words = labels["VideoLabel"].UCF101
        table = dict(zip(words.ClassName, words.WordVec, strict=True))
        yield "word2vec (IJCV 2017)", np.array([table[each] for each in names], dtype=np.float64)
        return
    found: dict[str, list[_Floats]] = {}  # no vectors of these classes are here: means of those of known phrases
    for source in _WORD_SOURCES:
        vectors = open_semantics("minilm", get_dataset(source))
        for each, row in zip(vectors.names, vectors.vectors, strict=True):
            for word in get_dataset(source).phrase(each).lower().split():
                found.setdefault(word, []).append(row)
    known = [[np.mean(found[word], axis=0) for word in each.split() if word in found] for each in names]
    yield "words of MiniLM phrases", np.array([np.mean(each, axis=0) for each in known])


def _from_videos(x: NDArray[np.float32], owner: NDArray[np.int64]) -> Iterator[tuple[str, _Floats]]:
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(owner == i) for i in range(owner.max() + 1)]
    means = np.array([x[each].mean(axis=0) for each in members])
    centred, dim = means - means.mean(axis=0), x.shape[1]
    yield "means", means
    yield "means, centred", centred
    yield "means, rotated", means @ np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    yield "means, random map to 300", means @ rng.normal(size=(dim, 300))
    yield "means, random map to 50", means @ rng.normal(size=(dim, 50))
    yield "means, random map to 10", means @ rng.normal(size=(dim, 10))
    yield "means, random ReLU layer", np.maximum(normalised(means) @ rng.normal(size=(dim, 300)), 0)
    for size in (0.1, 0.3, 1.0):
        yield f"means, noise {size:g}", centred + size * centred.std() * rng.normal(size=centred.shape)
    yield "medians", np.array([np.median(x[each], axis=0) for each in members])
    yield "means of half of the videos", np.array([x[each[::2]].mean(axis=0) for each in members])
    yield "means of a tenth", np.array([x[each[::10]].mean(axis=0) for each in members])
    yield "means of five videos", np.array([x[each[:5]].mean(axis=0) for each in members])
    yield "one video", x[[each[0] for each in members]]


def _row(name: str, kind: str, found: Likeness) -> str:
    everything = np.ones(len(found.names), dtype=bool)
    geometry, predicted = found.geometry(everything), found.predicted(everything)
    cosine = f"{np.median(found.cosine):.3f}, {found.cosine.max():.4f}" if found.cosine.any() else ""
    r2 = f"{predicted[0]:.2f} | {predicted[1]:.2f}" if predicted else "|"
    counts = f"{found.equal.sum()} | {found.similar.sum()}" if found.cosine.any() else "|"
    return f"| {name} | {kind} | {cosine} | {counts} | {geometry or 0:.3f} | {r2} |"


if __name__ == "__main__":
    root = Path(os.environ["ZSLBENCH_SHARED_DATA"])
    print("| features | class vectors | cosine: median, greatest | equal | similar | geometry | R2 | R2, shuffled |")
    print("|---|---|---|---|---|---|---|---|")
    for file in _FILES:
        x, owner, names = _read(root / file)
        title = file.split("/")[0]
        for kinds in (_from_words(root, title, names), _from_videos(x, owner)):
            for kind, vectors in kinds:
                print(_row(title, kind, likeness(names, x, owner, normalised(vectors.astype(np.float64)))), flush=True)
