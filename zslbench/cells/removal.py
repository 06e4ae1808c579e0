"""Replace or remove a stored cell while no run computes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from filelock import Timeout

from zslbench.cells.store import Store
from zslbench.errors import ZslbenchError
from zslbench.files import remove_directory


class BusyError(ZslbenchError):
    """A run computes the cell now.

    Examples
    --------
    >>> issubclass(BusyError, ZslbenchError)
    True
    """


@contextlib.contextmanager
def claimed(store: Store, cell_id: str) -> Iterator[None]:
    """Hold the lock of a cell, so that no run computes it meanwhile.

    Raises
    ------
    BusyError
        A run computes it now.
    ZslbenchError
        The results folder cannot be written.
    """
    lock = store.lock(cell_id)
    try:
        store.locks.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise BusyError(f"a run computes the cell {cell_id} now; wait until it ends, then try again.") from error
    except OSError as error:
        raise ZslbenchError(
            f"{store.locks} cannot be written ({error.strerror}); change its permissions, then try again."
        ) from error
    try:
        yield
    finally:
        lock.release()


def remove_cell(store: Store, cell_id: str) -> None:
    """Remove a cell, its failed rerun and its model.

    Raises
    ------
    BusyError
        A run computes it now.
    """
    with claimed(store, cell_id):
        for folder in (store.path(cell_id), store.reruns.path(cell_id), store.model_path(cell_id)):
            if folder.is_dir():
                remove_directory(folder)
