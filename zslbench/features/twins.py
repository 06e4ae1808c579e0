"""Find videos that are copies of each other: equal rows, or nearly the same direction of the pooled features.

The search is exact. Videos are compared in blocks, first by a projection to few values. A projection never makes two
videos more distant, so no near pair is lost, and only near pairs are compared in full.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.features.derived import DerivedFeatures
from zslbench.features.feature_set import FeatureSet
from zslbench.files import new_file, reading
from zslbench.kernels import normalised
from zslbench.videos import FloatArray, FrameStore, IntArray

# Cosines of pooled features that were scaled to unit length before their mean was subtracted. In three real feature
# sets, no two videos of different classes reach COPY unless their rows are equal (docs/audit.md).
NEAR_COPY, COPY = 0.995, 0.999
MOST_BY_CHANCE = 0.01  # expected pairs: with more, a cosine of COPY proves nothing
SAME_SHARE = 0.5  # share of videos with the same rows that looks like a broken extraction
_VERSION = 2  # raise it when results change: stored ones are then found again
_MOST_PAIRS = 2_000_000
_VALUES = 64  # of the projection
_SAMPLE = 4096  # videos that the projection is made from
_ROWS, _COLUMNS = 1024, 16_384  # of a block: 64 MiB
_READ = 1 << 22  # values read at a time: 16 MiB


@dataclass(frozen=True)
class Twins:
    """The copies among the videos of one feature set, or between those of two.

    Attributes
    ----------
    group
        (n,) number of each video's content: equal for videos with the same rows. Those of a second feature set follow.
    common
        (n_groups,) whether each row of a content that several classes share also occurs in a video of other content.
        Then the extractor gives equal rows for different videos, as a writer of captions does.
    pairs, cosines
        (k, 2) contents with a cosine of at least :data:`NEAR_COPY`, and (k,) the cosine.
    by_chance
        Expected number of pairs with a cosine of at least :data:`COPY`, for unrelated videos.
    complete
        Whether all pairs are there; the search stops at two million.

    Examples
    --------
    >>> from zslbench.videos import Videos, storage
    >>> x = np.random.default_rng(0).normal(size=(6, 40)).astype(np.float32)
    >>> x[4], x[5] = x[0], 2 * x[1]
    >>> twins = search(storage(Videos.from_arrays(x)).store, np.arange(6))
    >>> twins.group.tolist(), twins.pairs.tolist()
    ([0, 1, 2, 3, 0, 4], [[1, 4]])
    """

    group: IntArray
    common: NDArray[np.bool_]
    pairs: IntArray
    cosines: FloatArray
    by_chance: float
    complete: bool

    @property
    def certain(self) -> NDArray[np.bool_]:
        """(k,) which pairs are copies; no pair is one if chance explains such cosines."""
        return (self.cosines >= COPY) & (self.by_chance <= MOST_BY_CHANCE)

    def same(self, test: NDArray[np.bool_], train: NDArray[np.bool_], *, common: bool = False) -> NDArray[np.bool_]:
        """Return which ``test`` videos have the rows of a ``train`` video, (n,); ``common`` contents count if true."""
        found = test & self._contents(train)[self.group]
        return found if common else found & ~self.common[self.group]

    def near(self, test: NDArray[np.bool_], train: NDArray[np.bool_], which: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which ``test`` videos are in one of the pairs ``which`` with a ``train`` video, (n,)."""
        trained, hit = self._contents(train), np.zeros(len(self.common), dtype=bool)
        for one, other in (self.pairs[which].T, self.pairs[which][:, ::-1].T):
            hit[one[trained[other]]] = True
        return np.asarray(test & hit[self.group])

    def partner(self, video: int, train: NDArray[np.bool_]) -> tuple[int, float | None]:
        """Return the ``train`` video most like a video, and the cosine; ``None`` if the rows are equal."""
        content = self.group[video]
        if len(equal := np.flatnonzero(train & (self.group == content))):
            return int(equal[0]), None
        mine = np.flatnonzero((self.pairs == content).any(axis=1))
        other = np.where(self.pairs[mine, 0] == content, self.pairs[mine, 1], self.pairs[mine, 0])
        trained = self._contents(train)[other]
        best = np.flatnonzero(trained)[self.cosines[mine][trained].argmax()]
        return int(np.flatnonzero(train & (self.group == other[best]))[0]), float(self.cosines[mine[best]])

    def _contents(self, videos: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which contents some of these videos have, (n_groups,)."""
        return np.bincount(self.group[videos], minlength=len(self.common)) > 0


def find_twins(features: FeatureSet, other: FeatureSet | None = None, *, search_now: bool = True) -> Twins | None:
    """Return the twins in a feature set, or between two; they are stored beside the first one for the next time.

    Parameters
    ----------
    search_now
        Whether to search if nothing is stored; otherwise the answer is then ``None``.

    Raises
    ------
    ZslbenchError
        A feature set is damaged.
    """
    features, other = _own_frames(features), other and _own_frames(other)
    key = digest([_VERSION, NEAR_COPY, COPY, features.manifest.digest, other and other.manifest.digest])
    path = features.path / f"twins-{key}.npz"
    if (stored := _load(path)) is not None or not search_now:
        return stored
    if other is None:
        found = search(features.store, features.labels)
    else:
        found = search(features.store, features.labels, other.store)
    with contextlib.suppress(ZslbenchError), new_file(path) as work, work.open("wb") as stream:
        np.savez(stream, **vars(found))  # a read-only data root: searched again next time
    return found


def _own_frames(features: FeatureSet) -> FeatureSet:
    return features.parent if isinstance(features, DerivedFeatures) else features


def _load(path: Path) -> Twins | None:
    try:
        with reading(path), np.load(path, allow_pickle=False) as stored:
            arrays: dict[str, Any] = dict(stored)
            scalars = {"by_chance": float(arrays["by_chance"]), "complete": bool(arrays["complete"])}
            return Twins(**arrays | scalars)
    except ZslbenchError:
        return None  # none yet, or damaged: search again


def search(store: FrameStore, labels: IntArray, other: FrameStore | None = None) -> Twins:
    """Return the twins in a store, or between two stores.

    Parameters
    ----------
    labels
        (n,) classes of the first store's videos. Near pairs within one class are left out, as they are usual.
    """
    stores = [store] if other is None else [store, other]
    hashes = [each for one in stores for each in _hashes(one)]
    first: dict[bytes, int] = {}
    group = np.array([first.setdefault(each, len(first)) for each in hashes], dtype=np.int64)
    heads = np.unique(group, return_index=True)[1]  # the first video of each content
    n = len(labels)
    x = normalised(np.concatenate([one.pooled() for one in stores])[heads])  # so that a scaled copy is one
    x -= x.mean(axis=0)
    x = normalised(x)
    left = heads < n
    sides = [x, None] if other is None else [x[left], x[~left]]
    found, complete = _near_pairs(*sides)
    if other is None:
        pure, own = _pure(group, labels), labels[heads]
        found = found[~(pure[found[:, 0]] & pure[found[:, 1]] & (own[found[:, 0]] == own[found[:, 1]]))]
        mixed = ~pure
        n_pairs = len(heads) ** 2 / 2
    else:
        # A content is numbered where it occurs first, so contents of the second store only follow those of the first.
        found[:, 1] += int(left.sum())
        mixed = np.isin(np.arange(len(heads)), group[:n]) & np.isin(np.arange(len(heads)), group[n:])
        n_pairs = float(left.sum() * (~left).sum())
    cosines = _cosines(x, found)
    keep = cosines >= NEAR_COPY
    return Twins(
        group=group,
        common=_common(stores, group, heads, mixed),
        pairs=found[keep],
        cosines=cosines[keep],
        by_chance=n_pairs * _share_by_chance(x, COPY),
        complete=complete,
    )


def _hashes(store: FrameStore) -> Iterator[bytes]:
    for _, frames in _videos(store):
        yield hashlib.blake2b(frames.data, digest_size=16).digest()


def _videos(store: FrameStore) -> Iterator[tuple[int, FloatArray]]:
    """Yield the index and the frames of each video, (T, D) float32."""
    step = max(1, _READ // max(1, int(store.lengths.max(initial=1)) * store.dim))
    for start in range(0, len(store.lengths), step):
        rows = np.arange(start, min(start + step, len(store.lengths)))
        yield from zip(rows.tolist(), np.split(store.gather(rows), np.cumsum(store.lengths[rows])[:-1]), strict=True)


def _pure(group: IntArray, labels: IntArray) -> NDArray[np.bool_]:
    """Return which contents occur in one class only."""
    classes = np.unique(np.stack([group, labels]), axis=1)[0]
    return np.asarray(np.bincount(classes) == 1)


def _near_pairs(x: FloatArray, other: FloatArray | None) -> tuple[IntArray, bool]:
    """Return (k, 2) candidates: all pairs of rows that may be near; and whether these are all."""
    basis = _basis(x if other is None else np.concatenate([x, other]))
    left = x @ basis
    right = left if other is None else other @ basis
    # Half the squared distance of unit vectors is 1 - cosine. Two columns more let the product hold it.
    halves = [(side * side).sum(axis=1, keepdims=True) / 2 for side in (left, right)]
    left = np.hstack([left, -halves[0], -np.ones_like(halves[0])])
    right = np.hstack([right, np.ones_like(halves[1]), halves[1]])
    least = np.float32(NEAR_COPY - 1 - 1e-5)  # the last term is for rounding
    found: list[IntArray] = []
    for start in range(0, len(left), _ROWS):
        rows = left[start : start + _ROWS]
        for at in range(start if other is None else 0, len(right), _COLUMNS):
            close = np.flatnonzero(rows @ right[at : at + _COLUMNS].T >= least)
            if len(close):
                i, j = np.divmod(close, len(right[at : at + _COLUMNS]))
                pairs = np.stack([i + start, j + at], axis=1)
                found.append(pairs[pairs[:, 0] < pairs[:, 1]] if other is None else pairs)
        if sum(map(len, found)) > _MOST_PAIRS:
            return np.concatenate(found)[:_MOST_PAIRS], False
    return np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64), True


def _basis(x: FloatArray) -> FloatArray:
    """Return orthonormal directions, (D, at most 64), in which the rows differ most."""
    if x.shape[1] <= _VALUES:
        return np.eye(x.shape[1], dtype=np.float32)
    rng = np.random.default_rng(0)
    sample = x[np.sort(rng.choice(len(x), min(len(x), _SAMPLE), replace=False))]
    random = rng.normal(size=(x.shape[1], _VALUES)).astype(np.float32)
    basis, _ = np.linalg.qr(sample.T @ (sample @ random))
    return np.asarray(basis, dtype=np.float32)


def _cosines(x: FloatArray, pairs: IntArray) -> FloatArray:
    step = max(1, (1 << 24) // x.shape[1])
    parts = [np.einsum("ij,ij->i", *(x[side] for side in pairs[i : i + step].T)) for i in range(0, len(pairs), step)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def _share_by_chance(x: FloatArray, cosine: float) -> float:
    """Return the share of pairs with at least this cosine, for directions that are spread evenly.

    Their dimension is the participation ratio of the rows' second moment.
    """
    from scipy.special import betainc

    sample = x[np.sort(np.random.default_rng(0).choice(len(x), min(len(x), _SAMPLE // 2), replace=False))]
    moment = sample.T @ sample if sample.shape[0] > sample.shape[1] else sample @ sample.T
    square = float((moment.astype(np.float64) ** 2).sum())
    dimension = float(np.trace(moment)) ** 2 / square if square else 1.0
    return 0.5 * float(betainc(max(dimension - 1, 0.1) / 2, 0.5, 1 - cosine**2))


def _common(
    stores: Sequence[FrameStore], group: IntArray, heads: IntArray, mixed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which ``mixed`` contents have only rows that occur in videos of other content too."""
    common = np.zeros(len(heads), dtype=bool)
    if not mixed.any():
        return common
    starts = np.cumsum([0, *(len(store.lengths) for store in stores)])
    wanted: dict[bytes, set[int]] = {}
    rows_of: dict[int, list[bytes]] = {}
    for start, store in zip(starts, stores, strict=False):
        for i in np.flatnonzero(mixed[group[start : start + len(store.lengths)]]).tolist():
            content = int(group[start + i])
            if content not in rows_of:
                rows_of[content] = [row.tobytes() for row in store.gather(np.array([i]))]
                wanted |= {row: set() for row in rows_of[content]}
    for start, store in zip(starts, stores, strict=False):
        for i, frames in _videos(store):
            for row in frames:
                if (found := wanted.get(row.tobytes())) is not None and len(found) < 2:
                    found.add(int(group[start + i]))
    for content, rows in rows_of.items():
        common[content] = all(len(wanted[row]) > 1 for row in rows)
    return common


def twin_notes(features: FeatureSet) -> Iterator[str]:
    """Yield sentences about broken extractions and about copies in classes of different names."""
    if len(features.ids) < 2 or (twins := find_twins(features)) is None:
        return
    sizes = np.bincount(twins.group)
    largest, n = int(sizes.max()), len(features.ids)
    if largest == n:
        yield f"all {n:,} videos have the same features: the extraction is broken, so extract them again"
        return
    if largest > SAME_SHARE * n:
        head = features.ids[int(np.flatnonzero(twins.group == sizes.argmax())[0])]
        yield f"{largest:,} of {n:,} videos have the same features as {head}: check that they were extracted"
    pooled = features.store.pooled()
    spread, size = float(pooled.std(axis=0).max()), float(np.abs(pooled).max())
    if spread <= 1e-4 * size:
        yield "the features of all videos are nearly the same: check that they were extracted"
    same, near = across_classes(twins, features.labels)
    if same.any() or near.any():
        i = int(np.flatnonzero(same if same.any() else near)[0])
        j, _ = twins.partner(i, features.labels != features.labels[i])
        yield (
            f"{same.sum():,} videos have the same features as a video of another class, {near.sum():,} more nearly the "
            f"same (cosine of at least {NEAR_COPY}); the first is {features.ids[i]}, like {features.ids[j]}. If these "
            f"are one video under two names, remove one; 'zslbench audit --features-only "
            f"{features.dataset.name}@{features.manifest.name}' lists them"
        )


def across_classes(twins: Twins, labels: IntArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which videos have the rows of a video of another class, and which others are near to one, (n,) each."""
    mixed = ~_pure(twins.group, labels)
    near = np.zeros(len(mixed), dtype=bool)
    near[twins.pairs.ravel()] = True  # pairs within a class are not stored
    same = mixed[twins.group]
    return same, near[twins.group] & ~same
