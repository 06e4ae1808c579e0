"""Read-only views of videos, which methods get, and the arrays that they share.

Per feature set and process there is one :class:`FrameStore` with the (memory-mapped) frames. A :class:`Videos` is a
selection of its videos. Results that several splits share (mean-pooled features, kernel matrices, see ``kernels.py``)
are computed once per store.
"""

from __future__ import annotations

import mmap
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

_KEEP_MAPPED = 1 << 28  # bytes read before mapped pages are released: 256 MiB
_POOL_BLOCK = 1 << 24  # values that pooling converts to float32 at a time: 64 MiB


class FrameStore:
    """The frames of all videos of one feature set.

    Parameters
    ----------
    frames
        (n_frames, D), float16 or float32; may be a memory map. The frames of a video are adjacent.
    offsets, lengths
        (n_videos,) first frame and number of frames of each video.
    tokens
        Rows per frame: the frame itself, then ``tokens - 1`` of its patches. The rows count as frames everywhere
        except in means, which are over the frames themselves.

    Examples
    --------
    >>> store = FrameStore(np.arange(10.0).reshape(5, 2), offsets=[0, 2], lengths=[2, 3])
    >>> store.pooled().tolist()
    [[1.0, 2.0], [6.0, 7.0]]
    """

    def __init__(self, frames: NDArray[Any], offsets: IntArray, lengths: IntArray, tokens: int = 1) -> None:
        self.frames = frames
        self.tokens = tokens
        self.offsets = np.asarray(offsets, dtype=np.int64)
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.cache: dict[Hashable, Any] = {}
        self._pooled: FloatArray | None = None
        self._touched = 0

    @property
    def dim(self) -> int:
        """D, the number of values per frame."""
        return int(self.frames.shape[1])

    def pooled(self) -> FloatArray:
        """Return the mean of each video's frames, (n_videos, D) float32, computed once."""
        if self._pooled is None:
            self._pooled = self._pool()
            # All splits share it: a method must not change another method's features.
            self._pooled.flags.writeable = False
        return self._pooled

    def _pool(self) -> FloatArray:
        result = np.empty((len(self.lengths), self.dim), dtype=np.float32)
        step = max(1, _POOL_BLOCK // max(1, int(self.lengths.max(initial=1)) * self.dim))
        for start in range(0, len(result), step):
            lengths = self.lengths[start : start + step]
            # Every tokens-th row is a frame; the rows between are its patches.
            frames = self.gather(np.arange(start, start + len(lengths)))[:: self.tokens]
            lengths = lengths // self.tokens
            ends = np.cumsum(lengths)
            sums = np.add.reduceat(frames, ends - lengths, axis=0, dtype=np.float32)
            result[start : start + step] = sums / lengths[:, None]
        return result

    def gather(self, rows: IntArray) -> FloatArray:
        """Return the frames of the videos ``rows``, one after the other, as a new float32 array."""
        starts, lengths = self.offsets[rows], self.lengths[rows]
        result = np.empty((int(lengths.sum()), self.dim), dtype=np.float32)
        at = 0
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            result[at : at + length] = self.frames[start : start + length]
            at += length
        self._release(result.nbytes)
        return result

    def _release(self, nbytes: int) -> None:
        """Release mapped pages from time to time."""
        # A job's memory limit counts them as the process's own. The page cache keeps them anyway, so reading them
        # again costs little.
        self._touched += nbytes
        mapping = getattr(self.frames, "_mmap", None)
        if self._touched > _KEEP_MAPPED and mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)
            self._touched = 0


class JoinedStore(FrameStore):
    """Two stores as one, without a copy: the videos of ``first``, then those of ``second``.

    Examples
    --------
    >>> one, two = (FrameStore(np.full((2, 3), i), [0, 1], [1, 1]) for i in (1.0, 2.0))
    >>> JoinedStore(one, two).pooled()[:, 0].tolist()
    [1.0, 1.0, 2.0, 2.0]
    """

    def __init__(self, first: FrameStore, second: FrameStore) -> None:
        lengths = np.concatenate([first.lengths, second.lengths])
        super().__init__(first.frames, np.cumsum(lengths) - lengths, lengths, first.tokens)
        self._first, self._second = first, second

    @property
    def dim(self) -> int:
        """D, the number of values per frame."""
        return self._first.dim

    def _pool(self) -> FloatArray:
        return np.concatenate([self._first.pooled(), self._second.pooled()])

    def gather(self, rows: IntArray) -> FloatArray:
        """Return the frames of the videos ``rows``, one after the other, as a new float32 array."""
        later = rows >= len(self._first.lengths)
        result = np.empty((int(self.lengths[rows].sum()), self.dim), dtype=np.float32)
        of_later = np.repeat(later, self.lengths[rows])
        result[~of_later] = self._first.gather(rows[~later])
        result[of_later] = self._second.gather(rows[later] - len(self._first.lengths))
        return result


def joined(first: FrameStore, second: FrameStore) -> FrameStore:
    """Return two stores as one; always the same object for the same two stores.

    Raises
    ------
    ValueError
        Their frames have different numbers of values or tokens.
    """
    if (first.dim, first.tokens) != (second.dim, second.tokens):
        raise ValueError(f"frames of {first.dim} and of {second.dim} values cannot be joined")
    key = ("joined", id(second))  # the joined store keeps `second` alive, so its id cannot be used again
    if key not in first.cache:
        first.cache[key] = JoinedStore(first, second)
    store: FrameStore = first.cache[key]
    return store


@dataclass(frozen=True)
class Batch:
    """The frames of some videos: ``frames`` is (sum of lengths, D) float32, ``index`` their indices in the view.

    Examples
    --------
    >>> videos = Videos.from_arrays([np.zeros((2, 4)), np.zeros((3, 4))])
    >>> (batch,) = videos.batches(8)
    >>> batch.frames.shape, batch.lengths.tolist()
    ((5, 4), [2, 3])
    """

    index: IntArray
    frames: FloatArray
    lengths: IntArray


class Videos:
    """Some videos of a feature set, without labels.

    Attributes
    ----------
    lengths
        (n,) number of frames of each video; all 1 for a pooled feature set.

    Examples
    --------
    >>> videos = Videos.from_arrays([np.zeros((2, 4)), np.ones((3, 4))])
    >>> videos.take([1]).pooled().tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """

    def __init__(self, store: FrameStore, rows: IntArray) -> None:
        self._store = store
        self._rows = np.asarray(rows, dtype=np.int64)
        self.lengths: IntArray = store.lengths[self._rows]

    @classmethod
    def from_arrays(cls, arrays: NDArray[Any] | Sequence[NDArray[Any]], *, tokens: int = 1, **more: Any) -> Self:
        """Return a view of arrays in memory: (n, D) pooled, (n, T, D), or a list of (T_i, D) sequences."""
        if isinstance(arrays, np.ndarray):
            arrays = arrays[:, None, :] if arrays.ndim == 2 else arrays
        lengths = np.array([len(array) for array in arrays], dtype=np.int64)
        frames = np.concatenate([np.asarray(array) for array in arrays])
        store = FrameStore(frames, np.cumsum(lengths) - lengths, lengths, tokens)
        return cls(store, np.arange(len(lengths)), **more)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def dim(self) -> int:
        """D, the number of values per frame."""
        return self._store.dim

    @property
    def tokens(self) -> int:
        """Rows per frame in a sequence: 1, or 1 + the number of patches, the frame first."""
        return self._store.tokens

    def take(self, index: NDArray[Any] | Sequence[int]) -> Self:
        """Return a view of the videos at ``index`` (integers or a boolean mask), which shares all storage."""
        return type(self)(self._store, self._rows[np.asarray(index)])

    def join(self, other: Videos) -> Videos:
        """Return a view of these videos followed by those of another view.

        Raises
        ------
        ValueError
            They are views of two feature sets whose frames have different numbers of values or tokens.
        """
        if other._store is self._store:
            return Videos(self._store, np.concatenate([self._rows, other._rows]))
        store = joined(self._store, other._store)
        return Videos(store, np.concatenate([self._rows, other._rows + len(self._store.lengths)]))

    def pooled(self) -> FloatArray:
        """Return the mean of each video's frames, (n, D) float32."""
        return self._store.pooled()[self._rows]

    def sequence(self, i: int) -> FloatArray:
        """Return the frames of one video, (T_i, D) float32."""
        return self._store.gather(self._rows[[i]])

    def batches(self, size: int, order: NDArray[Any] | None = None) -> Iterator[Batch]:
        """Yield the videos in batches of at most ``size``; each batch is read from disk when it is needed.

        Parameters
        ----------
        size
            Videos per batch.
        order
            (m,) indices into this view; all videos in order by default.
        """
        places = np.arange(len(self)) if order is None else np.asarray(order, dtype=np.int64)
        for start in range(0, len(places), size):
            index = places[start : start + size]
            yield Batch(index, self._store.gather(self._rows[index]), self.lengths[index])


class SeenVideos(Videos):
    """Training videos: a view with labels.

    Attributes
    ----------
    labels
        (n,) indices into the :class:`~zslbench.method.Classes` that come with them.

    Examples
    --------
    >>> seen = SeenVideos.from_arrays(np.eye(3), labels=[0, 1, 0])
    >>> seen.take(seen.labels == 0).pooled().shape
    (2, 3)
    """

    def __init__(self, store: FrameStore, rows: IntArray, labels: IntArray) -> None:
        super().__init__(store, rows)
        self.labels = np.asarray(labels, dtype=np.int64)

    def take(self, index: NDArray[Any] | Sequence[int]) -> Self:
        """Return a view of the videos at ``index`` with their labels."""
        index = np.asarray(index)
        return type(self)(self._store, self._rows[index], self.labels[index])

    def relabel(self, labels: NDArray[Any]) -> Self:
        """Return the same videos with other labels, (n,)."""
        return type(self)(self._store, self._rows, np.asarray(labels))

    def unlabelled(self) -> Videos:
        """Return the same videos without their labels."""
        return Videos(self._store, self._rows)


class Storage(NamedTuple):
    """The storage of a view's videos: ``rows`` (n,) of a ``store`` that other views share.

    Examples
    --------
    >>> videos = Videos.from_arrays(np.eye(3)).take([2, 0])
    >>> storage(videos).rows.tolist()
    [2, 0]
    """

    store: FrameStore
    rows: IntArray


def storage(videos: Videos) -> Storage:
    """Return the storage of a view's videos; for the harness only, because methods must read videos through views."""
    return Storage(videos._store, videos._rows)  # noqa: SLF001
