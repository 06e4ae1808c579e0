"""Read-only views of videos, which methods get, and the arrays that they share.

Per feature set and process there is one :class:`FrameStore` with the (memory-mapped) frames. A :class:`Videos` is a
selection of its videos. Results that several splits share (mean-pooled features, kernel matrices, see ``kernels.py``)
are computed once per store.

Feature files are often in class order, so a video's place in its file would reveal its label. A view therefore does not
refer to its storage. The harness looks it up with :func:`storage`, which refuses to answer while a method runs.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

_KEEP_MAPPED = 1 << 27  # bytes read before mapped pages are released: 128 MiB
_POOL_BLOCK = 1 << 22  # values that pooling converts to float32 at a time: 16 MiB


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


_STORAGE: WeakKeyDictionary[Videos, Storage] = WeakKeyDictionary()  # every view's storage; views do not refer to it


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
        found = Storage(store, np.asarray(rows, dtype=np.int64))
        _STORAGE[self] = found
        self.lengths: IntArray = store.lengths[found.rows]

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
        return len(self.lengths)

    @property
    def dim(self) -> int:
        """D, the number of values per frame."""
        return _held(self).store.dim

    @property
    def tokens(self) -> int:
        """Rows per frame in a sequence: 1, or 1 + the number of patches, the frame first."""
        return _held(self).store.tokens

    def __copy__(self) -> Self:
        return self.take(np.arange(len(self)))

    def __deepcopy__(self, memo: object) -> Self:
        return self.take(np.arange(len(self)))

    def __reduce__(self) -> tuple[Callable[..., Videos], tuple[Any, ...]]:
        # Only these videos' frames go to another process, not the store, which has the test videos too.
        frames = [self.sequence(i) for i in range(len(self))]
        more = {name: value for name, value in vars(self).items() if name != "lengths"}
        return _unpickled, (type(self), frames, self.tokens, more)

    def take(self, index: NDArray[Any] | Sequence[int]) -> Self:
        """Return a view of the videos at ``index`` (integers or a boolean mask), which shares all storage."""
        store, rows = _held(self)
        return type(self)(store, rows[np.asarray(index)])

    def join(self, other: Videos) -> Videos:
        """Return a view of these videos followed by those of another view.

        Raises
        ------
        ValueError
            They are views of two feature sets whose frames have different numbers of values or tokens.
        """
        (store, rows), (their_store, their_rows) = _held(self), _held(other)
        if their_store is store:
            return Videos(store, np.concatenate([rows, their_rows]))
        return Videos(joined(store, their_store), np.concatenate([rows, their_rows + len(store.lengths)]))

    def pooled(self) -> FloatArray:
        """Return the mean of each video's frames, (n, D) float32."""
        store, rows = _held(self)
        return store.pooled()[rows]

    def sequence(self, i: int) -> FloatArray:
        """Return the frames of one video, (T_i, D) float32."""
        store, rows = _held(self)
        return store.gather(rows[[i]])

    def batches(self, size: int, order: NDArray[Any] | None = None) -> Iterator[Batch]:
        """Yield the videos in batches of at most ``size``; each batch is read from disk when it is needed.

        Parameters
        ----------
        size
            Videos per batch.
        order
            (m,) indices into this view; all videos in order by default.
        """
        store, rows = _held(self)
        places = np.arange(len(self)) if order is None else np.asarray(order, dtype=np.int64)
        for start in range(0, len(places), size):
            index = places[start : start + size]
            yield Batch(index, store.gather(rows[index]), self.lengths[index])


class SeenVideos(Videos):
    """Training videos: a view with labels.

    Attributes
    ----------
    labels
        (n,) indices into the :class:`~zslbench.method.Classes` that come with them.
    groups
        (n,) numbers: videos of a class with equal ones were cut from one source, and are nearly copies of each other. A
        choice on held-out videos holds out whole groups. Where nothing is known of sources, each video is alone.

    Examples
    --------
    >>> seen = SeenVideos.from_arrays(np.eye(3), labels=[0, 1, 0])
    >>> seen.take(seen.labels == 0).pooled().shape
    (2, 3)
    """

    def __init__(self, store: FrameStore, rows: IntArray, labels: IntArray, groups: IntArray | None = None) -> None:
        super().__init__(store, rows)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.groups = np.arange(len(self.labels)) if groups is None else np.asarray(groups, dtype=np.int64)

    def take(self, index: NDArray[Any] | Sequence[int]) -> Self:
        """Return a view of the videos at ``index`` with their labels."""
        index = np.asarray(index)
        store, rows = _held(self)
        return type(self)(store, rows[index], self.labels[index], self.groups[index])

    def relabel(self, labels: NDArray[Any]) -> Self:
        """Return the same videos with other labels, (n,)."""
        return type(self)(*_held(self), np.asarray(labels), self.groups)

    def grouped(self, keys: Sequence[str]) -> Self:
        """Return the same videos in groups of equal keys, (n,)."""
        return type(self)(*_held(self), self.labels, np.unique(np.asarray(keys, dtype=str), return_inverse=True)[1])

    def unlabelled(self) -> Videos:
        """Return the same videos without their labels."""
        return Videos(*_held(self))


def _unpickled(kind: type[Videos], frames: list[FloatArray], tokens: int, more: dict[str, Any]) -> Videos:
    return kind.from_arrays(frames, tokens=tokens, **more)


_method_runs = False


@contextlib.contextmanager
def hidden_storage() -> Iterator[None]:
    """Let :func:`storage` refuse to answer, while a method runs."""
    global _method_runs  # of the process, because a method may start threads
    before, _method_runs = _method_runs, True
    try:
        yield
    finally:
        _method_runs = before


def _held(videos: Videos) -> Storage:
    """Return the storage of a view's videos, for the flat modules that share results between splits."""
    return _STORAGE[videos]


def storage(videos: Videos) -> Storage:
    """Return the storage of a view's videos; for the harness only, because methods must read videos through views.

    Raises
    ------
    RuntimeError
        A method runs.
    """
    if _method_runs:
        raise RuntimeError(
            "a method asked where its videos are stored, which could reveal their labels; use videos.pooled() and "
            "videos.batches() instead of zslbench.videos.storage()."
        )
    return _held(videos)
