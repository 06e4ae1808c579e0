"""Where imported data and results lie, and writing that leaves nothing half-done."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import platformdirs

from zslbench.digests import file_sha256
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


_NAME = "checked.json"


def stamp(folder: Path, files: Iterable[str]) -> None:
    """Remember the files' sizes and times: their checksums are right now."""
    with contextlib.suppress(OSError):  # a read-only data root: checked again next time
        (folder / _NAME).write_text(json.dumps(_stamps(folder, files)), encoding="utf-8")


def stamped(folder: Path, files: Iterable[str]) -> bool:
    """Whether the files have the sizes and times that were remembered."""
    with contextlib.suppress(OSError, ValueError):  # no file, or no stamps
        return bool(json.loads((folder / _NAME).read_text(encoding="utf-8")) == _stamps(folder, files))
    return False


def damaged(folder: Path, files: Mapping[str, str]) -> str | None:
    """Return the first file that is missing or differs from its SHA-256; where there is none, remember that."""
    for name, expected in files.items():
        if not (folder / name).is_file() or file_sha256(folder / name) != expected:
            return name
    stamp(folder, files)
    return None


def _stamps(folder: Path, files: Iterable[str]) -> dict[str, list[int]]:
    return {name: [(s := (folder / name).stat()).st_size, s.st_mtime_ns] for name in files}
