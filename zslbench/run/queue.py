"""Give each waiting cell to one run at a time, however many runs share a results folder."""

from __future__ import annotations

import contextlib
import copy
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock, Timeout

from zslbench.cells.cell import Cell
from zslbench.cells.store import Record, Store
from zslbench.errors import ZslbenchError

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Claim:
    """A cell that this run holds the lock of.

    Attributes
    ----------
    cell
        The cell to run, unless there is a record.
    record
        What another run has stored since this run looked; then there is nothing to run.

    Examples
    --------
    >>> for claim in CellQueue([], Store(Path("runs"))).claims():
    ...     claim.release(stored=claim.record is not None)
    """

    cell: Cell
    record: Record | None
    lock: BaseFileLock

    def release(self, *, stored: bool) -> None:
        """Let other runs have the cell, and delete the file of the lock if the cell is stored."""
        if stored:
            # A run that has opened the file already finds the stored cell, so it needs no lock.
            with contextlib.suppress(OSError):
                Path(self.lock.lock_file).unlink()
        self.lock.release()


class CellQueue:
    """The cells that wait to run.

    Parameters
    ----------
    cells
        The cells, in the order to run them.
    store
        The store of the results, which other runs may share.
    wanted
        Whether to run a cell. What another run stores after this question counts as the result.

    Examples
    --------
    >>> queue = CellQueue([], Store(Path("runs")))
    >>> len(queue), queue.take()
    (0, None)
    """

    def __init__(self, cells: Iterable[Cell], store: Store, wanted: Callable[[Cell], bool] = lambda cell: True) -> None:
        self.store = store
        # The stamp is read before the question: of what is stored between them, the newer stamp would tell nothing.
        stamped = [(cell, store.stamp(cell.id)) for cell in cells]
        self._stamps = {cell.id: stamp for cell, stamp in stamped}
        self._waiting = deque(cell for cell, _ in stamped if wanted(cell))

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def by_method(self) -> None:
        """Bring together the cells of each method."""
        first = {cell.method: i for i, cell in reversed(list(enumerate(self._waiting)))}
        self._waiting = deque(sorted(self._waiting, key=lambda cell: first[cell.method]))

    def only(self, chosen: Callable[[Cell], bool]) -> CellQueue:
        """Return a queue of those cells that wait now and are chosen, in their order; this queue keeps them."""
        part = copy.copy(self)
        part._waiting = deque(filter(chosen, self._waiting))  # noqa: SLF001 - it is of this class
        return part

    def take(self) -> Claim | None:
        """Return the next cell that no other run holds, or ``None`` if there is none now.

        Raises
        ------
        ZslbenchError
            The results folder cannot hold locks.
        """
        for _ in range(len(self._waiting)):
            cell = self._waiting.popleft()
            lock = self.store.lock(cell.id)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                self._waiting.append(cell)
                continue
            except OSError as error:
                raise ZslbenchError(
                    f"cells cannot be locked in {self.store.locks} ({error.strerror}); choose another --results."
                ) from error
            found = self.store.find(cell.id) if self.store.stamp(cell.id) != self._stamps[cell.id] else None
            return Claim(cell, found if isinstance(found, Record) else None, lock)
        return None

    def put_back(self, cell: Cell) -> None:
        """Let a cell wait again that was taken and released; it is the next."""
        self._waiting.appendleft(cell)

    def claims(self) -> Iterator[Claim]:
        """Yield every waiting cell; wait for other runs only when nothing else is left."""
        while self._waiting:
            claim = self.take()
            if claim is None:
                time.sleep(_POLL_SECONDS)
            else:
                yield claim
