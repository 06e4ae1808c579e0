"""Where imported data and results lie, and writing that leaves nothing half-done."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from zslbench.errors import ZslbenchError

DATA_ROOT_VARIABLE = "ZSLBENCH_DATA_ROOT"
UNFINISHED = ".unfinished-"
_ATTEMPTS = 20


def data_root() -> Path:
    """Return the folder of imported data: ``$ZSLBENCH_DATA_ROOT`` or the user's own data folder."""
    chosen = os.environ.get(DATA_ROOT_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("zslbench"))


@contextlib.contextmanager
def new_directory(final: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``final`` and rename it into place if the body ends without an exception.

    Parameters
    ----------
    final
        The folder that appears, whole, at the end.
    replace
        Whether an existing folder of that name gives way.

    Raises
    ------
    ZslbenchError
        ``final`` exists and ``replace`` is false, or the place cannot be written (permission, full disk).
    """
    if final.exists() and not replace:
        raise ZslbenchError(f"{final} already exists; remove it first or choose another name.")
    work = final.parent / f"{UNFINISHED}{final.name}-{uuid.uuid4().hex[:8]}"
    try:
        work.mkdir(parents=True)
        yield work
        _swap(work, final)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and str(final.parent) not in str(error.filename):
            raise
        raise ZslbenchError(
            f"cannot write {final}: {error.strerror or error}; free some space or choose another place."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _swap(work: Path, final: Path) -> None:
    """Rename ``work`` to ``final``, in place of what another process may put there at the same time."""
    for attempt in range(_ATTEMPTS):
        old = final.parent / f"{UNFINISHED}old-{uuid.uuid4().hex[:8]}"
        with contextlib.suppress(FileNotFoundError):
            final.rename(old)
        try:
            work.rename(final)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == _ATTEMPTS - 1:
                raise
        finally:
            shutil.rmtree(old, ignore_errors=True)
