"""Class embeddings: one vector per class, from a saved model, from mean-pooled features, or from class vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet
from zslbench.semantics.class_vectors import open_semantics
from zslbench.videos import FloatArray, IntArray, Videos

if TYPE_CHECKING:
    from zslbench.run.models import SavedModel

EMBEDDING_METHODS = "choose a method that embeds videos, such as action2vec or ridge"  # ends several messages
_BATCH = 2048  # videos embedded at a time, so that sequences of a large dataset are never in memory together


@dataclass(frozen=True)
class ClassEmbeddings:
    """One vector per class.

    Attributes
    ----------
    title
        Their origin, as shown in tables and figures.
    names
        Class names, in the order of the rows; classes without videos are left out.
    vectors
        (n, d) float32.
    counts
        (n,) int64, number of averaged videos; zeros for class vectors.
    seen
        (n,) bool, the classes that the model was trained on; ``None`` if nothing was trained.

    Examples
    --------
    >>> from zslbench.datasets.catalog import get_dataset
    >>> own = from_vectors("minilm", get_dataset("hmdb51"), ("run", "walk"))
    >>> own.title, own.vectors.shape
    ('minilm of hmdb51', (2, 384))
    """

    title: str
    names: tuple[str, ...]
    vectors: FloatArray
    counts: IntArray
    seen: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.names)


def video_embeddings(model: SavedModel, features: FeatureSet) -> FloatArray:
    """Return the embedding of every video of a feature set, (n_videos, d) float32.

    Raises
    ------
    ZslbenchError
        The model's method does not embed videos, or the features have another dimension than its training features.
    """
    model.check_features(features.manifest)
    store, parts = features.projected(model.projection), []
    for start in range(0, len(features.ids), _BATCH):
        videos = Videos(store, np.arange(start, min(start + _BATCH, len(features.ids))))
        try:
            parts.append(np.asarray(model.method.embed(videos), dtype=np.float32))
        except NotImplementedError as error:
            raise ZslbenchError(f"{error}; {EMBEDDING_METHODS}.") from error
    return np.concatenate(parts)


def from_method(model: SavedModel, features: FeatureSet) -> ClassEmbeddings:
    """Return the mean embedding of each class's videos; ``place`` of the method maps class vectors into their space.

    Raises
    ------
    ZslbenchError
        See :func:`video_embeddings`.
    """
    vectors, counts = _class_means(video_embeddings(model, features), features.labels)
    trained = set(model.card.trained) if model.card.seen_dataset == features.dataset.name else set()
    seen = np.array([name in trained for name in features.covered]) if model.card.trains else None
    title = model.card.title
    if features.title != model.card.features.title:
        title += f", on {features.title}"
    return ClassEmbeddings(title, features.covered, vectors, counts, seen)


def from_features(features: FeatureSet) -> ClassEmbeddings:
    """Return the mean of the mean-pooled features of each class's videos."""
    vectors, counts = _class_means(features.store.pooled(), features.labels)
    return ClassEmbeddings(f"mean features of {features.title}", features.covered, vectors, counts)


def from_vectors(spec: str, dataset: Dataset, names: tuple[str, ...] | None = None) -> ClassEmbeddings:
    """Return the class vectors that ``spec`` names.

    It raises the errors of :func:`zslbench.semantics.class_vectors.open_semantics`.

    Parameters
    ----------
    names
        The classes; all of the dataset by default.
    """
    found = open_semantics(spec, dataset, names)
    none = np.zeros(len(found), dtype=np.int64)
    return ClassEmbeddings(f"{spec} of {dataset.name}", found.names, found.vectors, none)


def _class_means(vectors: NDArray[Any], labels: IntArray) -> tuple[FloatArray, IntArray]:
    """Return the mean vector and the count of each label that occurs, in ascending order."""
    found, place = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(found), vectors.shape[1]))  # float64: classes can have a thousand videos
    np.add.at(sums, place, vectors)
    counts = np.bincount(place).astype(np.int64)
    return (sums / counts[:, None]).astype(np.float32), counts
