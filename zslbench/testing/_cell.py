"""Run a made-up task as a whole cell, from a data root of its own."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.catalog import registered_dataset
from zslbench.datasets.splits import SplitFamily
from zslbench.features.feature_set import FeatureWriter, feature_path
from zslbench.files import DATA_ROOT_VARIABLE, new_directory
from zslbench.method import Report
from zslbench.registry import DATASETS, METHODS
from zslbench.run import inputs, sources
from zslbench.run.evaluate import evaluate
from zslbench.run.experiment import make_experiment
from zslbench.run.inputs import _cached_vectors, cached_features
from zslbench.run.plan import make_plan
from zslbench.run.task import Task
from zslbench.testing._check import Subject
from zslbench.testing.tiny import NAME, TinyTokens, encoder, token_vectors

_WORDS = (("red", "blue"), ("ball", "bat"), ("arm", "leg"), ("sand", "snow"))  # 2^4 texts: one for each of 16 classes


def predictions(subject: Subject, task: Task) -> dict[str, Any]:
    """Return the predictions of a whole cell, as :func:`cell_predictions`, and leave nothing on disk."""
    with tempfile.TemporaryDirectory() as folder:
        return cell_predictions(subject, task, Path(folder))


def cell_predictions(subject: Subject, task: Task, root: Path) -> dict[str, Any]:
    """Return the predictions of a whole cell on a feature set with this task's videos, in a data root of its own."""
    with _installed(subject, task, root):
        grid = {"method": subject.name, "dataset": NAME, "features": NAME, "semantics": NAME, "splits": "all"}
        kind = {"protocol": "supervised"} if task.seen.all() else {"family": NAME}
        settings = {subject.name: dict(subject.values)}
        (cell,) = make_plan(make_experiment({**grid, **kind, "set": settings})).cells
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
    encode = encoder(*_names_and_vectors(task))
    caches = (cached_features, _cached_vectors, registered_dataset)
    try:
        with (
            mock.patch.dict(os.environ, {DATA_ROOT_VARIABLE: str(root)}),
            mock.patch.object(METHODS, "get", return_value=subject.base),
            mock.patch.object(DATASETS, "get", return_value=lambda: dataset),
            mock.patch.object(inputs, "open_tower", return_value=TinyTokens(task.seen_classes.vectors.shape[1])),
            mock.patch.object(sources, "find_tower"),
            mock.patch.object(inputs, "any_text_vectors", lambda _, __, texts: encode(texts)),
            mock.patch.object(inputs, "class_tokens", lambda _, __, names, texts: token_vectors(encode, names, texts)),
        ):
            for cache in caches:  # they hold the other feature set, which has the same name
                cache.cache_clear()
            _write(task, dataset.digest)
            yield
    finally:
        for cache in caches:
            cache.cache_clear()


def _texts(names: Sequence[str]) -> dict[str, list[str]]:
    """Return definitions of the classes that share words, so that attributes can be derived from them."""
    return {
        name: [f"{name}: " + " ".join(pair[i >> bit & 1] for bit, pair in enumerate(_WORDS))]
        for i, name in enumerate(names)
    }


def _names_and_vectors(task: Task) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    classes = task.seen_classes if task.seen.all() else task.seen_classes.join(task.test_classes)
    return classes.names, classes.vectors


def _write_vectors(task: Task, texts: Mapping[str, Sequence[str]], path: Path) -> None:
    """Write the class vectors, and those of the class texts and of the words of the class names."""
    names, vectors = _names_and_vectors(task)
    said = [text for each in texts.values() for text in each] + [word for name in names for word in name.split()]
    said = list(dict.fromkeys(said))
    np.savez(path, phrases=np.array([*names, *said]), vectors=np.concatenate([vectors, encoder(names, vectors)(said)]))


def _write(task: Task, classes_digest: str) -> None:
    """Write the task's videos as a feature set, the training videos before the test videos."""
    with new_directory(feature_path(NAME, NAME)) as folder:
        writer = FeatureWriter(folder, task.train.dim, "float32")
        for side, videos, names, ids in (
            ("train", task.train, [task.seen_classes.names[i] for i in task.train.labels], task.train_keys),
            ("test", task.test, [task.test_classes.names[i] for i in task.labels], task.ids),
        ):
            (batch,) = videos.batches(len(videos))
            listed = side if task.seen.all() else ""
            writer.append(ids, names, [""] * len(videos), [listed] * len(videos), videos.lengths, batch.frames)
        writer.finish(dataset=NAME, name=NAME, classes_digest=classes_digest, kind="sequences", extractor="made up")
