"""Compare class vectors with the videos of their classes, to find vectors that were made from these videos.

An honest class vector comes from words. It shares some structure with the features, but never nearly all of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet
from zslbench.files import new_file, reading
from zslbench.kernels import normalised
from zslbench.semantics.class_vectors import ClassVectors

# docs/audit.md has the figures of honest and of derived class vectors on three real feature sets.
EQUAL, SIMILAR, A_VIDEO = 0.999, 0.95, 0.9999  # cosine with the mean of the class's own videos, or with one of them
SAME_GEOMETRY, LIKE_GEOMETRY, GEOMETRY_CLASSES = 0.999, 0.9, 12  # correlation of similarities; fewest classes
PREDICTED, PREDICTED_CLASSES = 0.6, 20  # R^2 of a linear map in classes left out
_LEAST_DIMS = 8  # with fewer values, high cosines occur by chance
_VERSION = 1  # raise it when results change: stored ones are then computed again
_BLOCK = 4096  # videos
_PENALTIES = np.logspace(-4, 1, 6)  # of the ridge map, as shares of the features' mean square
_SHUFFLES = 20

_Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Likeness:
    """How class vectors resemble the videos of their classes.

    Attributes
    ----------
    names
        (C,) the classes that have a vector and videos.
    means, vectors
        (C, D) and (C, d): the mean of each class's pooled features, and its vector.
    equal, similar
        (C,) whether the vector is, or is like, the mean of the class's own videos or one of them.
    cosine
        (C,) the greatest cosine with the mean of the own videos, or with one of them if it is equal; 0 if the
        dimensions differ.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.semantics.class_vectors import open_semantics
    >>> dataset = get_dataset("hmdb51")
    >>> found = compare_vectors(simulate(dataset, name="small", videos_per_class=2), open_semantics("minilm", dataset))
    >>> found.means.shape, int(found.equal.sum())
    ((51, 128), 0)
    """

    names: NDArray[np.str_]
    means: _Floats
    vectors: _Floats
    equal: Mask
    similar: Mask
    cosine: _Floats

    def geometry(self, which: Mask) -> float | None:
        """Return the correlation of the similarities among vectors with those among means; ``None``: too few classes.

        It is 1 if the vectors are the means in other axes: rotated, or after a PCA that keeps all. Vectors may have
        been scaled to unit length before or after their mean was subtracted; the greatest correlation counts.
        """
        if which.sum() < GEOMETRY_CLASSES:
            return None
        means, vectors = self.means[which], self.vectors[which]
        ours = [_similarities(_centred(each)) for each in (normalised(means), means)]
        theirs = [_similarities(each) for each in (_centred(normalised(vectors)), vectors)]
        return max(_correlation(one, other) for one in ours for other in theirs)

    def predicted(self, which: Mask) -> tuple[float, float] | None:
        """Return R^2 of a ridge map from means to vectors in classes left out one by one; ``None``: too few classes.

        The second number is the greatest R^2 of 20 maps to shuffled vectors.
        """
        if (n := int(which.sum())) < PREDICTED_CLASSES:
            return None
        x = _centred(normalised(self.means[which]))
        gram = _centred(_centred(x @ x.T).T)
        values, axes = np.linalg.eigh(gram / max(np.trace(gram) / n, 1e-12))
        hats = [(axes * (values / (values + penalty))) @ axes.T + 1 / n for penalty in _PENALTIES]
        rng = np.random.default_rng(0)
        targets = _centred(self.vectors[which])
        shuffled = [_r2(hats, targets[rng.permutation(n)]) for _ in range(_SHUFFLES)]
        return _r2(hats, targets), max(shuffled)


def _similarities(x: _Floats) -> _Floats:
    """Return the cosines of all pairs of rows."""
    unit = normalised(x)
    return np.asarray((unit @ unit.T)[np.triu_indices(len(x), k=1)])


def _correlation(one: _Floats, other: _Floats) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > 0 else 0.0


def _centred(x: _Floats) -> _Floats:
    return np.asarray(x - x.mean(axis=0))


def _r2(hats: Sequence[_Floats], targets: _Floats) -> float:
    """Return the best R^2 of leaving each class out, in comparison with the mean of the others."""
    n = len(targets)
    total = ((targets * n / (n - 1)) ** 2).sum()
    errors = [(((targets - hat @ targets) / (1 - np.diag(hat))[:, None]) ** 2).sum() for hat in hats]
    return float(1 - min(errors) / total) if total > 0 else 0.0


def find_likeness(features: FeatureSet, vectors: ClassVectors, *, search_now: bool = True) -> Likeness | None:
    """Return the comparison of class vectors with a feature set; it is stored beside the features for the next time.

    Parameters
    ----------
    search_now
        Whether to compare if nothing is stored; otherwise the answer is then ``None``.

    Raises
    ------
    ZslbenchError
        The features are damaged.
    """
    path = features.path / f"likeness-{digest([_VERSION, features.manifest.digest, vectors.digest])}.npz"
    if (stored := _load(path)) is not None or not search_now:
        return stored
    found = compare_vectors(features, vectors)
    with contextlib.suppress(ZslbenchError), new_file(path) as work, work.open("wb") as stream:
        np.savez(stream, **vars(found))  # a read-only data root: compared again next time
    return found


def _load(path: Path) -> Likeness | None:
    try:
        with reading(path), np.load(path, allow_pickle=False) as stored:
            return Likeness(**{field.name: stored[field.name] for field in fields(Likeness)})
    except ZslbenchError:
        return None  # none yet, or damaged


def compare_vectors(features: FeatureSet, vectors: ClassVectors) -> Likeness:
    """Compare class vectors with the videos of their classes."""
    names = [name for name in features.dataset.classes if name in features.covered and name in vectors.names]
    place = {features.dataset.label_of[name]: i for i, name in enumerate(names)}
    owner = np.array([place.get(label, -1) for label in features.labels.tolist()], dtype=np.int64)
    x = features.store.pooled()[owner >= 0]
    return likeness(names, x, owner[owner >= 0], vectors.take(names).vectors.astype(np.float64))


def likeness(names: Sequence[str], x: NDArray[np.float32], owner: NDArray[np.int64], vectors: _Floats) -> Likeness:
    """Compare vectors, (C, d), with pooled features, (n, D), whose classes are ``owner``, (n,) indices of vectors."""
    means, unit_means = _class_means(x, owner, len(names)), _class_means(normalised(x), owner, len(names))
    equal, similar = (np.zeros(len(names), dtype=bool) for _ in range(2))
    cosine = np.zeros(len(names))
    if x.shape[1] == vectors.shape[1] >= _LEAST_DIMS:
        sides = [(means, vectors), (unit_means, vectors), (_centred(means), vectors), (_centred(unit_means), vectors)]
        for mean, vector in [*sides, (_centred(means), _centred(vectors))]:
            own, other = _own_and_other(normalised(mean) @ normalised(vector).T)
            equal |= _own_alone(own, other, EQUAL, 10)
            similar |= _own_alone(own, other, SIMILAR, 4)
            cosine = np.maximum(cosine, own)
        own, other = _nearest_videos(x, owner, normalised(vectors))
        one_video = _own_alone(own, other, A_VIDEO, 10)
        equal |= one_video
        cosine = np.where(one_video, np.maximum(cosine, own), cosine)
    return Likeness(np.array(names, dtype=np.str_), means, vectors, equal, similar & ~equal, cosine)


def _class_means(x: NDArray[np.float32], owner: NDArray[np.int64], n: int) -> _Floats:
    return np.array([x[owner == i].mean(axis=0, dtype=np.float64) for i in range(n)])


def _own_and_other(cosines: _Floats) -> tuple[_Floats, _Floats]:
    """Return each vector's cosine with its own mean, and the greatest with another class's, from (means, vectors)."""
    own = np.diag(cosines).copy()
    others = cosines.copy()
    np.fill_diagonal(others, -1)
    return own, others.max(axis=0)


def _own_alone(own: _Floats, other: _Floats, least: float, times: float) -> Mask:
    """Return where the own cosine is high, and much nearer to 1 than the other classes' are.

    The second condition matters if the features of all classes have a large common part.
    """
    return (own >= least) & ((1 - own) * times < 1 - other)


def _nearest_videos(x: NDArray[np.float32], owner: NDArray[np.int64], vectors: _Floats) -> tuple[_Floats, _Floats]:
    """Return each vector's greatest cosine with a video of its class, and with a video of another."""
    own, other = (np.full(len(vectors), -1.0) for _ in range(2))
    for start in range(0, len(x), _BLOCK):
        cosines = normalised(x[start : start + _BLOCK].astype(np.float64)) @ vectors.T
        mine = owner[start : start + _BLOCK, None] == np.arange(len(vectors))
        own = np.maximum(own, np.where(mine, cosines, -1).max(axis=0))
        other = np.maximum(other, np.where(mine, -1, cosines).max(axis=0))
    return own, other
