"""Measure where class descriptions help and where they hurt: the tables of ``docs/texts.md``.

Run ``python tools/measure_texts.py RESULTS [SOURCE ...]`` after a run of ``ridge`` and ``reverse-ridge`` with
``--semantics minilm`` and each SOURCE; the page has the command.

Features must be in the encoder's own space, like embedded captions: the nearest class text is the one with the largest
cosine with a video's mean.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.features.catalog import open_features
from zslbench.semantics.class_vectors import open_semantics
from zslbench.stats.intervals import estimate

BASE = "minilm"
SHOWN = 10
Counts = tuple[NDArray[np.float64], NDArray[np.float64]]  # (n_splits, n_classes) correct videos, and scored videos


def stored(results: Path, dataset: str, features: str) -> dict[tuple[str, str], dict[str, dict[str, tuple[int, int]]]]:
    """Return (method, class vectors) -> split digest -> unseen class -> number of correct and of scored videos."""
    found: dict[tuple[str, str], dict[str, dict[str, tuple[int, int]]]] = {}
    for record in Store(results).records():
        cell, counts = record.cell, record.result.classes
        if (cell.dataset, cell.features, cell.protocol) == (dataset, features, "zsl") and counts:
            each = dict(zip(counts.names, zip(counts.top1, counts.scored, strict=True), strict=True))
            found.setdefault((cell.method, cell.semantics), {})[cell.split_digest] = each
    return found


def nearest(
    x: NDArray[np.float64], labels: NDArray[np.int64], vectors: NDArray[np.float64], unseen: NDArray[np.int64]
) -> dict[int, tuple[int, int]]:
    """Return unseen class -> number of correct and of scored videos, each assigned to the nearest class by cosine."""
    tested = np.isin(labels, unseen)
    chosen = unseen[np.argmax(x[tested] @ vectors[unseen].T, axis=1)]
    return {int(c): (int((chosen[labels[tested] == c] == c).sum()), int((labels == c).sum())) for c in unseen}


def matrices(splits: dict[str, dict[str, tuple[int, int]]], order: list[str], classes: tuple[str, ...]) -> Counts:
    """Return the numbers of correct and of scored videos, (n_splits, n_classes)."""
    values = np.array([[splits[key].get(name, (0, 0)) for name in classes] for key in order], dtype=np.float64)
    return values[..., 0], values[..., 1]


def per_class(counts: Counts) -> NDArray[np.float64]:
    """Return the accuracy of each class over the splits in which it is unseen, (n_classes,)."""
    right, scored = (part.sum(axis=0) for part in counts)
    return np.divide(right, scored, out=np.full_like(right, np.nan), where=scored > 0)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("sources", nargs="*", default=["minilm-definition", "minilm-attributes"])
    parser.add_argument("--dataset", default="ucf101")
    parser.add_argument("--features", default="captions")
    given = parser.parse_args()
    dataset = get_dataset(given.dataset)
    features = open_features(dataset, given.features)
    found = stored(given.results, given.dataset, given.features)
    order = sorted({key for splits in found.values() for key in splits})
    x = features.store.pooled().astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    unseen = {split.digest: split.unseen for split in dataset.family("xu-50/50").splits if split.digest in order}
    for source in (BASE, *given.sources):
        vectors = open_semantics(source, dataset).vectors.astype(np.float64)
        found["nearest text", source] = {
            key: {
                dataset.classes[c]: counts
                for c, counts in nearest(
                    x, features.labels, vectors, np.array([dataset.label_of[name] for name in names])
                ).items()
            }
            for key, names in unseen.items()
        }
    print(f"{len(order)} distinct splits\n")
    print(
        "| method | class vectors | top-1 % | difference, 95 % over classes | better / worse |\n|---|---|---|---|---|"
    )
    rng = np.random.default_rng(0)
    for method in ("nearest text", "ridge", "reverse-ridge"):
        base = matrices(found[method, BASE], order, dataset.classes)
        for source in (BASE, *given.sources):
            counts = matrices(found[method, source], order, dataset.classes)
            level = f"{100 * estimate(*counts, 'top1').mean:.1f}"
            gain = per_class(counts) - per_class(base)
            gain = gain[np.isfinite(gain)]
            low, high = np.percentile(rng.choice(gain, (4000, len(gain))).mean(axis=1), [2.5, 97.5]) * 100
            told = f"{100 * gain.mean():+.1f} [{low:+.1f}, {high:+.1f}]" if source != BASE else ""
            sides = f"{(gain > 0.05).sum()} / {(gain < -0.05).sum()}" if source != BASE else ""
            print(f"| {method} | {source} | {level} | {told} | {sides} |")
    for source in given.sources:
        gains = {
            method: per_class(matrices(found[method, source], order, dataset.classes))
            - per_class(matrices(found[method, BASE], order, dataset.classes))
            for method in ("nearest text", "ridge", "reverse-ridge")
        }
        mean = np.mean(list(gains.values()), axis=0)
        ranked = [i for i in np.argsort(mean) if np.isfinite(mean[i])]
        print(f"\n{source} - {BASE}, points a class\n\n| class | {' | '.join(gains)} | mean |\n|---|---|---|---|---|")
        for i in [*ranked[::-1][:SHOWN], *ranked[:SHOWN]]:
            cells = [f"{100 * each[i]:+.0f}" for each in (*gains.values(), mean)]
            print(f"| {dataset.classes[i]} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
