"""Mean-pooled features, kept beside the feature set so that later commands need not read all its frames again."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.files import UNFINISHED, new_file, reading
from zslbench.videos import FloatArray, FrameStore, IntArray

KEPT_MEANS = "means.npz"
_LOCK = "means.lock"
_WORTH_KEEPING = 1 << 26  # bytes of frames: 64 MiB are pooled in a moment
_VERSION = "1"  # of how means are computed


class KeptMeansStore(FrameStore):
    """The frames of a feature set on disk, whose means are kept in a file beside them.

    The file is a cache. It may be deleted; if it is damaged or belongs to other frames, it is computed again. Nothing
    is kept of small or pooled sets, or in a folder that cannot be written.

    Parameters
    ----------
    frames, offsets, lengths, tokens
        As for :class:`~zslbench.videos.FrameStore`.
    folder
        The folder of the feature set.
    content
        Digest of the frames and of the table of videos.

    Examples
    --------
    >>> store = KeptMeansStore(np.eye(4), [0, 1], [1, 3], 1, Path("."), "0123")
    >>> store.pooled().shape, store.kept() is None
    ((2, 4), True)
    """

    def __init__(
        self, frames: NDArray[Any], offsets: IntArray, lengths: IntArray, tokens: int, folder: Path, content: str
    ) -> None:
        super().__init__(frames, offsets, lengths, tokens)
        self._folder = folder
        self._content = content

    def kept(self) -> FloatArray | None:
        """Return the means that are kept, (n_videos, D) float32; ``None`` if there are none of these frames."""
        with contextlib.suppress(ZslbenchError), reading(self._folder / KEPT_MEANS):
            with np.load(self._folder / KEPT_MEANS, allow_pickle=False) as arrays:
                means: FloatArray = arrays["means"]
                checksum = str(arrays["checksum"])
            right = means.shape == (len(self.lengths), self.dim) and means.dtype == np.float32
            if right and checksum == self._checksum(means):
                return means
        return None

    def check_kept(self) -> bool:
        """Delete the kept means unless they are those of the frames; return whether they are, or there are none."""
        path = self._folder / KEPT_MEANS
        if not path.exists():
            return True
        means = self.kept()
        if means is not None and np.allclose(means, super()._pool(), rtol=1e-5, atol=1e-6):
            return True
        with contextlib.suppress(OSError):
            path.unlink()
        return False

    def _pool(self) -> FloatArray:
        if self.frames.nbytes < _WORTH_KEEPING or (self.lengths == self.tokens).all():
            return super()._pool()
        means = self.kept()
        if means is None:
            with self._turn():
                means = self.kept()  # another process may have kept them while this one waited
                if means is None:
                    means = super()._pool()
                    self._keep(means)
        return means

    def _checksum(self, means: FloatArray) -> str:
        return hashlib.sha256(f"{_VERSION} {self._content} ".encode() + means.tobytes()).hexdigest()

    def _keep(self, means: FloatArray) -> None:
        with contextlib.suppress(ZslbenchError, OSError):  # the folder cannot be written, or the disk is full
            for left in self._folder.glob(f"{UNFINISHED}*-{KEPT_MEANS}"):  # by a process that was killed
                left.unlink()
            with new_file(self._folder / KEPT_MEANS) as work, work.open("wb") as stream:
                np.savez(stream, means=means, checksum=np.array(self._checksum(means)))

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one process at a time compute the means."""
        lock = FileLock(self._folder / _LOCK)
        try:
            lock.acquire()
        except (OSError, NotImplementedError):  # the folder cannot be written, or its file system has no locks
            yield
            return
        try:
            yield
        finally:
            lock.release()


def check_kept_means(store: FrameStore) -> bool:
    """Delete the kept means of a store unless they are right; return whether they are, or there are none."""
    return not isinstance(store, KeptMeansStore) or store.check_kept()
