"""Let runs that share a results folder write to MLflow one after the other."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

from filelock import Timeout

from zslbench.cells.store import Store

TURN_SECONDS = 120.0  # the longest wait for another run; creating a database takes ten seconds on a busy machine


class Turns:
    """The turns of one tracker; a file names the tracker that wrote last, until that one has finished."""

    def __init__(self, store: Store) -> None:
        self._lock = store.lock("mlflow")
        self._writer = store.locks / "mlflow.writer"
        self._name = uuid.uuid4().hex
        self._began = False

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """Hold the turn for a block; yield whether another tracker has written since the last one.

        Raises
        ------
        filelock.Timeout
            Another run holds the turn for too long.
        """
        try:
            self._writer.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=TURN_SECONDS)
        except Timeout:
            raise
        except OSError:  # a results folder that is only read; then no run writes here at the same time
            yield False
            return
        try:
            unseen = self._last() != self._name
            if unseen:
                self._writer.write_text(self._name, encoding="utf-8")
            yield unseen and self._began
            self._began = True
        finally:
            self._lock.release()

    def over(self) -> None:
        """Note, within a turn, that nothing is left to write."""
        self._writer.unlink(missing_ok=True)

    def unfinished(self) -> bool:
        """Return whether a tracker has written and not finished; it may have been killed."""
        return self._writer.exists()

    def _last(self) -> str:
        try:
            return self._writer.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""
